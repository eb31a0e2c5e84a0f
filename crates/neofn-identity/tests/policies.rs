//! Every role and every kind of key against every group of actions; the wall between projects; an operator's files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use neofn_identity::policy::{ActionDecl, Group, Policies, PolicyFile, Resource};
use neofn_identity::{KeyId, Membership, Power, Powers, Principal, Role, Scope, SessionId, SignedIn};
use neofn_types::{FunctionKey, ScriptHash};
use std::sync::Arc;

const ACTIONS: &[ActionDecl] = &[
    ActionDecl {
        name: "Health",
        group: Group::Open,
    },
    ActionDecl {
        name: "WhoAmI",
        group: Group::SignedIn,
    },
    ActionDecl {
        name: "CreateProject",
        group: Group::Person,
    },
    ActionDecl {
        name: "Metrics",
        group: Group::Observe,
    },
    ActionDecl {
        name: "ListEverything",
        group: Group::Administer,
    },
    ActionDecl {
        name: "ListFunctions",
        group: Group::Power(Power::Read),
    },
    ActionDecl {
        name: "Invoke",
        group: Group::Call,
    },
    ActionDecl {
        name: "Estimate",
        group: Group::Power(Power::Invoke),
    },
    ActionDecl {
        name: "Rollback",
        group: Group::Power(Power::Operate),
    },
    ActionDecl {
        name: "Deploy",
        group: Group::Power(Power::Deploy),
    },
    ActionDecl {
        name: "SetSecret",
        group: Group::Power(Power::Secrets),
    },
    ActionDecl {
        name: "Withdraw",
        group: Group::Power(Power::Money),
    },
    ActionDecl {
        name: "AddMember",
        group: Group::Power(Power::Manage),
    },
    ActionDecl {
        name: "AddOwner",
        group: Group::Power(Power::Own),
    },
];

fn hello() -> FunctionKey {
    FunctionKey::new("shop".parse().unwrap(), "hello".parse().unwrap())
}
fn person(memberships: &[(&str, Option<&str>, Role)]) -> Principal {
    Principal::Account(Arc::new(SignedIn {
        account: ScriptHash([1; 20]),
        session: SessionId([1; 16]),
        operator: false,
        memberships: memberships
            .iter()
            .map(|(project, function, role)| Membership {
                project: project.parse().unwrap(),
                function: function.map(|f| f.parse().unwrap()),
                role: *role,
            })
            .collect(),
    }))
}
fn api_key(scope: Scope, powers: Powers) -> Principal {
    Principal::Key {
        id: KeyId([1; 8]),
        scope,
        powers,
        name: String::new(),
        maker: None,
    }
}
/// What of all actions is allowed on a private function of `shop`, and on the node from elsewhere.
fn allowed(policies: &Policies, who: &Principal, public: bool) -> Vec<&'static str> {
    let key = hello();
    let all = ACTIONS.iter().filter(|action| {
        let on = if action.group.on_node() {
            Resource::Node { loopback: false }
        } else {
            Resource::Function { key: &key, public }
        };
        policies.allows(who, action.name, on)
    });
    all.map(|a| a.name).collect()
}

#[test]
fn every_role_and_key_against_every_group() {
    let policies = Policies::built_in(ACTIONS).unwrap();
    let signed_in = ["Health", "WhoAmI", "CreateProject"];
    let cases: &[(Role, &[&str])] = &[
        (Role::Viewer, &["ListFunctions"]),
        (
            Role::Operator,
            &["ListFunctions", "Invoke", "Estimate", "Rollback"],
        ),
        (
            Role::Developer,
            &[
                "ListFunctions",
                "Invoke",
                "Estimate",
                "Rollback",
                "Deploy",
                "SetSecret",
            ],
        ),
        (
            Role::Admin,
            &[
                "ListFunctions",
                "Invoke",
                "Estimate",
                "Rollback",
                "Deploy",
                "SetSecret",
                "Withdraw",
                "AddMember",
            ],
        ),
        (
            Role::Owner,
            &[
                "ListFunctions",
                "Invoke",
                "Estimate",
                "Rollback",
                "Deploy",
                "SetSecret",
                "Withdraw",
                "AddMember",
                "AddOwner",
            ],
        ),
    ];
    for (role, expected) in cases {
        let expected = [&signed_in[..], expected].concat();
        assert_eq!(
            allowed(&policies, &person(&[("shop", None, *role)]), false),
            expected,
            "{role}"
        );
        // for the one function alone: the same there
        let grantee = person(&[("shop", Some("hello"), *role)]);
        assert_eq!(allowed(&policies, &grantee, false), expected, "{role}");
        // and nothing in the project, in another function, in another project
        let other = FunctionKey::new("shop".parse().unwrap(), "other".parse().unwrap());
        let elsewhere = FunctionKey::new("bank".parse().unwrap(), "hello".parse().unwrap());
        for action in ACTIONS.iter().filter(|a| !a.group.on_node()) {
            for on in [
                Resource::Project(&other.project),
                Resource::Function {
                    key: &other,
                    public: false,
                },
                Resource::Function {
                    key: &elsewhere,
                    public: false,
                },
                Resource::Project(&elsewhere.project),
            ] {
                assert!(
                    !policies.allows(&grantee, action.name, on),
                    "{role} {} {on:?}",
                    action.name
                );
            }
        }
        // a member of another project is a stranger here, whatever they are there
        let stranger = person(&[("bank", None, *role), ("shopping", None, *role)]);
        assert_eq!(allowed(&policies, &stranger, false), signed_in, "{role}");
        assert_eq!(
            allowed(&policies, &stranger, true),
            ["Health", "WhoAmI", "CreateProject", "Invoke"],
            "{role}"
        );
    }
    assert_eq!(allowed(&policies, &Principal::Anonymous, false), ["Health"]);
    assert_eq!(
        allowed(&policies, &Principal::Anonymous, true),
        ["Health", "Invoke"]
    );
    let everything: Vec<&str> = ACTIONS.iter().map(|a| a.name).collect();
    let operator = api_key(Scope::Operator, Powers::default());
    assert_eq!(
        allowed(&policies, &operator, false),
        everything,
        "an operator's key needs no powers"
    );
    let project = Scope::Project("shop".parse().unwrap());
    for power in Power::ALL {
        let powers = Powers::of(&[*power]);
        let own: Vec<&str> = ACTIONS
            .iter()
            .filter(|a| {
                a.group == Group::SignedIn
                    || a.group == Group::Open
                    // no key is an owner
                    || (a.group == Group::Power(*power) && *power != Power::Own)
                    || (a.group == Group::Call && *power == Power::Invoke)
            })
            .map(|a| a.name)
            .collect();
        assert_eq!(
            allowed(&policies, &api_key(project.clone(), powers), false),
            own,
            "{power}"
        );
    }
    let other = api_key(Scope::Project("bank".parse().unwrap()), Powers::ALL);
    assert_eq!(allowed(&policies, &other, false), ["Health", "WhoAmI"]);
    // what is not an action, or is asked of the wrong thing, is nobody's right
    assert!(!policies.allows(&operator, "Nothing", Resource::Node { loopback: true }));
    assert!(!policies.allows(&operator, "Deploy", Resource::Node { loopback: true }));
    assert!(!policies.allows(&operator, "Metrics", Resource::Project(&hello().project)));
    assert!(policies.allows(
        &Principal::Anonymous,
        "Metrics",
        Resource::Node { loopback: true }
    ));
    // twice the same: from memory
    assert_eq!(
        allowed(&policies, &Principal::Anonymous, true),
        ["Health", "Invoke"]
    );
}

fn with(text: &str) -> Result<Policies, neofn_identity::policy::PolicyError> {
    Policies::with(
        ACTIONS,
        &[PolicyFile {
            name: "extra.cedar".to_owned(),
            text: text.to_owned(),
        }],
    )
}

#[test]
fn an_operators_file_gives_and_takes_but_not_over_the_wall() {
    let viewer = person(&[("shop", None, Role::Viewer)]);
    let more = with(r#"@id("viewers-run") permit (principal, action == Action::"Invoke", resource in Project::"shop") when { principal in resource.roles.viewer };"#).unwrap();
    assert_eq!(
        allowed(&more, &viewer, false),
        ["Health", "WhoAmI", "CreateProject", "ListFunctions", "Invoke"]
    );
    let less =
        with(r#"forbid (principal, action in Action::"deploy", resource in Project::"shop");"#).unwrap();
    let owner = person(&[("shop", None, Role::Owner)]);
    assert!(!allowed(&less, &owner, false).contains(&"Deploy"));
    assert!(allowed(&less, &owner, false).contains(&"Withdraw"));
    let wide = with("permit (principal, action, resource);").unwrap();
    let stranger = person(&[("bank", None, Role::Owner)]);
    assert_eq!(
        allowed(&wide, &stranger, false),
        ["Health", "WhoAmI", "CreateProject", "Metrics", "ListEverything"]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told = |text: &str| {
        let e = with(text).unwrap_err();
        format!("{e}")
    };
    let cases = [
        ("permit (principal, action, resource)", "extra.cedar:1:37"),
        (
            "// fine\npermit (principal, action == Action::\"Deplooy\", resource);",
            "extra.cedar:2:",
        ),
        (
            "permit (principal, action, resource)\nwhen { resource.colour == 1 };",
            "extra.cedar:2:8",
        ),
        (
            "permit (principal is Person, action, resource);",
            "extra.cedar:1:",
        ),
        (
            "permit (principal == ?principal, action, resource);",
            "extra.cedar: templates",
        ),
        (
            "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);",
            "extra.cedar: there are two policies",
        ),
        (
            "forbid (principal in Role::\"shop/develloper\", action, resource);",
            "extra.cedar:1:22: nobody can be named Role::\"shop/develloper\"",
        ),
        (
            "forbid (principal, action, resource)\nwhen { resource in Function::\"shop.hello\" };",
            "extra.cedar:2:20: nobody can be named Function::",
        ),
        (
            "permit (principal == Account::\"N1\", action, resource);",
            "extra.cedar:1:22: nobody can be named Account::",
        ),
        (
            "permit (principal in Operators::\"nodes\", action, resource);",
            "extra.cedar:1:",
        ),
        (
            "forbid (principal == Key::\"ci\", action, resource);",
            "extra.cedar:1:22:",
        ),
        (
            "forbid (principal in Team::\"Shop\", action, resource);",
            "extra.cedar:1:22:",
        ),
        (
            "forbid (principal, action, resource in Project::\"a/b\");",
            "extra.cedar:1:40:",
        ),
        (
            "forbid (principal == Visitor::\"nobody\", action, resource);",
            "extra.cedar:1:22:",
        ),
    ];
    for (text, start) in cases {
        let told = told(text);
        assert!(told.starts_with(start), "{text}\n{told}");
    }
}

#[test]
fn names_that_somebody_can_have_are_taken() {
    let account = ScriptHash([7; 20]).to_address();
    let _ = with(&format!(
        r#"
        forbid (principal in Role::"shop/viewer", action, resource in Project::"shop");
        forbid (principal in Role::"shop/hello/viewer", action, resource == Function::"shop/hello");
        forbid (principal in Team::"shop/hello", action in Action::"deploy", resource);
        forbid (principal in Team::"shop", action in Action::"deploy", resource);
        permit (principal == Account::"{account}", action, resource == Node::"node");
        forbid (principal == Visitor::"anonymous", action, resource);
        forbid (principal in Operators::"node", action in Action::"deploy", resource);
        "#
    ))
    .unwrap();
}

#[test]
fn a_directory_is_read_by_name_and_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not a policy").unwrap();
    std::fs::write(
        dir.path().join("b.cedar"),
        "forbid (principal, action == Action::\"Deploy\", resource);",
    )
    .unwrap();
    let policies = Policies::load(ACTIONS, dir.path()).unwrap();
    let owner = person(&[("shop", None, Role::Owner)]);
    assert!(!allowed(&policies, &owner, false).contains(&"Deploy"));
    assert!(policies.schema().contains("action \"Deploy\" in [\"deploy\"]"));
    // whoever wrote it believes it in force
    std::fs::write(dir.path().join("c.CEDAR"), "").unwrap();
    let e = Policies::load(ACTIONS, dir.path()).unwrap_err();
    assert!(e.file.ends_with("c.CEDAR") && e.message.contains(".cedar"), "{e}");
    std::fs::remove_file(dir.path().join("c.CEDAR")).unwrap();
    std::fs::write(dir.path().join("a.cedar"), "permit (").unwrap();
    let e = Policies::load(ACTIONS, dir.path()).unwrap_err();
    assert!(e.file.ends_with("a.cedar"), "{e}");
    assert!(Policies::load(ACTIONS, &dir.path().join("none")).is_err());
    std::fs::write(dir.path().join("a.cedar"), " ".repeat(300_000)).unwrap();
    assert!(
        Policies::load(ACTIONS, dir.path())
            .unwrap_err()
            .message
            .contains("at most")
    );
}
