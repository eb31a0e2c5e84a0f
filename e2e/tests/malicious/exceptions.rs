//! What is thrown, in every way that JavaScript has.

use super::{attack, fails_with};
use serde_json::json;

#[test]
fn thrown_things_that_are_not_errors_are_reported() {
    for (name, thrown) in [
        ("t-number", "1"),
        ("t-null", "null"),
        ("t-undefined", "undefined"),
        ("t-string", "'text'"),
        ("t-symbol", "Symbol('s')"),
        ("t-bigint", "10n"),
        ("t-object", "({ a: 1 })"),
        ("t-bare", "Object.create(null)"),
        (
            "t-getter",
            "({ get message() { throw 1; }, get stack() { throw 2; }, toString() { throw 3; } })",
        ),
        (
            "t-proxy",
            "new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } })",
        ),
        (
            "t-fake",
            "Object.assign(new Error('x'), { name: { toString() { for (;;) {} } } })",
        ),
    ] {
        let answer = attack(
            name,
            &format!("export function handler() {{ throw {thrown}; }}"),
            &json!(null),
        );
        assert!(
            ["NF0201", "NF0203"].contains(&answer.code().as_str()),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.status, 500);
    }
}

#[test]
fn rejections_and_promises_that_never_settle_differ() {
    let rejected = "export async function handler() { await null; throw new RangeError('late'); }";
    let answer = attack("rejects", rejected, &json!(null));
    fails_with(&answer, 500, "NF0201");
    assert_eq!(answer.json()["message"], "RangeError: late");
    let never = "export function handler() { return new Promise(() => {}); }";
    fails_with(&attack("never", never, &json!(null)), 500, "NF0207");
    let never = "export async function handler() { await new Promise(() => {}); }";
    fails_with(&attack("never2", never, &json!(null)), 500, "NF0207");
}

#[test]
fn the_stack_points_into_the_users_own_file() {
    let source = "interface Event { n: number }\n\
                  export function handler(event: Event) {\n\
                  \x20 return inner(event);\n\
                  }\n\
                  function inner(event: Event): number {\n\
                  \x20 return missing.value + event.n;\n\
                  }\n";
    let answer = attack("stack", source, &json!({"n": 1}));
    fails_with(&answer, 500, "NF0201");
    let problem = answer.json();
    assert!(
        problem["message"]
            .as_str()
            .unwrap()
            .starts_with("ReferenceError: "),
        "{problem}"
    );
    let stack = problem["stack"].as_array().unwrap();
    assert!(stack[0].as_str().unwrap().contains("index.ts:6:"), "{stack:?}");
    assert!(
        stack.iter().any(|l| l.as_str().unwrap().contains("index.ts:3:")),
        "{stack:?}"
    );
    assert!(
        problem["frame"].as_str().unwrap().contains("missing.value"),
        "{problem}"
    );
}
