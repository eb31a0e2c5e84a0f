//! Every endpoint that changes something leaves an entry in the audit log, or is in the list of those that do not, with the
//! reason. The endpoints come from the document that the node serves, so that a new one without a row fails.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_testkit::{Answer, Http, NodeProcess, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use support::people::Person;

/// What it leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// An entry of this action.
    Entry(&'static str),
    /// None, because.
    Nothing(&'static str),
}
use Leaves::{Entry, Nothing};

const RUN: Leaves = Nothing("a run: history keeps it, with its caller's charge");
const READS: Leaves = Nothing("it only computes an answer");

/// In the order in which they are asked: what ends things comes last.
const TABLE: &[(&str, &str, Leaves)] = &[
    ("post", "/auth/challenge", Nothing("it proves nothing yet")),
    ("post", "/auth/login", Entry("session.begin")),
    (
        "post",
        "/auth/refresh",
        Nothing("a session goes on; a token that comes twice ends it, with an entry"),
    ),
    ("post", "/api/v1/projects", Entry("project.create")),
    ("delete", "/api/v1/projects/{project}", Entry("project.delete")),
    (
        "post",
        "/api/functions/projects/{project}",
        Entry("function.deploy"),
    ),
    (
        "patch",
        "/api/functions/{project}/{function}",
        Entry("function.change"),
    ),
    (
        "patch",
        "/api/v1/functions/{project}/{function}",
        Entry("function.change"),
    ),
    ("post", "/api/v1/functions/{project}/{function}", RUN),
    ("post", "/api/v1/functions/{project}/{function}/estimate", RUN),
    (
        "post",
        "/api/v1/functions/{project}/{function}/rollback",
        Entry("function.rollback"),
    ),
    ("post", "/api/v1/invocations/{id}/replay", RUN),
    ("post", "/api/v1/events", RUN),
    (
        "patch",
        "/api/v1/triggers/{project}/{function}/{trigger}",
        Entry("trigger.switch"),
    ),
    (
        "post",
        "/api/v1/triggers/{project}/{function}/{trigger}/backtest",
        READS,
    ),
    ("post", "/api/v1/deadletters/retry", Entry("deadletters.retry")),
    ("post", "/api/v1/deadletters/drop", Entry("deadletters.drop")),
    ("put", "/api/v1/members/{project}/{address}", Entry("member.set")),
    (
        "delete",
        "/api/v1/members/{project}/{address}",
        Entry("member.remove"),
    ),
    ("post", "/api/v1/keys/{project}", Entry("key.create")),
    ("delete", "/api/v1/keys/{project}/{id}", Entry("key.revoke")),
    ("put", "/api/v1/secrets/{project}/{name}", Entry("secret.set")),
    (
        "post",
        "/api/v1/secrets/{project}/{name}/rotate",
        Entry("secret.rotate"),
    ),
    (
        "post",
        "/api/v1/secrets/{project}/{name}/rollback",
        Entry("secret.rollback"),
    ),
    (
        "delete",
        "/api/v1/secrets/{project}/{name}",
        Entry("secret.delete"),
    ),
    (
        "post",
        "/api/v1/secrets/{project}/{name}/undelete",
        Entry("secret.undelete"),
    ),
    (
        "post",
        "/api/v1/secrets/{project}/{name}/destroy",
        Entry("secret.destroy"),
    ),
    ("put", "/api/v1/gas/{project}/limits", Entry("gas.limit")),
    ("put", "/api/v1/gas/{project}/refill", Entry("gas.policy")),
    (
        "post",
        "/api/v1/gas/{project}/withdrawals",
        Nothing("refused, for nobody has paid in; one that is taken has an entry: see the bank's test"),
    ),
    ("post", "/api/v1/gas", Entry("gas.write-off")),
    ("post", "/api/v1/suspense", Entry("gas.attribute")),
    ("post", "/api/v1/gas/{project}/close", Entry("gas.close")),
    ("post", "/api/v1/chain/call", READS),
    ("post", "/api/v1/chain/recheck", READS),
    ("post", "/api/v1/chain/decode", READS),
    ("post", "/api/v1/chain/invoke", Entry("transaction.send")),
    (
        "post",
        "/api/v1/transactions/{id}/witness",
        Entry("transaction.cosign"),
    ),
    (
        "post",
        "/api/v1/transactions/{id}/replace",
        Entry("transaction.replace"),
    ),
    ("post", "/api/v1/chain/contracts", Entry("transaction.send")),
    (
        "post",
        "/api/v1/chain/contracts/{id}/update",
        Entry("transaction.send"),
    ),
    ("post", "/api/v1/signer/accounts", Entry("signer.import")),
    ("patch", "/api/v1/signer/accounts/{id}", Entry("signer.policy")),
    ("post", "/api/v1/backups", Entry("backup.create")),
    (
        "post",
        "/api/v1/projects/{project}/rewrap",
        Entry("secret.rewrap"),
    ),
    ("post", "/api/v1/vault/rotate", Entry("vault.rotate")),
    ("post", "/api/v1/vault/seal", Entry("vault.seal")),
    ("post", "/api/v1/vault/unseal", Entry("vault.unseal")),
    (
        "delete",
        "/api/functions/{project}/{function}",
        Entry("function.delete"),
    ),
    ("post", "/auth/logout", Entry("session.end")),
];

const HELLO: &str = "export const handler = () => 1";
/// Of a development account whose key the signer does not hold.
const THIRD: &str = "NdkZLF1zQBPt7qoWanSqMh4nGfyAzv8DGe";
const THIRD_KEY: &str = "037086fc67e36e05e30dcc561448dc01f8973e4f995e17abeea2accf5076ee5b5c";
const THIRD_WIF: &str = "L1L3goLeSQ82BJzDoTZDqvw5fN6kb6tERdbWZgSRbHAWqME6z8Hi";

struct World {
    node: NodeProcess,
    person: Person,
    invocation: String,
    key_id: String,
    waiting: String,
    contract: String,
}

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/contracts")
        .join(name);
    std::fs::read(path).unwrap()
}

impl World {
    fn body(&self, method: &str, path: &str) -> Value {
        let nothing = |method: &str| method == "get" || method == "delete";
        match (method, path) {
            (method, _) if nothing(method) => Value::Null,
            (_, "/auth/challenge") => json!({"address": self.person.address}),
            (_, "/auth/refresh") => json!({"refresh_token": self.person.tokens["refresh_token"]}),
            (_, "/api/v1/projects") => json!({"name": "another"}),
            ("post", "/api/functions/projects/{project}") => {
                json!({"function_name": "other", "source": HELLO})
            }
            ("patch", p) if p.contains("functions") => json!({"is_active": true}),
            ("patch", p) if p.contains("triggers") => json!({"status": "paused"}),
            (_, p) if p.contains("deadletters") => json!({"all": true}),
            ("put", p) if p.contains("members") => json!({"role": "viewer"}),
            ("post", p) if p.contains("keys") => json!({"name": "k", "scopes": ["read"]}),
            ("put", p) if p.contains("secrets") => json!({"value": "a value of some length"}),
            (_, p) if p.ends_with("/undelete") || p.ends_with("/destroy") => json!({"versions": [1]}),
            (_, p) if p.ends_with("/rollback") => json!({"version": 1}),
            (_, p) if p.ends_with("/limits") => json!({"period": "day", "limit": "5"}),
            (_, p) if p.ends_with("/refill") => json!({"sponsored": false}),
            (_, p) if p.ends_with("/withdrawals") => json!({"amount": "1", "to": THIRD}),
            (_, "/api/v1/gas") => json!({"name": "once"}),
            (_, "/api/v1/suspense") => json!({"deposit": "00".repeat(16), "project": "shop"}),
            (_, "/api/v1/chain/recheck") => json!({"apply": false}),
            (_, "/api/v1/chain/call") => json!({"contract": "GAS", "method": "symbol"}),
            (_, "/api/v1/chain/decode") => json!({"script": "EUA="}),
            (_, "/api/v1/chain/invoke") => json!({"contract": "GAS", "method": "transfer",
                "args": [THIRD, THIRD, 0, null], "send": {"operator": true, "cosigners": [{"public_key": THIRD_KEY}]}}),
            (_, p) if p.ends_with("/witness") => {
                json!({"public_key": THIRD_KEY, "signature": "11".repeat(64)})
            }
            (_, p) if p.ends_with("/replace") => json!({"by": "cancel"}),
            (_, p) if p.ends_with("/update") => json!({"nef": BASE64.encode(file("answer-next.nef")),
                "send": {"operator": true}}),
            (_, "/api/v1/chain/contracts") => {
                let manifest: Value = serde_json::from_slice(&file("answer.manifest.json")).unwrap();
                json!({"nef": BASE64.encode(file("answer.nef")), "manifest": manifest,
                    "send": {"operator": true}})
            }
            ("post", "/api/v1/signer/accounts") => json!({"wif": THIRD_WIF, "label": "third"}),
            ("patch", "/api/v1/signer/accounts/{id}") => json!({"perDay": "1"}),
            (_, "/api/v1/backups") => {
                json!({"recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"})
            }
            (_, "/api/v1/vault/rotate" | "/api/v1/vault/unseal") => json!({"key": "42".repeat(32)}),
            _ => json!({}),
        }
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let id = match path {
            p if p.contains("keys") => &self.key_id,
            p if p.contains("invocations") => &self.invocation,
            p if p.contains("transactions") => &self.waiting,
            p if p.contains("contracts") => &self.contract,
            _ => THIRD,
        };
        let filled = path
            // of its own, that was just made
            .replace(
                "/projects/{project}",
                if method == "delete" {
                    "/projects/another"
                } else {
                    "/projects/shop"
                },
            )
            .replace("{project}", "shop")
            .replace("{function}", "hello")
            .replace("{trigger}", "ping")
            .replace("{name}", "API_KEY")
            .replace("{address}", THIRD)
            .replace("{id}", id);
        let in_query = ["/api/v1/events", "/api/v1/deadletters"]
            .iter()
            .any(|p| path.starts_with(p));
        let filled = filled + if in_query { "?project=shop" } else { "" };
        let body = self.body(method, path);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let http = self.node.http();
        let http = if path.starts_with("/auth/logout") {
            &self.person.http
        } else {
            &http
        };
        http.send(
            &method.to_uppercase(),
            &filled,
            body.as_bytes(),
            &[("content-type", "application/json")],
        )
    }
}

/// Entries from a number on: actions.
fn since(node: &Http, seq: u64) -> Vec<String> {
    let log = node.get("/api/v1/audit?limit=1000").expect(200).json();
    let entries = log["entries"].as_array().unwrap();
    let new = entries.iter().filter(|e| e["seq"].as_u64().unwrap() >= seq);
    new.map(|e| e["action"].as_str().unwrap().to_owned()).collect()
}
fn size(node: &Http) -> u64 {
    node.get("/api/v1/audit/checkpoint").expect(200).json()["size"]
        .as_u64()
        .unwrap()
}

fn sent(answer: Answer) -> Value {
    assert!(matches!(answer.status, 200..=202), "{answer:?}");
    answer.json()
}

#[test]
fn every_endpoint_that_changes_something_leaves_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--dev-chain=memory", "--dev-block-time", "200ms", "--bank"];
    let node = NodeProcess::start_in(&dir.path().join("data"), &args);
    let http = node.http();
    let document = http.get("/openapi.json").expect(200).json();
    let changing: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|m| (m.clone(), path.clone())).collect::<Vec<_>>()
        })
        .filter(|(method, _)| ["post", "put", "patch", "delete"].contains(&method.as_str()))
        .collect();
    let rows: BTreeSet<_> = TABLE
        .iter()
        .map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    assert_eq!(rows.len(), TABLE.len(), "a row twice");
    let without: Vec<_> = changing.symmetric_difference(&rows).collect();
    assert!(
        without.is_empty(),
        "endpoints without a row, or rows without an endpoint: {without:?}"
    );

    let on = json!({"event": [{"name": "ping", "type": "com.example.ping"}]});
    let _ = http
        .deploy_with(
            "shop",
            json!({"function_name": "hello", "source": HELLO, "on": on}),
        )
        .expect(201);
    let run = http.invoke("shop", "hello", &Value::Null).expect(200).json();
    let before = size(&http);
    let person = Person::sign_in(&node, 15);
    let signed_in = since(&http, before);
    let made = http
        .post("/api/v1/keys/shop", &json!({"name": "k", "scopes": ["read"]}))
        .expect(201)
        .json();
    let mut world = World {
        invocation: run["invocationId"].as_str().unwrap().to_owned(),
        key_id: made["id"].as_str().unwrap().to_owned(),
        waiting: String::new(),
        contract: String::new(),
        person,
        node,
    };
    let mut faults = Vec::new();
    for (method, path, leaves) in TABLE {
        let before = size(&http);
        let (status, found) = match *path {
            "/auth/login" => (200, signed_in.clone()),
            _ => {
                let answer = world.ask(method, path);
                match *path {
                    "/api/v1/chain/invoke" => {
                        world.waiting = sent(answer.clone())["transaction"]["id"]
                            .as_str()
                            .unwrap()
                            .to_owned();
                    }
                    "/api/v1/chain/contracts" => {
                        world.contract = sent(answer.clone())["contract"].as_str().unwrap().to_owned();
                        eventually("the contract is there", Duration::from_secs(30), || {
                            let call = json!({"contract": world.contract, "method": "answer"});
                            (http.post("/api/v1/chain/call", &call).status == 200).then_some(())
                        });
                    }
                    _ => {}
                }
                (answer.status, since(&http, before))
            }
        };
        // nothing that was refused at the door counts: the act has to be looked at
        let reached = !matches!(status, 0 | 401 | 403 | 405);
        let right = match leaves {
            Entry(action) => found.iter().any(|a| a == action),
            Nothing(why) => found.is_empty() && !why.is_empty(),
        };
        if !reached || !right {
            faults.push(format!(
                "{method} {path}: status {status}, wants {leaves:?}, left {found:?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A function that sets a secret anew is an actor like any other.
#[test]
fn a_function_that_rotates_a_secret_leaves_an_entry() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = "export const handler = async (e, ctx) => (await ctx.secrets.rotate('API_KEY', 'another value of it')).version";
    let allow = json!({"secrets": [{"name": "API_KEY", "rotate": true}]});
    let _ = http
        .deploy_with(
            "shop",
            json!({"function_name": "renew", "source": source, "allow": allow}),
        )
        .expect(201);
    let body = json!({"value": "a value of some length"}).to_string();
    let _ = http
        .send("PUT", "/api/v1/secrets/shop/API_KEY", body.as_bytes(), &[])
        .expect(200);
    let run = http.invoke("shop", "renew", &Value::Null).expect(200).json();
    assert_eq!(run["result"], 2, "{run}");
    let log = http.get("/api/v1/audit").expect(200).json();
    let entry = &log["entries"][0];
    assert_eq!(
        (
            &entry["action"],
            &entry["actor"],
            &entry["target"],
            &entry["project"]
        ),
        (
            &json!("secret.set"),
            &json!("function:renew"),
            &json!("API_KEY"),
            &json!("shop")
        ),
        "{log}"
    );
    assert!(!log.to_string().contains("another value"), "{log}");
}
