//! Which action is of which kind, and what is answered to those who may not. Who may is the policies' to say.
//!
//! Knows no transport. A use case names its [`Action`]; an action without a row does not compile.

use neofn_identity::policy::{ActionDecl, Group, Policies, Resource};
use neofn_identity::{Power, Powers, Principal};
use neofn_types::{Code, Error, FunctionKey, ProjectName};

/// Who may take an action, in broad words; the policies have the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody.
    Open,
    /// Anybody if the function is public, else as [`Rule::Member`] with the power to invoke.
    PublicOrMember,
    /// Those in the project who have this power.
    Member(Power),
    /// Any valid credentials.
    AnyKey,
    /// People who signed in, and operators.
    Person,
    /// Operators.
    Operator,
    /// Operators, and callers on this machine.
    OperatorOrLoopback,
}

impl Rule {
    const fn group(self) -> Group {
        match self {
            Self::Open => Group::Open,
            Self::PublicOrMember => Group::Call,
            Self::Member(power) => Group::Power(power),
            Self::AnyKey => Group::SignedIn,
            Self::Person => Group::Person,
            Self::Operator => Group::Administer,
            Self::OperatorOrLoopback => Group::Observe,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $rule:ident $(($power:ident))?;)*) => {
        /// What a caller can ask for: one per use case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }
        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];
            /// As policies name it.
            pub const DECLARED: &'static [ActionDecl] = &[$(
                ActionDecl { name: stringify!($name), group: Action::$name.rule().group() },
            )*];
            /// Who may take it.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $(Action::$name => Rule::$rule $((Power::$power))?,)* }
            }
            /// As policies name it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Action::$name => stringify!($name),)* }
            }
        }
    };
}

actions! {
    /// Make or replace a function.
    Deploy: Member(Deploy);
    /// Change a function.
    Patch: Member(Deploy);
    /// Switch a function on or off, and nothing else.
    Switch: Member(Operate);
    /// Remove a function.
    Delete: Member(Deploy);
    /// See a function.
    ReadFunction: Member(Read);
    /// See the functions of a project.
    ListFunctions: Member(Read);
    /// See the versions of a function.
    ListVersions: Member(Read);
    /// Make an older version live.
    Rollback: Member(Operate);
    /// Run a function, or queue a run.
    Invoke: PublicOrMember;
    /// Call a function's own HTTP endpoint.
    Endpoint: PublicOrMember;
    /// Run a function without keeping anything.
    Estimate: Member(Invoke);
    /// See the logs of a function.
    ReadLogs: Member(Read);
    /// See the invocations of a function.
    ListInvocations: Member(Read);
    /// See an invocation.
    ReadInvocation: Member(Read);
    /// Run an ended invocation again without keeping anything.
    Replay: Member(Operate);
    /// Send CloudEvents to the triggers of a project.
    Publish: Member(Invoke);
    /// See events that reached triggers.
    ListEvents: Member(Read);
    /// See triggers.
    ListTriggers: Member(Read);
    /// Try a trigger on what happened.
    TestTrigger: Member(Read);
    /// Pause or resume a trigger.
    SwitchTrigger: Member(Operate);
    /// See what failed for good.
    ListDeadLetters: Member(Read);
    /// Try again what failed for good, or drop it.
    RedoDeadLetters: Member(Operate);
    /// Look at the chain.
    ReadChain: AnyKey;
    /// Compare the last block that was read with the nodes, and have it read again.
    RecheckChain: Operator;
    /// See the transactions that a project sent.
    ReadTransactions: Member(Read);
    /// Hand in a signature that a transaction waits for. The signature itself says whose it is.
    CosignTransaction: Member(Invoke);
    /// Send transactions with the node's own accounts: call contracts, deploy and update them.
    SendTransactions: Operator;
    /// See and change the accounts that sign, and what they may sign.
    ManageSigner: Operator;
    /// See what a project has and used.
    ReadGas: Member(Read);
    /// Set limits of spending, and take money out.
    ManageGas: Member(Money);
    /// Give credit, and compare the ledger with the chain.
    OperateBank: Operator;
    /// Read the audit log, and prove it.
    ReadAudit: Operator;
    /// Read what of the audit log is about one project.
    ReadProjectAudit: Member(Manage);
    /// Make a backup of the node.
    MakeBackup: Operator;
    /// See secrets, without their values.
    ReadSecret: Member(Read);
    /// Set, roll back, delete or rotate a secret.
    WriteSecret: Member(Secrets);
    /// Erase a secret for good, or the key that a project's secrets were under.
    DestroySecret: Member(Secrets);
    /// Seal and unseal, and change the root key.
    ManageVault: Operator;
    /// See the nodes of the cluster.
    ListServices: Operator;
    /// See counters of the node.
    Metrics: OperatorOrLoopback;
    /// See whether the node is alive and ready.
    Health: Open;
    /// Read the documentation.
    Docs: Open;
    /// Sign in, and go on with a session.
    SignIn: Open;
    /// See who one is, and end one's session.
    OwnSession: AnyKey;
    /// See one's projects.
    ListProjects: AnyKey;
    /// Make a project.
    CreateProject: Person;
    /// Delete a project, with all that it has.
    DeleteProject: Member(Own);
    /// See who is in a project.
    ListMembers: Member(Read);
    /// Give and take roles.
    ManageMembers: Member(Manage);
    /// See, make and revoke keys.
    ManageKeys: Member(Manage);
}

/// What a request is about, as far as the table needs it.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The node as a whole.
    Node {
        /// Whether the caller is on this machine.
        loopback: bool,
    },
    /// Something in a project that is of no one function.
    Project {
        /// Which.
        project: &'a ProjectName,
        /// What an outsider is told: that it does not exist.
        hidden_as: Code,
    },
    /// A function, or something of it.
    Function {
        /// Which.
        key: &'a FunctionKey,
        /// What an outsider is told.
        hidden_as: Code,
        /// Whether anybody may invoke it.
        public: bool,
    },
}

/// Decides. Without valid credentials: 401. With them but out of reach: as if it did not exist. Within reach, but not
/// allowed: 403.
pub fn authorise(
    policies: &Policies,
    who: &Principal,
    action: Action,
    target: Target<'_>,
) -> Result<(), Error> {
    let (resource, hidden_as) = match target {
        Target::Node { loopback } => (Resource::Node { loopback }, None),
        Target::Project { project, hidden_as } => (
            Resource::Project(project),
            (!who.reaches(project)).then_some(hidden_as),
        ),
        Target::Function {
            key,
            hidden_as,
            public,
        } => (
            Resource::Function { key, public },
            (!who.reaches_function(key)).then_some(hidden_as),
        ),
    };
    if policies.allows(who, action.name(), resource) {
        return Ok(());
    }
    if *who == Principal::Anonymous {
        return Err(Code::Unauthenticated.into());
    }
    let refusal = Error::from(hidden_as.unwrap_or(Code::Forbidden));
    Err(match action.rule() {
        Rule::Operator | Rule::OperatorOrLoopback => {
            refusal.hint("This is for those who run the node: ask them, or use the key in its DIR/admin.key.")
        }
        _ => refusal,
    })
}

/// The powers that someone has whole in a project, and so may give away: an operator's file may take a single action of a
/// group from them, and a key or a role for the group would give it back.
#[must_use]
pub fn powers(policies: &Policies, who: &Principal, project: &ProjectName) -> Powers {
    let allows = |action| policies.allows(who, action, Resource::Project(project));
    let whole = |power: &Power| {
        let mut actions = Action::ALL.iter().filter(|action| match action.rule() {
            Rule::Member(needed) => needed == *power,
            Rule::PublicOrMember => *power == Power::Invoke,
            _ => false,
        });
        allows(power.as_str()) && actions.all(|action| allows(action.name()))
    };
    Power::ALL.iter().copied().filter(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_identity::policy::PolicyFile;
    use neofn_identity::{KeyId, Membership, Role, Scope, SessionId, SignedIn};
    use neofn_types::ScriptHash;
    use std::sync::Arc;

    fn key(scope: Scope, powers: Powers) -> Principal {
        Principal::Key {
            id: KeyId([0; 8]),
            scope,
            powers,
            name: String::new(),
            maker: None,
        }
    }
    fn person(project: &str, role: Role) -> Principal {
        Principal::Account(Arc::new(SignedIn {
            account: ScriptHash([1; 20]),
            session: SessionId([1; 16]),
            operator: false,
            memberships: vec![Membership {
                project: project.parse().unwrap(),
                function: None,
                role,
            }],
        }))
    }

    #[test]
    fn who_was_denied_one_action_does_not_give_its_power_away() {
        let with = |text: &str| {
            let file = PolicyFile {
                name: "extra.cedar".to_owned(),
                text: text.to_owned(),
            };
            Policies::with(Action::DECLARED, &[file]).unwrap()
        };
        let owner = person("own", Role::Owner);
        let project: ProjectName = "own".parse().unwrap();
        let all = powers(&with(""), &owner, &project);
        assert!(Power::ALL.iter().all(|p| all.has(*p)));
        for (action, power) in [
            ("Deploy", Power::Deploy),
            ("ManageGas", Power::Money),
            ("Invoke", Power::Invoke),
            ("ReadLogs", Power::Read),
        ] {
            let text = format!("forbid (principal, action == Action::{action:?}, resource);");
            let left = powers(&with(&text), &owner, &project);
            for p in Power::ALL {
                assert_eq!(left.has(*p), *p != power, "{action}: {p}");
            }
        }
    }

    /// Every action, every kind of caller: what is answered. A new action is here because it has a rule.
    #[test]
    fn every_action_against_every_caller() {
        let policies = Policies::built_in(Action::DECLARED).unwrap();
        let own = FunctionKey::new("own".parse().unwrap(), "f".parse().unwrap());
        let project = Scope::Project(own.project.clone());
        let callers = [
            Principal::Anonymous,
            key(Scope::Project("other".parse().unwrap()), Powers::ALL),
            person("other", Role::Owner),
            key(project.clone(), Powers::ALL),
            person("own", Role::Owner),
            person("own", Role::Viewer),
            key(Scope::Operator, Powers::default()),
        ];
        let ask = |action: Action, open: bool| -> Vec<u16> {
            let target = match action.rule() {
                Rule::Member(_) | Rule::PublicOrMember => Target::Function {
                    key: &own,
                    hidden_as: Code::FunctionNotFound,
                    public: open,
                },
                _ => Target::Node { loopback: open },
            };
            let answer = |who| authorise(&policies, who, action, target).err();
            callers
                .iter()
                .map(|who| answer(who).map_or(200, |e| e.code.info().status))
                .collect()
        };
        for action in Action::ALL {
            let viewer = |power| if power == Power::Read { 200 } else { 403 };
            // no key owns a project
            let key = |power| if power == Power::Own { 403 } else { 200 };
            let (closed, open) = match action.rule() {
                Rule::Member(power) => {
                    let seen = [401, 404, 404, key(power), 200, viewer(power), 200];
                    (seen, seen)
                }
                Rule::PublicOrMember => ([401, 404, 404, 200, 200, 403, 200], [200; 7]),
                Rule::AnyKey => (
                    [401, 200, 200, 200, 200, 200, 200],
                    [401, 200, 200, 200, 200, 200, 200],
                ),
                Rule::Person => (
                    [401, 403, 200, 403, 200, 200, 200],
                    [401, 403, 200, 403, 200, 200, 200],
                ),
                Rule::Operator => (
                    [401, 403, 403, 403, 403, 403, 200],
                    [401, 403, 403, 403, 403, 403, 200],
                ),
                Rule::OperatorOrLoopback => ([401, 403, 403, 403, 403, 403, 200], [200; 7]),
                Rule::Open => ([200; 7], [200; 7]),
            };
            assert_eq!(ask(*action, false), closed, "{action:?}");
            assert_eq!(
                ask(*action, true),
                open,
                "{action:?} of something public, or from here"
            );
        }
    }
}
