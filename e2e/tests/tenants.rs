//! Two tenants, every role, every endpoint: who may what is written down here once more, beside the policies and not
//! from them. The endpoints come from the document that the node serves, so that a new one without a row fails.

mod support;

use neofn_testkit::{Answer, Http, NodeProcess, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use support::people::Person;

const HELLO: &str = "export function handler(event) { return 'only shop knows this'; }";

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Anybody, on this machine at least.
    Open,
    /// Any credentials.
    SignedIn,
    /// People, and operators of the node.
    Person,
    /// Operators of the node.
    Node,
    /// Those in the project who have this power.
    In(Power),
    /// The same where the path names a function: a role for that function is enough.
    Function(Power),
    /// A transaction's project is learnt from the chain; a node without one tells everybody alike that it has none.
    Chain,
}
use Need::{Chain, Function, In, Node, Open, SignedIn};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Read,
    Invoke,
    Operate,
    Deploy,
    Secrets,
    Money,
    Manage,
    Own,
}
use Power::{Deploy, Invoke, Manage, Money, Operate, Own, Read, Secrets};

const TABLE: &[(&str, &str, Need)] = &[
    ("get", "/health", Open),
    ("get", "/ready", Open),
    ("get", "/metrics", Open),
    ("post", "/auth/challenge", Open),
    ("post", "/auth/login", Open),
    ("post", "/auth/refresh", Open),
    ("post", "/auth/logout", SignedIn),
    ("get", "/auth/whoami", SignedIn),
    ("get", "/.well-known/jwks.json", Open),
    ("get", "/api/v1/projects", SignedIn),
    ("post", "/api/v1/projects", Need::Person),
    ("delete", "/api/v1/projects/{project}", In(Own)),
    ("get", "/api/v1/members/{project}", In(Read)),
    ("put", "/api/v1/members/{project}/{address}", In(Manage)),
    ("delete", "/api/v1/members/{project}/{address}", In(Manage)),
    ("get", "/api/v1/keys/{project}", In(Manage)),
    ("post", "/api/v1/keys/{project}", In(Manage)),
    ("delete", "/api/v1/keys/{project}/{id}", In(Manage)),
    ("get", "/api/v1/secrets/{project}", In(Read)),
    ("get", "/api/v1/secrets/{project}/{name}", In(Read)),
    ("get", "/api/v1/secrets/{project}/{name}/versions", In(Read)),
    ("put", "/api/v1/secrets/{project}/{name}", In(Secrets)),
    ("delete", "/api/v1/secrets/{project}/{name}", In(Secrets)),
    ("post", "/api/v1/secrets/{project}/{name}/rollback", In(Secrets)),
    ("post", "/api/v1/secrets/{project}/{name}/undelete", In(Secrets)),
    ("post", "/api/v1/secrets/{project}/{name}/destroy", In(Secrets)),
    ("post", "/api/v1/secrets/{project}/{name}/rotate", In(Secrets)),
    ("post", "/api/v1/projects/{project}/rewrap", In(Secrets)),
    ("get", "/api/v1/vault", Node),
    ("post", "/api/v1/vault/seal", Node),
    ("post", "/api/v1/vault/unseal", Node),
    ("post", "/api/v1/vault/rotate", Node),
    ("get", "/api/functions/projects/{project}", In(Read)),
    ("get", "/api/v1/projects/{project}/functions", In(Read)),
    ("post", "/api/functions/projects/{project}", In(Deploy)),
    ("get", "/api/functions/{project}/{function}", Function(Read)),
    ("patch", "/api/functions/{project}/{function}", Function(Deploy)),
    ("delete", "/api/functions/{project}/{function}", In(Deploy)),
    ("get", "/api/v1/functions/{project}/{function}", Function(Read)),
    (
        "patch",
        "/api/v1/functions/{project}/{function}",
        Function(Deploy),
    ),
    ("post", "/api/v1/functions/{project}/{function}", Function(Invoke)),
    (
        "post",
        "/api/v1/functions/{project}/{function}/estimate",
        Function(Invoke),
    ),
    (
        "get",
        "/api/v1/functions/{project}/{function}/invocations",
        Function(Read),
    ),
    (
        "get",
        "/api/v1/functions/{project}/{function}/logs",
        Function(Read),
    ),
    (
        "get",
        "/api/v1/functions/{project}/{function}/dependencies",
        Function(Read),
    ),
    (
        "get",
        "/api/v1/functions/{project}/{function}/versions",
        Function(Read),
    ),
    (
        "post",
        "/api/v1/functions/{project}/{function}/rollback",
        Function(Operate),
    ),
    ("get", "/api/v1/invocations/{id}", Function(Read)),
    ("post", "/api/v1/invocations/{id}/replay", Function(Operate)),
    ("get", "/api/v1/events", In(Read)),
    ("post", "/api/v1/events", In(Invoke)),
    ("get", "/api/v1/triggers", In(Read)),
    (
        "patch",
        "/api/v1/triggers/{project}/{function}/{trigger}",
        Function(Operate),
    ),
    (
        "get",
        "/api/v1/triggers/{project}/{function}/{trigger}/test",
        Function(Read),
    ),
    (
        "post",
        "/api/v1/triggers/{project}/{function}/{trigger}/backtest",
        Function(Read),
    ),
    ("get", "/api/v1/deadletters", In(Read)),
    ("post", "/api/v1/deadletters/retry", In(Operate)),
    ("post", "/api/v1/deadletters/drop", In(Operate)),
    ("get", "/api/v1/chain", SignedIn),
    ("get", "/api/v1/chain/balances/{id}", SignedIn),
    ("get", "/api/v1/chain/blocks/{height}", SignedIn),
    ("get", "/api/v1/chain/notifications", SignedIn),
    ("get", "/api/v1/chain/transactions/{id}", SignedIn),
    ("post", "/api/v1/chain/call", SignedIn),
    ("post", "/api/v1/chain/recheck", Node),
    ("post", "/api/v1/chain/decode", SignedIn),
    ("post", "/api/v1/chain/invoke", Node),
    ("post", "/api/v1/chain/contracts", Node),
    ("post", "/api/v1/chain/contracts/{id}/update", Node),
    ("get", "/api/v1/audit", Node),
    ("get", "/api/v1/audit/checkpoint", Node),
    ("get", "/api/v1/audit/export", Node),
    ("get", "/api/v1/audit/proof", Node),
    ("post", "/api/v1/backups", Node),
    ("get", "/api/v1/gas", Node),
    ("post", "/api/v1/gas", Node),
    ("get", "/api/v1/gas/{project}", In(Read)),
    ("get", "/api/v1/gas/{project}/deposit", In(Read)),
    ("get", "/api/v1/gas/{project}/limits", In(Read)),
    ("put", "/api/v1/gas/{project}/limits", In(Money)),
    ("get", "/api/v1/gas/{project}/refill", In(Read)),
    ("put", "/api/v1/gas/{project}/refill", Node),
    ("get", "/api/v1/gas/{project}/statement", In(Read)),
    ("get", "/api/v1/gas/{project}/withdrawals", In(Read)),
    ("post", "/api/v1/gas/{project}/withdrawals", In(Money)),
    ("get", "/api/v1/gas/{project}/usage", In(Read)),
    ("post", "/api/v1/gas/{project}/close", In(Money)),
    ("get", "/api/v1/suspense", Node),
    ("post", "/api/v1/suspense", Node),
    ("get", "/api/v1/services", Node),
    ("get", "/api/v1/services/{project}", In(Read)),
    ("get", "/api/v1/services/{project}/{function}", Function(Read)),
    ("get", "/api/v1/signer", Node),
    ("post", "/api/v1/signer/accounts", Node),
    ("patch", "/api/v1/signer/accounts/{id}", Node),
    ("get", "/api/v1/signer/signatures", Node),
    ("get", "/api/v1/transactions", In(Read)),
    ("get", "/api/v1/transactions/{id}", Chain),
    ("post", "/api/v1/transactions/{id}/witness", Chain),
    ("post", "/api/v1/transactions/{id}/replace", Node),
    // a function's own endpoint is in no document
    ("post", "/f/{project}/{function}", Function(Invoke)),
    ("get", "/f/{project}/{function}/a/b", Function(Invoke)),
];

/// Somebody who asks.
struct Caller {
    name: &'static str,
    http: Http,
    is: Is,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Nobody,
    Stranger,
    StrangeKey,
    /// An operator for one function.
    Guest,
    Viewer,
    Operator,
    Developer,
    Admin,
    Owner,
    ReadKey,
    FullKey,
    NodeKey,
}

impl Is {
    fn has(self, power: Power) -> bool {
        match self {
            Self::Nobody | Self::Stranger | Self::StrangeKey => false,
            Self::Viewer | Self::ReadKey => power == Read,
            Self::Operator | Self::Guest => matches!(power, Read | Invoke | Operate),
            Self::Developer => !matches!(power, Money | Manage | Own),
            // who may give all other rights may not end it all
            Self::Admin | Self::FullKey => power != Own,
            Self::Owner | Self::NodeKey => true,
        }
    }
    /// 0: served. Else the status of the refusal.
    fn refusal(self, need: Need) -> u16 {
        match (need, self) {
            (Need::Open, _) => 0,
            (Need::Chain, Self::Nobody) => 401,
            (Need::Chain, _) => 0,
            (_, Self::Nobody) => 401,
            (Need::SignedIn, _) | (_, Self::NodeKey) => 0,
            (Need::Person, Self::StrangeKey | Self::ReadKey | Self::FullKey) | (Need::Node, _) => 403,
            (Need::Person, _) => 0,
            (Need::In(_), Self::Guest) => 404,
            (Need::In(_) | Need::Function(_), Self::Stranger | Self::StrangeKey) => 404,
            (Need::In(power) | Need::Function(power), _) if self.has(power) => 0,
            (Need::In(_) | Need::Function(_), _) => 403,
        }
    }
}

struct World {
    node: NodeProcess,
    callers: Vec<Caller>,
    invocation: String,
    elsewhere: String,
    /// Of the first project, and one that nobody sent; where there is a chain.
    transactions: Option<[String; 2]>,
}

fn key(node: &NodeProcess, owner: &Http, project: &str, scopes: &Value) -> Http {
    let body = json!({"name": "key", "scopes": scopes});
    let made = owner
        .post(&format!("/api/v1/keys/{project}"), &body)
        .expect(201)
        .json();
    Http::new(node.url(), made["key"].as_str())
}

fn world() -> World {
    people_on(NodeProcess::start())
}

/// The same with a chain and with money: each project has sent a transaction, has a balance, and has spent of it.
fn world_with_money(data: &Path) -> World {
    let args = [
        "--dev-chain=memory",
        "--dev-block-time",
        "200ms",
        "--gas-price",
        "1000000",
        "--gas-initial",
        "5",
    ];
    let world = people_on(NodeProcess::start_in(data, &args));
    let operator = world.node.http();
    let sent: Vec<String> = ["shop", "bank"]
        .iter()
        .map(|project| {
            let path = format!("/api/v1/chain/invoke?project={project}");
            let call = json!({"contract": "GAS", "method": "symbol", "send": {}});
            let sent = operator.post(&path, &call).expect(202).json();
            sent["transaction"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    // another of the same form
    let nobodys = if sent[0].starts_with('0') { "1" } else { "0" }.to_owned() + &sent[0][1..];
    for project in ["shop", "bank"] {
        eventually("what runs cost is charged", Duration::from_secs(60), || {
            let gas = operator.get(&format!("/api/v1/gas/{project}")).expect(200).json();
            gas["balance"].as_str().unwrap().starts_with("4.9").then_some(())
        });
    }
    World {
        transactions: Some([sent[0].clone(), nobodys]),
        ..world
    }
}

fn people_on(node: NodeProcess) -> World {
    let owner = Person::sign_in(&node, 15);
    let other = Person::sign_in(&node, 21);
    for (person, project) in [(&owner, "shop"), (&other, "bank")] {
        let made = person.http.post("/api/v1/projects", &json!({"name": project}));
        let _ = made.expect(201);
        let on = json!({"event": [{"name": "ping", "type": "com.example.ping"}]});
        let request = json!({"function_name": "hello", "source": HELLO, "on": on});
        let _ = person.http.deploy_with(project, request).expect(201);
        let more = json!({"limits": {"time": "5s"}}).to_string();
        let path = format!("/api/functions/{project}/hello");
        let _ = person.http.send("PATCH", &path, more.as_bytes(), &[]).expect(200);
        let path = format!("/api/v1/secrets/{project}/API_KEY");
        let secret = json!({"value": "a value of some length"}).to_string();
        let _ = person.http.send("PUT", &path, secret.as_bytes(), &[]).expect(200);
    }
    let run = |http: &Http, project: &str| {
        // where runs cost something, the first credit may still be on its way
        let run = eventually("a run", Duration::from_secs(60), || {
            let run = http.invoke(project, "hello", &Value::Null);
            (run.status != 402).then(|| run.expect(200).json())
        });
        run["invocationId"].as_str().unwrap().to_owned()
    };
    let (invocation, elsewhere) = (run(&owner.http, "shop"), run(&other.http, "bank"));
    let mut callers = vec![Caller {
        name: "nobody",
        http: node.anonymous(),
        is: Is::Nobody,
    }];
    let mut add = |name, http, is| callers.push(Caller { name, http, is });
    for (n, role, is) in [
        (11, "viewer", Is::Viewer),
        (12, "operator", Is::Operator),
        (13, "developer", Is::Developer),
        (14, "admin", Is::Admin),
        (16, "guest", Is::Guest),
    ] {
        let person = Person::sign_in(&node, n);
        let body = match is {
            Is::Guest => json!({"role": "operator", "function": "hello"}),
            _ => json!({"role": role}),
        };
        let path = format!("/api/v1/members/shop/{}", person.address);
        let _ = owner
            .http
            .send("PUT", &path, body.to_string().as_bytes(), &[])
            .expect(200);
        add(role, person.http, is);
    }
    let all = json!([
        "read", "invoke", "operate", "deploy", "secrets", "money", "manage"
    ]);
    add(
        "read-key",
        key(&node, &owner.http, "shop", &json!(["read"])),
        Is::ReadKey,
    );
    add("full-key", key(&node, &owner.http, "shop", &all), Is::FullKey);
    add(
        "strange-key",
        key(&node, &other.http, "bank", &all),
        Is::StrangeKey,
    );
    add("stranger", other.http, Is::Stranger);
    add("owner", owner.http, Is::Owner);
    add("node-key", node.http(), Is::NodeKey);
    for caller in &callers {
        let name = format!("victim-{}", caller.name);
        let _ = node.http().deploy("shop", &name, HELLO).expect(201);
    }
    World {
        node,
        callers,
        invocation,
        elsewhere,
        transactions: None,
    }
}

impl World {
    fn ask(&self, caller: &Caller, method: &str, path: &str, project: &str, invocation: &str) -> Answer {
        // what is removed is each caller's own
        let removed = method == "delete" && path.starts_with("/api/functions");
        let function = if removed {
            format!("victim-{}", caller.name)
        } else {
            "hello".to_owned()
        };
        let id = match &self.transactions {
            _ if path.contains("keys") => "0000000000000000",
            Some([sent, _]) if path.contains("/v1/transactions") && project == "shop" => sent,
            Some([_, nobodys]) if path.contains("/v1/transactions") => nobodys,
            _ => invocation,
        };
        let in_query = ["events", "triggers", "deadletters", "transactions"]
            .iter()
            .any(|p| path == format!("/api/v1/{p}") || path.starts_with(&format!("/api/v1/{p}/")))
            && !path.contains('{');
        let filled = path
            .replace("{project}", project)
            .replace("{function}", &function)
            .replace("{trigger}", "ping")
            .replace("{name}", "API_KEY")
            .replace("{height}", "1")
            .replace("{address}", "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd")
            .replace("{id}", id)
            + &if in_query {
                format!("?project={project}")
            } else {
                String::new()
            };
        let body = match (method, path) {
            ("get" | "delete", _) => Value::Null,
            ("post", "/api/v1/projects") => json!({"name": format!("new-{}", caller.name)}),
            ("put", "/api/v1/members/{project}/{address}") => json!({"role": "viewer"}),
            ("put", "/api/v1/secrets/{project}/{name}") => json!({"value": "another value of it"}),
            ("post", "/api/v1/keys/{project}") => json!({"name": "k", "scopes": ["read"]}),
            ("post", "/api/functions/projects/{project}") => {
                json!({"function_name": format!("new-{}", caller.name), "source": HELLO})
            }
            ("patch", p) if p.contains("functions") => json!({"public": false}),
            ("post", p) if p.ends_with("/rollback") => json!({"version": 1}),
            _ => json!({}),
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        caller.http.send(
            &method.to_uppercase(),
            &filled,
            body.as_bytes(),
            &[("content-type", "application/json")],
        )
    }
}

/// A text to look for; one that never stands anywhere, where there is none.
fn nothing_is_a_name(text: &str) -> &str {
    if text.is_empty() { "\u{0}" } else { text }
}

/// What may be gone, or never have been, when its owner asks: a key, a member, a secret; a block, a transaction, a contract.
const GONE: [&str; 7] = [
    "NF0408", "NF0409", "NF1101", "NF1102", "NF0806", "NF0807", "NF0808",
];

/// Without what differs from one call to the next.
fn blotted(answer: &Answer, names: &[&str]) -> String {
    let mut json = answer.json();
    for member in ["traceId", "instance"] {
        json.as_object_mut().unwrap().remove(member);
    }
    names
        .iter()
        .fold(format!("{} {json}", answer.status), |text, name| {
            text.replace(name, "NAME")
        })
}

#[test]
fn every_endpoint_against_two_tenants_and_every_role() {
    matrix(&world());
}

#[test]
fn every_endpoint_where_there_is_a_chain_and_money() {
    let dir = tempfile::tempdir().unwrap();
    matrix(&world_with_money(&dir.path().join("data")));
}

fn matrix(world: &World) {
    let document = world.node.anonymous().get("/openapi.json").expect(200).json();
    let served: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|m| (m.clone(), path.clone())).collect::<Vec<_>>()
        })
        .filter(|(method, _)| ["get", "post", "put", "patch", "delete"].contains(&method.as_str()))
        .collect();
    let rows: BTreeSet<_> = TABLE
        .iter()
        .map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    assert_eq!(rows.len(), TABLE.len(), "a row twice");
    let without: Vec<_> = served.difference(&rows).collect();
    assert!(without.is_empty(), "endpoints without a row here: {without:?}");
    let stale: Vec<_> = rows
        .difference(&served)
        .filter(|(_, p)| !p.starts_with("/f/"))
        .collect();
    assert!(stale.is_empty(), "rows without an endpoint: {stale:?}");

    let [sent, nobodys] = world.transactions.clone().unwrap_or_default();
    let (sent, nobodys) = (nothing_is_a_name(&sent), nothing_is_a_name(&nobodys));
    // what ends everything comes last
    let mut table = TABLE.to_vec();
    table.sort_by_key(|(_, path, _)| match *path {
        "/auth/logout" => 4,
        "/api/v1/projects/{project}" => 3,
        path if path.ends_with("/seal") => 2,
        // an account that ends gives nobody credit any more
        path if path.ends_with("/close") => 2,
        path if path.contains("/vault") => 1,
        _ => 0,
    });
    let mut faults = Vec::new();
    for (method, path, need) in table {
        let need = match (&world.transactions, need, path) {
            (Some(_), Chain, path) if path.ends_with("/witness") => In(Invoke),
            (Some(_), Chain, _) => In(Read),
            _ => need,
        };
        for caller in &world.callers {
            let answer = world.ask(caller, method, path, "shop", &world.invocation);
            let expected = caller.is.refusal(need);
            let fits = match expected {
                // what is asked for may be gone by now, which those alone learn who may ask
                0 => {
                    !matches!(answer.status, 0 | 401 | 403)
                        && (answer.status != 404 || GONE.contains(&answer.code().as_str()))
                        || path == "/auth/login"
                        || path == "/auth/refresh"
                }
                status => answer.status == status,
            };
            if !fits {
                faults.push(format!(
                    "{method} {path} by {}: wants {expected}, got {answer:?}",
                    caller.name
                ));
            }
            if expected != 0 {
                assert!(
                    !answer.body.contains("only shop knows"),
                    "{method} {path}: {answer:?}"
                );
            }
            if expected == 404 {
                // as if there were no such project at all
                let absent = world.ask(
                    caller,
                    method,
                    path,
                    "nowhere",
                    "01890000-0000-7000-8000-000000000000",
                );
                let names = [
                    "shop",
                    "nowhere",
                    &world.invocation,
                    "01890000-0000-7000-8000-000000000000",
                    sent,
                    nobodys,
                ];
                if blotted(&answer, &names) != blotted(&absent, &names) {
                    faults.push(format!(
                        "{method} {path} by {}: {answer:?} but {absent:?}",
                        caller.name
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn lists_show_ones_own_alone() {
    let world = world();
    for caller in &world.callers {
        let listed = caller.http.get("/api/v1/projects");
        let has = |name: &str| listed.body.contains(&format!("\"{name}\""));
        match caller.is {
            Is::Nobody => assert_eq!(listed.status, 401),
            Is::NodeKey => assert!(has("shop") && has("bank"), "{listed:?}"),
            Is::Stranger | Is::StrangeKey => assert!(!has("shop"), "{}: {listed:?}", caller.name),
            _ => assert!(!has("bank"), "{}: {listed:?}", caller.name),
        }
        // the ids of others' runs open nothing
        let run = caller
            .http
            .get(&format!("/api/v1/invocations/{}", world.elsewhere));
        let expected = match caller.is {
            Is::Nobody => 401,
            Is::NodeKey | Is::Stranger | Is::StrangeKey => 200,
            _ => 404,
        };
        assert_eq!(run.status, expected, "{}: {run:?}", caller.name);
    }
}
