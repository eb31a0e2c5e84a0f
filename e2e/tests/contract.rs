//! The HTTP contract from outside: shapes, statuses, credentials, versions, idempotency, async, logs.

use neofn_testkit::{Http, NodeProcess, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const HELLO: &str = "import type { Context } from 'neofn';
export async function handler(event: { name: string }, ctx: Context) {
  console.log('hello', event.name, { n: 1 });
  return { greeting: `Hello, ${event.name}` };
}";

fn iso8601(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

#[test]
fn deploy_and_invoke_have_the_shapes_of_the_design() {
    let node = NodeProcess::start();
    let http = node.http();
    let answer = http.deploy("demo", "hello", HELLO).expect(201);
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["warnings"], json!([]));
    let function = &body["function"];
    assert_eq!(function["function_name"], "hello");
    assert_eq!(function["runtime"], "js");
    assert_eq!(function["file_path"], "index.ts");
    assert_eq!(
        (&function["is_active"], &function["version"]),
        (&json!(true), &json!(1))
    );
    assert!(iso8601(&function["created_at"]), "{function}");

    let answer = http
        .invoke("demo", "hello", &json!({"name": "World"}))
        .expect(200);
    assert!(answer.header("traceparent").is_some(), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["result"], json!({"greeting": "Hello, World"}));
    assert_eq!(body["logs"], json!(["[LOG] hello World {\"n\":1}"]));
    assert_eq!(body["version"], 1);
    assert!(body["duration"].is_number() && body["invocationId"].is_string());
    let units = &body["units"];
    let parts: u64 = ["base", "compute", "memory", "host"]
        .iter()
        .map(|k| units[*k].as_u64().unwrap())
        .sum();
    assert_eq!(units["total"].as_u64(), Some(parts));
    assert_eq!(
        (units["base"].as_u64(), units["schedule"].as_u64()),
        (Some(10_000), Some(1))
    );

    let body = http.get("/api/v1/functions/demo/hello").expect(200).json();
    assert_eq!(body["function"]["invocation_count"], 1);
    let body = http.get("/api/v1/projects/demo/functions").expect(200).json();
    assert_eq!(
        (&body["count"], &body["functions"][0]["function_name"]),
        (&json!(1), &json!("hello"))
    );
    let body = http.get("/api/functions/projects/demo").expect(200).json();
    assert_eq!(body["count"], 1);

    let id = http
        .invoke("demo", "hello", &json!({"name": "x"}))
        .expect(200)
        .json()["invocationId"]
        .clone();
    let body = http
        .get(&format!("/api/v1/invocations/{}", id.as_str().unwrap()))
        .expect(200)
        .json();
    assert_eq!(
        (&body["status"], &body["result"]["greeting"]),
        (&json!("succeeded"), &json!("Hello, x"))
    );
    let body = http
        .get("/api/v1/functions/demo/hello/invocations?limit=1")
        .expect(200)
        .json();
    assert_eq!(body["invocations"].as_array().unwrap().len(), 1);
    assert!(body["next"].is_string());
}

#[test]
fn units_are_the_same_on_every_run_and_in_every_layout() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let mut seen = std::collections::BTreeSet::new();
    // enough calls, at once and in a row, to be served cold, promoted and hot
    for _ in 0..30 {
        let answer = http.invoke("demo", "hello", &json!({"name": "Neo"})).expect(200);
        let _ = seen.insert(answer.json()["units"].to_string());
    }
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let http = http.clone();
            std::thread::spawn(move || {
                (0..20)
                    .map(|_| {
                        http.invoke("demo", "hello", &json!({"name": "Neo"})).json()["units"].to_string()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for thread in threads {
        seen.extend(thread.join().unwrap());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn credentials_decide() {
    let node = NodeProcess::start();
    let (http, anonymous) = (node.http(), node.anonymous());
    let _ = http.deploy("demo", "private", HELLO).expect(201);
    let public = json!({"function_name": "open", "source": HELLO, "public": true});
    let _ = http.deploy_with("demo", public).expect(201);

    let _ = anonymous
        .invoke("demo", "open", &json!({"name": "x"}))
        .expect(200);
    assert_eq!(
        anonymous
            .invoke("demo", "private", &json!({"name": "x"}))
            .expect(401)
            .code(),
        "NF0401"
    );
    // an unknown function looks the same as a private one
    assert_eq!(
        anonymous
            .invoke("demo", "nothing", &json!(null))
            .expect(401)
            .code(),
        "NF0401"
    );
    let wrong = Http::new(
        node.url(),
        Some("nfk_0000000000000000_000000000000000000000000000000000000000000000000_00000000"),
    );
    assert_eq!(
        wrong
            .invoke("demo", "private", &json!({"name": "x"}))
            .expect(401)
            .code(),
        "NF0401"
    );
    for path in ["/health", "/ready", "/openapi.json", "/docs"] {
        let _ = anonymous.get(path).expect(200);
    }
    for path in [
        "/api/v1/functions/demo/private",
        "/api/v1/projects/demo/functions",
        "/api/v1/functions/demo/private/logs",
    ] {
        let _ = anonymous.get(path).expect(401);
    }
    let _ = anonymous.deploy("demo", "evil", HELLO).expect(401);
    let key_file = node.data().join("admin.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(key_file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

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

#[test]
fn kv_commits_with_the_result_or_not_at_all() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = "export async function handler(e, ctx) {
        switch (e.do) {
            case 'put': { await ctx.kv.put('a', e.value); const own = await ctx.kv.get('a'); if (e.fail) throw new Error('no'); return own; }
            case 'get': return await ctx.kv.get('a');
            case 'cas': return await ctx.kv.put('c', e.value, { ifRevision: e.revision });
            case 'getc': return await ctx.kv.getWithRevision('c');
            case 'ttl': await ctx.kv.put('t', 1, { ttlMs: 30 }); return 1;
            case 'gett': return await ctx.kv.get('t');
            case 'list': { for (const k of ['p/1', 'p/2', 'q/1']) await ctx.kv.put(k, k); return await ctx.kv.list({ prefix: 'p/' }); }
            case 'delete': await ctx.kv.delete('a'); return await ctx.kv.get('a');
        } }";
    let _ = http
        .deploy_with(
            "demo",
            json!({"function_name": "kv", "source": source, "allow": {"kv": true}}),
        )
        .expect(201);
    let run = |event: Value| http.invoke("demo", "kv", &event);
    let value = |event: Value| run(event).expect(200).json()["result"].clone();
    assert_eq!(
        run(json!({"do": "get"})).expect(200).json()["result"],
        json!(null)
    );
    assert_eq!(value(json!({"do": "put", "value": {"x": 1}})), json!({"x": 1}));
    assert_eq!(value(json!({"do": "get"})), json!({"x": 1}));
    let _ = run(json!({"do": "put", "value": 2, "fail": true})).expect(500);
    assert_eq!(value(json!({"do": "get"})), json!({"x": 1}));
    let _ = run(json!({"do": "cas", "value": 1, "revision": null})).expect(200);
    let refused = run(json!({"do": "cas", "value": 2, "revision": null}));
    assert_eq!(refused.code(), "NF0501", "{refused:?}");
    let revision = run(json!({"do": "getc"})).expect(200).json()["result"]["revision"].clone();
    let _ = run(json!({"do": "cas", "value": 3, "revision": revision})).expect(200);
    assert_eq!(value(json!({"do": "getc"}))["value"], 3);
    let _ = run(json!({"do": "ttl"})).expect(200);
    eventually("the entry expires", Duration::from_secs(5), || {
        (run(json!({"do": "gett"})).expect(200).json()["result"].is_null()).then_some(())
    });
    let listed = run(json!({"do": "list"})).expect(200).json()["result"].clone();
    let keys: Vec<_> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["key"].clone())
        .collect();
    assert_eq!(keys, ["p/1", "p/2"]);
    assert_eq!(
        run(json!({"do": "delete"})).expect(200).json()["result"],
        json!(null)
    );
}

#[test]
fn functions_call_each_other() {
    let node = NodeProcess::start();
    let http = node.http();
    let callee = "export function handler(e) { if (e.fail) throw new Error('callee'); return e.n * 2; }";
    let caller = "export async function handler(e, ctx) {
        try { return await Promise.all([1, 2, 3].map((n) => ctx.invoke('double', { n, fail: e.fail }))); }
        catch (error) { return { caught: error.message, code: error.code }; } }";
    let recursive = "export async function handler(e, ctx) { return await ctx.invoke('recursive', e); }";
    for (name, source) in [("double", callee), ("caller", caller), ("recursive", recursive)] {
        let _ = http.deploy("demo", name, source).expect(201);
    }
    let own = http.invoke("demo", "double", &json!({"n": 1})).expect(200).json()["units"]["total"]
        .as_u64()
        .unwrap();
    let body = http.invoke("demo", "caller", &json!({})).expect(200).json();
    assert_eq!(body["result"], json!([2, 4, 6]));
    // the caller pays for its callees
    assert!(
        body["units"]["host"].as_u64().unwrap() >= 3 * (10_000 + own),
        "{body}"
    );
    let body = http
        .invoke("demo", "caller", &json!({"fail": true}))
        .expect(200)
        .json();
    assert_eq!(body["result"]["code"], "NF0201");
    let answer = http.invoke("demo", "recursive", &json!({}));
    assert!(answer.body.contains("NF0214"), "{answer:?}");
}

#[test]
fn http_endpoints_are_the_functions_own() {
    let node = NodeProcess::start();
    let source = "export function handler(e) {
        return { statusCode: 418, headers: { 'x-own': e.method }, body: JSON.stringify({ path: e.path, q: e.query, b: e.body, auth: e.headers.authorization ?? null }) }; }";
    let _ = node
        .http()
        .deploy_with(
            "demo",
            json!({"function_name": "web", "source": source, "public": true}),
        )
        .expect(201);
    let answer = node.anonymous().send(
        "PUT",
        "/f/demo/web/a/b?x=1&x=2",
        b"text",
        &[("authorization", "Basic eA==")],
    );
    let answer = answer.expect(418);
    assert_eq!(answer.header("x-own"), Some("PUT"));
    let body = answer.json();
    assert_eq!(body["path"], "/a/b");
    assert_eq!(
        (&body["b"], &body["auth"]),
        (&json!("text"), &json!("Basic eA=="))
    );
}

#[test]
fn replay_is_exact_and_shows_differences() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = |extra: &str| {
        format!(
            "export async function handler(e, ctx) {{ const v = await ctx.kv.get('k'); console.log('v', v ?? 'none');
             await ctx.kv.put('k', Math.random()); {extra}
             return {{ now: Date.now(), random: Math.random(), uuid: crypto.randomUUID(), v }}; }}"
        )
    };
    let request = |extra: &str| json!({"function_name": "r", "source": source(extra), "allow": {"kv": true}});
    let _ = http.deploy_with("demo", request("")).expect(201);
    let _ = http.invoke("demo", "r", &json!(null)).expect(200);
    let ran = http.invoke("demo", "r", &json!(null)).expect(200).json();
    let path = format!(
        "/api/v1/invocations/{}/replay",
        ran["invocationId"].as_str().unwrap()
    );
    let same = http.post(&path, &json!({})).expect(200).json();
    assert_eq!(same["identical"], true, "{same}");
    assert_eq!(same["replayed"]["result"], ran["result"]);
    let _ = http
        .deploy_with("demo", request("console.log('new line');"))
        .expect(200);
    let other = http.post(&path, &json!({"version": 2})).expect(200).json();
    assert_eq!(other["identical"], false);
    assert_eq!(other["replayed"]["logs"].as_array().unwrap().len(), 2);
}

#[test]
fn logs_can_be_read_and_followed() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let _ = http
        .invoke("demo", "hello", &json!({"name": "first"}))
        .expect(200);
    assert!(
        http.get("/api/v1/functions/demo/hello/logs")
            .expect(200)
            .body
            .contains("hello first")
    );
    let mut socket = std::net::TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        socket,
        "GET /api/v1/functions/demo/hello/logs?follow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        node.key()
    )
    .unwrap();
    let mut lines = BufReader::new(socket).lines();
    assert!(lines.next().unwrap().unwrap().contains("200"));
    while !lines.next().unwrap().unwrap().is_empty() {}
    let _ = http
        .invoke("demo", "hello", &json!({"name": "second"}))
        .expect(200);
    let found = lines
        .map_while(Result::ok)
        .find(|l| l.starts_with("data:") && l.contains("hello second"));
    assert!(found.is_some());
}

#[test]
fn a_connection_outlives_a_refusal_that_came_before_the_body() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let node = NodeProcess::start();
    let socket = std::net::TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut answer = || {
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status).unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            line.clear();
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new()).unwrap();
        status
    };
    let mut socket = &socket;
    for _ in 0..3 {
        write!(
            socket,
            "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
        )
        .unwrap();
        assert!(answer().contains("401"), "refused before the body is there");
        write!(socket, "{{}}").unwrap();
    }
    write!(socket, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answer().contains("200"));
}

#[test]
fn metrics_openapi_and_traces() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = http
        .send(
            "POST",
            "/api/v1/functions/demo/hello",
            b"{\"name\":\"t\"}",
            &[("traceparent", trace)],
        )
        .expect(200);
    assert!(
        answer
            .header("traceparent")
            .unwrap()
            .contains("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    let metrics = http.get("/metrics").expect(200).body;
    for name in [
        "neofn_invocations_total",
        "neofn_invocation_duration_seconds_bucket",
        "neofn_invocation_units",
        "neofn_queue_depth",
        "neofn_sandbox_restarts_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing:\n{metrics}");
    }
    let openapi = http.get("/openapi.json").expect(200).json();
    for path in [
        "/api/v1/functions/{project}/{function}",
        "/api/functions/projects/{project}",
        "/api/v1/invocations/{id}",
        "/health",
    ] {
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
    let health = http.get("/health").expect(200).json();
    assert_eq!(
        (&health["totalInvocations"], &health["failedInvocations"]),
        (&json!(1), &json!(0))
    );
    assert!(health["jail"]["tier"].is_string());
    let answer = http.get("/api/v1/nothing").expect(404);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let answer = http.send("PUT", "/health", b"", &[]).expect(405);
    assert_eq!(answer.code(), "NF0315");
}
