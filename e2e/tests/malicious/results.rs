//! What is said and returned, too much of it or no JSON.

use super::{attack, fails_with, http, still_well};
use serde_json::json;

#[test]
fn a_hundred_megabytes_of_logs_are_cut() {
    let source = "export function handler() { const line = 'x'.repeat(1 << 20);
        for (let i = 0; i < 100; i++) console.log(line); return 'done'; }";
    let request = json!({"function_name": "logs", "source": source, "limits": {"units": 100_000_000}});
    let refused = http().deploy_with("demo", request.clone());
    let request = if refused.status == 422 {
        json!({"function_name": "logs", "source": source, "limits": {"units": 10_000_000}})
    } else {
        request
    };
    let answer = http().deploy_with("demo", request);
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    let answer = http().invoke("demo", "logs", &json!(null));
    let body = answer.json();
    let logs = body["logs"].as_array().unwrap();
    let bytes: usize = logs.iter().map(|l| l.as_str().unwrap().len()).sum();
    assert!(bytes <= (64 << 10) + 200, "{bytes} bytes of logs were kept");
    assert!(
        logs.last().unwrap().as_str().unwrap().contains("cut"),
        "{:?}",
        logs.last()
    );
    still_well();
}

#[test]
fn terminal_escapes_in_logs_stay_data() {
    let source = "export function handler() { console.log('\\u001b]0;owned\\u0007\\u001b[2J'); return 1; }";
    let answer = attack("escapes", source, &json!(null)).expect(200);
    assert!(!answer.body.contains('\u{1b}'), "a raw escape in the body");
}

#[test]
fn a_huge_result_is_refused() {
    let source = "export function handler() { return 'x'.repeat(3 << 20); }";
    fails_with(&attack("hugeresult", source, &json!(null)), 500, "NF0208");
    // a hundred megabytes do not fit: whichever limit they meet first says so
    for (name, body) in [
        (
            "hugeresult2",
            "const s = 'x'.repeat(1 << 20); return Array(100).fill(s);",
        ),
        ("hugeresult3", "return 'x'.repeat(100 << 20);"),
        (
            "hugeresult4",
            "return 'x'.repeat(20 << 20).concat('y'.repeat(10 << 20));",
        ),
    ] {
        let answer = attack(
            name,
            &format!("export function handler() {{ {body} }}"),
            &json!(null),
        );
        assert!(
            ["NF0208", "NF0204", "NF0203"].contains(&answer.code().as_str()),
            "{name}: {answer:?}"
        );
    }
}

#[test]
fn results_that_are_not_json_are_refused() {
    for (name, body) in [
        ("bigint", "return 1n;"),
        ("bigint-inside", "return { a: [1n] };"),
        ("cycle", "const a = {}; a.a = a; return a;"),
        ("function", "return () => 1;"),
        ("symbol", "return Symbol('x');"),
    ] {
        let answer = attack(
            name,
            &format!("export function handler() {{ {body} }}"),
            &json!(null),
        );
        fails_with(&answer, 500, "NF0206");
    }
}

#[test]
fn hostile_to_json_and_getters_do_no_harm() {
    for (name, body, codes) in [
        (
            "tojson-throws",
            "return { toJSON() { throw new Error('no'); } };",
            &["NF0201", "NF0206"][..],
        ),
        ("tojson-loop", "return { toJSON() { for (;;) {} } };", &["NF0203"]),
        (
            "getter-throws",
            "return { get a() { throw new TypeError('no'); } };",
            &["NF0201", "NF0206"],
        ),
        (
            "proxy",
            "return new Proxy({}, { ownKeys() { for (;;) {} } });",
            &["NF0203"],
        ),
        (
            "thenable-loop",
            "return { then(r) { r({ then(r2) { for (;;) {} } }); } };",
            &["NF0203"],
        ),
    ] {
        let answer = attack(
            name,
            &format!("export function handler() {{ {body} }}"),
            &json!(null),
        );
        assert!(codes.contains(&answer.code().as_str()), "{name}: {answer:?}");
    }
}
