//! Functions and requests that mean harm. Each has its own clear error, and the node goes on unharmed:
//! after every attack a good function still answers, fast, on the same node.

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

// --- loops, memory, stacks -------------------------------------------------------------------------------------------

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

// --- logs and results ------------------------------------------------------------------------------------------------

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

// --- exceptions ------------------------------------------------------------------------------------------------------

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

// --- isolation -------------------------------------------------------------------------------------------------------

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

// --- requests --------------------------------------------------------------------------------------------------------

#[test]
fn malformed_bodies_are_refused_with_the_place() {
    for body in [
        &b"{"[..],
        b"nope",
        b"{\"a\":}",
        b"[1,]",
        b"\xff\xfe",
        b"{\"a\":1}x",
        b"'a'",
        b"\"\xc3\x28\"",
        b"01",
        b"NaN",
    ] {
        let answer = http().send("POST", "/api/v1/functions/demo/good", body, &[]);
        fails_with(&answer, 400, "NF0308");
    }
    // whatever its Content-Type says; an empty body is null
    let answer = http().send(
        "POST",
        "/api/v1/functions/demo/good",
        b"{\"name\":\"x\"}",
        &[("content-type", "text/plain")],
    );
    assert_eq!(answer.expect(200).json()["result"]["hello"], "x");
    let answer = http().send("POST", "/api/v1/functions/demo/good", b"", &[]);
    assert_eq!(answer.expect(200).json()["result"]["hello"], "nobody");
    still_well();
}

#[test]
fn deep_and_oversize_bodies_are_refused() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", deep.as_bytes(), &[]),
        413,
        "NF0310",
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", objects.as_bytes(), &[]),
        413,
        "NF0310",
    );
    let allowed = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let _ = http()
        .send("POST", "/api/v1/functions/demo/good", allowed.as_bytes(), &[])
        .expect(200);
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", large.as_bytes(), &[]),
        413,
        "NF0309",
    );
    still_well();
}

#[test]
fn unknown_disabled_and_badly_named_functions_are_told_apart() {
    let answer = http().invoke("demo", "nothing-here", &json!(null));
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (404, Some("Function not found"))
    );
    let _ = deploy("off", "export function handler() { return 1; }").expect(201);
    let _ = http()
        .send(
            "PATCH",
            "/api/v1/functions/demo/off",
            b"{\"is_active\":false}",
            &[],
        )
        .expect(200);
    fails_with(&http().invoke("demo", "off", &json!(null)), 409, "NF0302");
    for name in [
        "UPPER",
        "-dash",
        "dash-",
        "a%20b",
        "%2e%2e",
        "a%00b",
        "%F0%9F%92%A9",
        &"x".repeat(65),
    ] {
        let answer = http().invoke("demo", name, &json!(null));
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    let answer = deploy("Bad Name", "export function handler() {}");
    fails_with(&answer, 400, "NF0311");
    still_well();
}

// --- sources ---------------------------------------------------------------------------------------------------------

fn refused(name: &str, source: &str, statuses: &[u16], codes: &[&str]) {
    let started = Instant::now();
    let answer = deploy(name, source);
    assert!(
        statuses.contains(&answer.status),
        "{name}: {} {}",
        answer.status,
        answer.code()
    );
    assert!(
        codes.contains(&answer.code().as_str()),
        "{name}: {}",
        answer.body.chars().take(400).collect::<String>()
    );
    assert!(
        answer.body.len() < 100_000,
        "{name}: an answer of {} bytes",
        answer.body.len()
    );
    assert!(
        started.elapsed() < ANSWERS_WITHIN,
        "{name} took {:?}",
        started.elapsed()
    );
    still_well();
}

#[test]
fn a_source_of_ten_megabytes_is_refused() {
    let source = format!(
        "export function handler() {{ return 1; }}\n{}",
        "globalThis.a = 1;\n".repeat(600_000)
    );
    refused("tenmb", &source, &[413], &["NF0107"]);
    let source = format!(
        "export const data = \"{}\"; export function handler() {{ return data.length; }}",
        "x".repeat(10 << 20)
    );
    refused("tenmb2", &source, &[413], &["NF0107"]);
    // neither does what the bundler would drop make it small
    let handler = "export function handler() { return 1; }";
    let ten = "x".repeat(10 << 20);
    for source in [
        format!("// {ten}\n{handler}"),
        format!("{}{handler}", " ".repeat(10 << 20)),
        format!("const dead = \"{ten}\";\n{handler}"),
    ] {
        refused("tenmb3", &source, &[413], &["NF0107"]);
    }
}

#[test]
fn one_long_line_is_taken_and_its_errors_are_short() {
    let filler = "globalThis.a=1;".repeat(40_000);
    let good = format!("{filler}export function handler(){{return globalThis.a}}");
    let answer = deploy("oneline", &good);
    assert_eq!(
        answer.status,
        201,
        "{}",
        answer.body.chars().take(400).collect::<String>()
    );
    refused(
        "oneline-bad",
        &format!("{filler}export function handler(){{return (}}"),
        &[422],
        &["NF0101"],
    );
}

#[test]
fn deeply_nested_sources_are_refused() {
    // parentheses alone leave no trace in the syntax tree: a parser that survives them may take them
    let parens = format!(
        "export const handler = () => {}1{};",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    let answer = deploy("parens", &parens);
    assert!(answer.status == 201 || answer.code() == "NF0108", "{answer:?}");
    still_well();
    let shapes: [(&str, String); 6] = [
        (
            "objects",
            format!(
                "export const handler = () => ({}1{});",
                "{a:".repeat(10_000),
                "}".repeat(10_000)
            ),
        ),
        (
            "arrays",
            format!(
                "export const handler = () => {}{};",
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
        ),
        (
            "functions",
            format!(
                "export function handler() {{ {}1{} }}",
                "(function(){return ".repeat(10_000),
                "})()".repeat(10_000)
            ),
        ),
        (
            "blocks",
            format!(
                "export function handler() {{ {}{} }}",
                "{".repeat(10_000),
                "}".repeat(10_000)
            ),
        ),
        (
            "templates",
            format!(
                "export const handler = () => {}1{};",
                "`${{".replace("{{", "{").repeat(10_000),
                "}`".repeat(10_000)
            ),
        ),
        (
            "unary",
            format!("export const handler = () => {}1;", "!".repeat(100_000)),
        ),
    ];
    for (name, source) in shapes {
        refused(
            name,
            &source,
            &[413, 422],
            &["NF0108", "NF0116", "NF0120", "NF0205"],
        );
    }
}

#[test]
fn sources_without_one_clear_handler_are_refused() {
    refused("none", "export const x = 1;", &[422], &["NF0102"]);
    refused(
        "two",
        "export function handler() {} export default function () {}",
        &[422],
        &["NF0103"],
    );
    refused("syntax", "export function handler( {", &[422], &["NF0101"]);
    refused(
        "dynamic",
        "export async function handler(e) { return import(e.name); }",
        &[422],
        &["NF0104"],
    );
    refused(
        "outside",
        "import x from '../../etc/passwd'; export function handler() { return x; }",
        &[422],
        &["NF0105"],
    );
    refused(
        "builtin",
        "import fs from 'node:fs'; export function handler() { return fs; }",
        &[422],
        &["NF0105"],
    );
}

#[test]
fn a_top_level_that_misbehaves_is_refused() {
    refused(
        "top-loop",
        "for (;;) {}\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    refused(
        "top-throw",
        "throw new Error('no');\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    refused(
        "top-await",
        "await new Promise(() => {});\nexport function handler() {}",
        &[422],
        &["NF0120"],
    );
    let hog = "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1));\nexport function handler() {}";
    refused("top-memory", hog, &[422], &["NF0120"]);
}

#[test]
fn a_refused_deployment_leaves_the_old_version_serving() {
    let _ = deploy("steady", "export function handler() { return 'v1'; }").expect(201);
    for bad in [
        "export function handler( {",
        "throw 1; export function handler() {}",
        "export const a = 1;",
    ] {
        let _ = deploy("steady", bad).expect(422);
        let answer = http().invoke("demo", "steady", &json!(null)).expect(200);
        assert_eq!(
            (
                answer.json()["result"].as_str(),
                answer.json()["version"].as_u64()
            ),
            (Some("v1"), Some(1))
        );
    }
}

// --- WebAssembly -----------------------------------------------------------------------------------------------------

/// Hand-assembled modules: magic, version, then sections of (id, size, content).
fn module(sections: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for section in sections {
        bytes.extend_from_slice(section);
    }
    bytes
}

fn deploy_module(name: &str, bytes: &[u8]) -> Answer {
    http().deploy_with(
        "demo",
        json!({"function_name": name, "runtime": "wasm", "module": base64(bytes),
        "limits": {"units": 5_000_000, "time": "30s"}}),
    )
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |acc, b| (acc << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[sextet as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[test]
fn hostile_modules_are_refused() {
    // one type () -> (), one function, exported as _start
    let types: &[u8] = &[1, 4, 1, 0x60, 0, 0];
    let functions: &[u8] = &[3, 2, 1, 0];
    let export: &[u8] = &[7, 10, 1, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0];
    let empty: &[u8] = &[10, 4, 1, 2, 0, 0x0b];

    let answer = deploy_module("garbage", b"not a module at all");
    fails_with(&answer, 422, "NF0117");
    // 32 768 pages: 2 GiB
    let memory: &[u8] = &[5, 5, 1, 0, 0x80, 0x80, 2];
    fails_with(
        &deploy_module("twogib", &module(&[types, functions, memory, export, empty])),
        422,
        "NF0119",
    );
    // an import of env.host
    let import: &[u8] = &[2, 12, 1, 3, b'e', b'n', b'v', 4, b'h', b'o', b's', b't', 0, 0];
    let export1: &[u8] = &[7, 10, 1, 6, b'_', b's', b't', b'a', b'r', b't', 0, 1];
    fails_with(
        &deploy_module("import", &module(&[types, import, functions, export1, empty])),
        422,
        "NF0118",
    );
    still_well();
}

#[test]
fn modules_that_loop_are_stopped() {
    let types: &[u8] = &[1, 4, 1, 0x60, 0, 0];
    let functions: &[u8] = &[3, 2, 1, 0];
    let memory: &[u8] = &[5, 3, 1, 0, 1];
    let exports: &[u8] = &[
        7, 19, 2, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0, 6, b'm', b'e', b'm', b'o', b'r', b'y', 2, 0,
    ];
    // loop br 0 end end
    let body: &[u8] = &[10, 9, 1, 7, 0, 3, 0x40, 0x0c, 0, 0x0b, 0x0b];
    let answer = deploy_module("wloop", &module(&[types, functions, memory, exports, body]));
    assert_eq!(answer.status, 201, "{answer:?}");
    fails_with(&http().invoke("demo", "wloop", &json!(null)), 500, "NF0203");
    // the same loop as the module's start function
    let start: &[u8] = &[8, 1, 0];
    let answer = deploy_module(
        "wstart",
        &module(&[types, functions, memory, exports, start, body]),
    );
    if answer.status == 201 {
        fails_with(&http().invoke("demo", "wstart", &json!(null)), 500, "NF0203");
    } else {
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    still_well();
}
