//! Asked for once, done once: keys, queues and retries.

use super::HELLO;
use neofn_testkit::{NodeProcess, eventually};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn idempotency_keys_replay_and_refuse() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = "export async function handler(e, ctx) { return { n: await ctx.kv.increment('n', 1), random: Math.random() }; }";
    let _ = http
        .deploy_with(
            "demo",
            json!({"function_name": "count", "source": source, "allow": {"kv": true}}),
        )
        .expect(201);
    let send = |body: &[u8], key: &str| {
        http.send(
            "POST",
            "/api/v1/functions/demo/count",
            body,
            &[("idempotency-key", key)],
        )
    };
    let first = send(b"{}", "k1").expect(200).json();
    let second = send(b"{}", "k1").expect(200).json();
    assert_eq!(first["result"], second["result"]);
    assert_eq!(first["invocationId"], second["invocationId"]);
    assert_eq!(send(b"{\"a\":1}", "k1").expect(409).code(), "NF0306");
    let third = send(b"{}", "k2").expect(200).json();
    assert_eq!(
        third["result"]["n"].as_i64(),
        first["result"]["n"].as_i64().map(|n| n + 1)
    );
}

#[test]
fn async_invocations_run_retry_and_die() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let accepted = http
        .post(
            "/api/v1/functions/demo/hello?mode=async",
            &json!({"name": "later"}),
        )
        .expect(202)
        .json();
    let id = accepted["invocationId"].as_str().unwrap().to_owned();
    let ended = eventually("the invocation ends", Duration::from_secs(20), || {
        let body = http.get(&format!("/api/v1/invocations/{id}")).expect(200).json();
        (body["status"] == "succeeded").then_some(body)
    });
    assert_eq!(ended["result"]["greeting"], "Hello, later");
    assert_eq!(ended["logs"][0], "[LOG] hello later {\"n\":1}");

    // fails once, then succeeds: what the failed try wrote is not there
    let flaky = "export async function handler(e, ctx) {
        await ctx.kv.put('tries', ctx.attempt);
        if (ctx.attempt < 2) throw new Error('not yet');
        return ctx.attempt; }";
    let _ = http
        .deploy_with(
            "demo",
            json!({"function_name": "flaky", "source": flaky, "allow": {"kv": true}}),
        )
        .expect(201);
    let id = http
        .post("/api/v1/functions/demo/flaky?mode=async", &json!(null))
        .expect(202)
        .json()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = eventually("the retry succeeds", Duration::from_secs(20), || {
        let body = http.get(&format!("/api/v1/invocations/{id}")).expect(200).json();
        (body["status"] == "succeeded").then_some(body)
    });
    assert_eq!((&ended["attempt"], &ended["result"]), (&json!(2), &json!(2)));

    // what waits for its next try says so
    let never = json!({"function_name": "never", "source": "export function handler() { throw new Error('never'); }"});
    let _ = http.deploy_with("demo", never).expect(201);
    let id = http
        .post("/api/v1/functions/demo/never?mode=async", &json!(null))
        .expect(202)
        .json()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    let waits = eventually("it waits for its next try", Duration::from_secs(20), || {
        let body = http.get(&format!("/api/v1/invocations/{id}")).expect(200).json();
        (body["waits"]["reason"] == "not_before").then(|| body["waits"].clone())
    });
    assert!(
        waits["until"].is_string() && waits["message"].is_string(),
        "{waits}"
    );

    // a unit limit is not tried again
    let hog = json!({"function_name": "hog", "source": "export function handler() { for (;;) {} }", "limits": {"units": 100_000}});
    let _ = http.deploy_with("demo", hog).expect(201);
    let id = http
        .post("/api/v1/functions/demo/hog?mode=async", &json!(null))
        .expect(202)
        .json()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = eventually("the hog fails", Duration::from_secs(20), || {
        let body = http.get(&format!("/api/v1/invocations/{id}")).expect(200).json();
        (body["status"] == "failed").then_some(body)
    });
    assert_eq!((&ended["attempt"], &ended["code"]), (&json!(1), &json!("NF0203")));
}

#[test]
fn what_changes_something_is_done_once_under_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    let http = node.http();
    let post = |path: &str, key: &str, body: &Value| {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        http.send("POST", path, body.to_string().as_bytes(), &headers)
    };
    let deploy =
        |n: u32| json!({"function_name": "f", "source": format!("export const handler = () => {n};")});
    let path = "/api/functions/projects/demo";
    let first = post(path, "d1", &deploy(1)).expect(201);
    let again = post(path, "d1", &deploy(1)).expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.json(), again.json());
    assert_eq!(post(path, "d1", &deploy(2)).expect(409).json()["code"], "NF0306");
    assert_eq!(post(path, "", &deploy(2)).expect(400).json()["code"], "NF0317");
    // refused once is not refused for ever
    let _ = post(
        path,
        "d2",
        &json!({"function_name": "f", "source": "export const x = 1;"}),
    )
    .expect(422);
    for n in 2..4 {
        let _ = post(path, &format!("v{n}"), &deploy(n)).expect(200);
    }
    // a step back that is sent twice is one step
    let back = "/api/v1/functions/demo/f/rollback";
    for _ in 0..3 {
        assert_eq!(
            post(back, "back", &json!({})).expect(200).json()["function"]["version"],
            2
        );
    }
    // a key's value is shown once; sent again there is no second key
    let keys = "/api/v1/keys/demo";
    let body = json!({"name": "ci", "scopes": ["deploy"]});
    let made = post(keys, "k1", &body).expect(201).json();
    let refused = post(keys, "k1", &body).expect(409).json();
    assert!(
        refused["message"].as_str().unwrap().contains("shown once"),
        "{refused}"
    );
    assert_eq!(
        http.get(keys).json()["keys"].as_array().unwrap().len(),
        1,
        "{made}"
    );
    // a body that holds a secret is compared, too, though not kept
    let rotate = |key: &str| post("/api/v1/vault/rotate", "r1", &json!({"key": key.repeat(32)}));
    let rotated = rotate("42").expect(200).json();
    assert_eq!(rotate("42").expect(200).json(), rotated);
    assert_eq!(rotate("43").expect(409).json()["code"], "NF0306");
    // the name is the caller's own
    assert_eq!(
        node.anonymous()
            .send("POST", back, b"{}", &[("idempotency-key", "back")])
            .status,
        401
    );
    // and it outlives the node
    node.kill_hard();
    let node = NodeProcess::start_in(&data, &[]);
    let again = node.http().send(
        "POST",
        path,
        deploy(1).to_string().as_bytes(),
        &[("idempotency-key", "d1"), ("content-type", "application/json")],
    );
    assert_eq!(again.expect(201).json(), first.json());
}
