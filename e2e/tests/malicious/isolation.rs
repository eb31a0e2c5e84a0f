//! What one call leaves for the next, and what is in reach.

use super::{attack, deploy, fails_with, http, still_well};
use serde_json::json;

#[test]
fn pollution_does_not_reach_the_next_invocation() {
    let source = "let count = 0;
        export function handler() {
            const before = { polluted: ({}).polluted, count, own: globalThis.mine, push: [].push.tampered };
            Object.prototype.polluted = 'yes'; globalThis.mine = 1; Array.prototype.push.tampered = true; count++;
            JSON.stringify = JSON.stringify; Date.now = () => 0; Math.random = () => 0;
            return before; }";
    let _ = deploy("pollute", source).expect(201);
    for _ in 0..40 {
        let answer = http().invoke("demo", "pollute", &json!(null)).expect(200);
        assert_eq!(answer.json()["result"], json!({"count": 0}));
    }
    still_well();
}

#[test]
fn there_is_no_way_to_compile_text() {
    for (name, body) in [
        ("eval", "return eval('1+1');"),
        ("eval-hidden", "return globalThis['ev' + 'al']('1+1');"),
        ("new-function", "return new Function('return 1')();"),
        ("constructor", "return (() => {}).constructor('return 1')();"),
        (
            "async-constructor",
            "return (async () => {}).constructor('return 1')();",
        ),
        (
            "generator-constructor",
            "return (function* () {}).constructor('return 1')().next();",
        ),
    ] {
        let answer = attack(
            name,
            &format!("export function handler() {{ {body} }}"),
            &json!(null),
        );
        fails_with(&answer, 500, "NF0201");
    }
}

#[test]
fn nothing_of_the_machine_is_in_reach() {
    let source = "export function handler() {
        const names = ['process', 'require', 'Deno', 'Bun', 'std', 'os', 'bjson', 'scriptArgs', 'setTimeout', 'setInterval',
            'XMLHttpRequest', 'WebSocket', 'Worker', 'SharedArrayBuffer', 'WebAssembly', '__host', '__loadScript'];
        return names.filter((n) => typeof globalThis[n] !== 'undefined'); }";
    let answer = attack("reach", source, &json!(null)).expect(200);
    let found = answer.json()["result"].clone();
    assert!(
        found.as_array().unwrap().iter().all(|n| n == "SharedArrayBuffer"),
        "{found}"
    );
}

#[test]
fn a_service_that_is_not_granted_says_which_line_to_add() {
    let source = "export async function handler(e, ctx) { return await ctx.kv.get('a'); }";
    let answer = attack("denied", source, &json!(null));
    fails_with(&answer, 500, "NF0210");
    assert!(answer.body.contains("kv = true"), "{answer:?}");
}

#[test]
fn two_loops_do_not_stop_the_rest() {
    let request = json!({"function_name": "hog", "source": "export function handler() { for (;;) {} }",
        "limits": {"units": 10_000_000, "time": "3s"}});
    let _ = http().deploy_with("demo", request).expect(201);
    let hogs: Vec<_> = (0..4)
        .map(|_| {
            let http = http();
            std::thread::spawn(move || http.invoke("demo", "hog", &json!(null)))
        })
        .collect();
    for _ in 0..20 {
        still_well();
    }
    for hog in hogs {
        let answer = hog.join().unwrap();
        assert!(
            ["NF0202", "NF0203"].contains(&answer.code().as_str()),
            "{answer:?}"
        );
    }
}
