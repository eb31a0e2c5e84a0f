//! Loops, memory and stacks without end.

use super::{attack, fails_with, http, still_well};
use serde_json::json;

#[test]
fn endless_loop_meets_the_unit_limit() {
    let answer = attack("loop", "export function handler() { for (;;) {} }", &json!(null));
    fails_with(&answer, 500, "NF0203");
    assert_eq!(answer.json()["units"]["total"], 5_000_000);
}

#[test]
fn endless_loop_with_many_units_meets_the_clock() {
    let request = json!({"function_name": "spin", "source": "export function handler() { for (;;) {} }",
        "limits": {"units": 10_000_000, "time": "200ms"}});
    let _ = http().deploy_with("demo", request).expect(201);
    fails_with(&http().invoke("demo", "spin", &json!(null)), 504, "NF0202");
    still_well();
}

#[test]
fn endless_promise_jobs_meet_the_unit_limit() {
    let source = "export async function handler() { for (;;) await null; }";
    fails_with(&attack("jobs", source, &json!(null)), 500, "NF0203");
}

#[test]
fn catastrophic_regex_is_stopped() {
    let source = "export function handler(e) { return /^(a+)+$/.test(e.s); }";
    let event = json!({"s": format!("{}!", "a".repeat(40))});
    fails_with(&attack("redos", source, &event), 500, "NF0203");
}

#[test]
fn memory_bomb_is_stopped() {
    let source =
        "export function handler() { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); }";
    fails_with(&attack("bomb", source, &json!(null)), 500, "NF0204");
}

#[test]
fn string_doubling_is_stopped() {
    let source = "export function handler() { let s = 'x'; for (;;) s += s; }";
    let answer = attack("doubling", source, &json!(null));
    assert!(
        answer.code() == "NF0204" || answer.code() == "NF0201",
        "{answer:?}"
    );
}

#[test]
fn deep_recursion_is_a_stack_overflow() {
    let source = "export function handler() { function f(n) { return 1 + f(n + 1); } return f(0); }";
    fails_with(&attack("recursion", source, &json!(null)), 500, "NF0205");
}

#[test]
fn deep_json_in_the_guest_is_a_stack_overflow() {
    let source = "export function handler() { return JSON.parse('['.repeat(200000) + ']'.repeat(200000)); }";
    let answer = attack("deepparse", source, &json!(null));
    assert!(
        ["NF0205", "NF0201"].contains(&answer.code().as_str()),
        "{answer:?}"
    );
}

#[test]
fn deep_json_as_a_result_is_refused() {
    let source =
        "export function handler() { let a = []; for (let i = 0; i < 200000; i++) a = [a]; return a; }";
    let answer = attack("deepresult", source, &json!(null));
    assert!(
        ["NF0205", "NF0206", "NF0208"].contains(&answer.code().as_str()),
        "{answer:?}"
    );
}

#[test]
fn promise_flood_is_stopped() {
    let source = "export async function handler() { const a = []; for (;;) a.push(new Promise(() => {})); }";
    let answer = attack("promises", source, &json!(null));
    assert!(
        ["NF0203", "NF0204"].contains(&answer.code().as_str()),
        "{answer:?}"
    );
}

#[test]
fn host_call_flood_is_stopped() {
    let source = "export async function handler(e, ctx) {
        const all = []; for (let i = 0; i < 1100; i++) all.push(ctx.kv.get('k' + i)); await Promise.all(all); }";
    let request = json!({"function_name": "flood", "source": source, "allow": {"kv": true}});
    let _ = http().deploy_with("demo", request).expect(201);
    fails_with(&http().invoke("demo", "flood", &json!(null)), 500, "NF0211");
    still_well();
}
