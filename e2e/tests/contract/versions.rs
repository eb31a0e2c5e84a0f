//! Versions, and what is kept of them.

use super::HELLO;
use neofn_testkit::NodeProcess;
use serde_json::json;

#[test]
fn versions_are_immutable_and_live_moves() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = |n: u32| format!("export function handler() {{ return {n}; }}");
    let result = || http.invoke("demo", "f", &json!(null)).expect(200).json()["result"].clone();
    let _ = http.deploy("demo", "f", &source(1)).expect(201);
    let _ = http.deploy("demo", "f", &source(2)).expect(200);
    let again = http.deploy("demo", "f", &source(2)).expect(200).json();
    assert_eq!(
        (&again["unchanged"], &again["function"]["version"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(result(), 2);
    let versions = http.get("/api/v1/functions/demo/f/versions").expect(200).json();
    let list: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["version"].clone(), v["live"].clone()))
        .collect();
    assert_eq!(list, [(json!(2), json!(true)), (json!(1), json!(false))]);
    let _ = http
        .post("/api/v1/functions/demo/f/rollback", &json!({"version": 1}))
        .expect(200);
    assert_eq!(result(), 1);
    assert_eq!(
        http.post("/api/v1/functions/demo/f/rollback", &json!({"version": 9}))
            .expect(404)
            .code(),
        "NF0313"
    );
    // what is deployed after a rollback is a new version
    let _ = http.deploy("demo", "f", &source(3)).expect(200);
    assert_eq!(result(), 3);
    let _ = http
        .send("PATCH", "/api/functions/demo/f", b"{\"is_active\": false}", &[])
        .expect(200);
    assert_eq!(
        http.invoke("demo", "f", &json!(null)).expect(409).code(),
        "NF0302"
    );
    let _ = http
        .send("PATCH", "/api/v1/functions/demo/f", b"{\"is_active\": true}", &[])
        .expect(200);
    assert_eq!(result(), 3);
    let _ = http
        .send("PATCH", "/api/functions/demo/f", b"{\"public\": true}", &[])
        .expect(200);
    let _ = node.anonymous().invoke("demo", "f", &json!(null)).expect(200);
    let _ = http.send("DELETE", "/api/functions/demo/f", b"", &[]).expect(200);
    let _ = http.invoke("demo", "f", &json!(null)).expect(404);
}

#[test]
fn everything_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    let key = node.key().to_owned();
    let _ = node.http().deploy("demo", "hello", HELLO).expect(201);
    let before = node
        .http()
        .invoke("demo", "hello", &json!({"name": "a"}))
        .expect(200)
        .json();
    assert_eq!(node.terminate(), Some(0));
    let node = NodeProcess::start_in(&data, &[]);
    assert_eq!(node.key(), key);
    let after = node
        .http()
        .invoke("demo", "hello", &json!({"name": "a"}))
        .expect(200)
        .json();
    assert_eq!(before["units"], after["units"]);
    let body = node.http().get("/api/v1/functions/demo/hello").expect(200).json();
    assert_eq!(body["function"]["invocation_count"], 2);
    // a second node on the same directory is refused
    let refused = NodeProcess::try_start_in(&data, &[]).err().unwrap_or_default();
    assert!(refused.contains("NF0604"), "{refused}");
}

#[test]
fn what_others_call_is_deleted_only_by_force() {
    let node = NodeProcess::start();
    let http = node.http();
    let caller = "export async function handler(e, ctx) { return await ctx.invoke('callee', e); }";
    for (name, source) in [("callee", "export const handler = (e) => e;"), ("caller", caller)] {
        let body = json!({"function_name": name, "source": source});
        let _ = http.deploy_with("demo", body).expect(201);
    }
    let path = "/api/v1/functions/demo/callee/dependencies";
    let both = json!({"calls": [], "called_by": ["caller"]});
    assert_eq!(http.get(path).expect(200).json(), both);
    let refused = http.delete("/api/functions/demo/callee").expect(409).json();
    assert_eq!(refused["code"], "NF0322");
    assert!(
        refused["message"].as_str().unwrap().contains("called by caller"),
        "{refused}"
    );
    let _ = http.delete("/api/functions/demo/callee?force=true").expect(200);
    let _ = http.delete("/api/functions/demo/caller").expect(200);
}
