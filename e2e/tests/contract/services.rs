//! What a function has beside its event.

use neofn_testkit::{NodeProcess, eventually};
use serde_json::{Value, json};
use std::time::Duration;

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
