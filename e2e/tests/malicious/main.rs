//! Functions and requests that mean harm. Each has its own clear error, and the node goes on unharmed:
//! after every attack a good function still answers, fast, on the same node.

mod exceptions;
mod exhaustion;
mod isolation;
mod modules;
mod requests;
mod results;
mod sources;

use neofn_testkit::{Answer, Http, NodeProcess};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

thread_local! {
    // not a static, which is never dropped: the node ends with the thread of its test
    static NODE: Shared = Shared::start();
}

/// Even on a loaded machine; only what hangs takes longer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// One node for the attacks of a test.
struct Shared {
    node: NodeProcess,
}

impl Shared {
    fn start() -> Self {
        let node = NodeProcess::start();
        let good = "export function handler(event) { return { hello: event?.name ?? 'nobody' }; }";
        let _ = node
            .http()
            .deploy_with(
                "demo",
                json!({"function_name": "good", "source": good, "public": true}),
            )
            .expect(201);
        Self { node }
    }
}

fn http() -> Http {
    NODE.with(|shared| shared.node.http())
}

/// Deploys `source` with tight limits, so that an attack ends soon.
fn deploy(name: &str, source: &str) -> Answer {
    let limits = json!({"units": 5_000_000, "time": "30s"});
    http().deploy_with(
        "demo",
        json!({"function_name": name, "source": source, "limits": limits}),
    )
}

fn attack(name: &str, source: &str, event: &Value) -> Answer {
    let _ = deploy(name, source).expect(201);
    let answer = http().invoke("demo", name, event);
    still_well();
    answer
}

/// The node answers a good call correctly and soon.
fn still_well() {
    let started = Instant::now();
    let answer = http().invoke("demo", "good", &json!({"name": "Neo"})).expect(200);
    assert_eq!(answer.json()["result"], json!({"hello": "Neo"}));
    assert!(
        started.elapsed() < ANSWERS_WITHIN,
        "a good call took {:?}",
        started.elapsed()
    );
    assert_eq!(http().get("/health").expect(200).json()["status"], "ok");
}

fn fails_with(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    let problem = answer.json();
    for member in ["error", "message", "title", "type"] {
        assert!(
            problem[member].as_str().is_some_and(|s| !s.is_empty()),
            "{member} is missing: {problem}"
        );
    }
    assert!(
        problem["hint"].as_str().is_some_and(|s| !s.is_empty()),
        "hint is missing: {problem}"
    );
    assert!(
        answer.body.len() < 200_000,
        "an error of {} bytes",
        answer.body.len()
    );
}
