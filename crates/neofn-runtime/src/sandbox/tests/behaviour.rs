//! What a function sees, and every way a run can end.

use super::*;
use neofn_types::Code;
use serde_json::json as j;

#[test]
fn a_handler_answers_its_event() {
    let core = run(
        "export async function handler(event, ctx) { console.log('hello', event.name, {a: [1, null]}, 2n, undefined); console.warn('w'); return { greeting: `Hello, ${event.name}`, fn: ctx.functionName, at: ctx.timestamp, v: ctx.version, until: ctx.deadline }; }",
        r#"{"name":"Neo"}"#,
    );
    assert_eq!(
        json(&core),
        j!({"greeting": "Hello, Neo", "fn": "hello", "at": "2023-11-14T22:13:20.123Z", "v": 3, "until": "2023-11-14T22:23:20.123Z"})
    );
    assert_eq!(
        core.logs,
        ["[LOG] hello Neo {\"a\":[1,null]} 2n undefined", "[WARN] w"]
    );
}

#[test]
fn handlers_are_found_by_name() {
    assert_eq!(json(&run("export default (e) => e + 1", "1")), j!(2));
    assert_eq!(json(&run("globalThis.main = (e) => e + 2", "1")), j!(3));
    assert_eq!(
        json(&run(
            "export const handler = (e) => e; export const other = 5;",
            "\"x\""
        )),
        j!("x")
    );
    assert_eq!(prepare("export const x = 1").unwrap_err().code, Code::NoHandler);
    assert_eq!(prepare("").unwrap_err().code, Code::NoHandler);
    let two = prepare("export function handler() {} export default function () {}").unwrap_err();
    assert_eq!(two.code, Code::TwoHandlers);
    assert_eq!(
        prepare("globalThis.main = () => 1; export function handler() {}")
            .unwrap_err()
            .code,
        Code::TwoHandlers
    );
}

#[test]
fn modules_that_cannot_be_loaded_say_why() {
    let syntax = prepare("export function handler( {").unwrap_err();
    assert_eq!(syntax.code, Code::Syntax, "{syntax:?}");
    assert_eq!(syntax.stack[0].line, 1);
    let import = prepare("import x from 'fs'; export default () => x").unwrap_err();
    assert_eq!(import.code, Code::ImportOutside, "{import:?}");
    let thrown =
        prepare("const a = 1;\nthrow new TypeError('at load');\nexport default () => 1").unwrap_err();
    assert_eq!(
        (thrown.code, thrown.message.as_str()),
        (Code::Uncaught, "TypeError: at load")
    );
    assert_eq!(thrown.stack[0].line, 2);
    let looping = prepare("for (;;) {}\nexport default () => 1").unwrap_err();
    assert_eq!(looping.code, Code::UnitLimit);
    let waiting = prepare("await new Promise(() => {}); export default () => 1").unwrap_err();
    assert_eq!(waiting.code, Code::NeverSettled);
    let random = prepare("crypto.randomUUID(); export default () => 1").unwrap_err();
    assert!(
        random
            .message
            .contains("not available while the module is loaded"),
        "{random:?}"
    );
    let (made, logs) = prepare_with(
        "console.info('loaded', performance.now()); await null; export default () => 1",
        MEMORY,
    );
    assert!(made.is_ok());
    assert_eq!(logs, ["[INFO] loaded 0"]);
    let big = prepare_with(
        "globalThis.x = new Uint8Array(8 << 20); export default () => x.length",
        4 << 20,
    )
    .0;
    assert_eq!(big.unwrap_err().code, Code::MemoryLimit);
}

#[test]
fn no_code_is_made_at_run_time() {
    let code = r"
        const tries = {
            eval: () => eval('1'), indirect: () => (0, eval)('1'), Function: () => new Function('return 1')(),
            constructor: () => (() => {}).constructor('return 1')(),
            async: () => (async () => {}).constructor('return 1')(),
            generator: () => (function* () {}).constructor('yield 1')(),
        };
        const look = () => Object.fromEntries(Object.entries(tries).map(([name, f]) => { try { f(); return [name, 'ran']; } catch (e) { return [name, e.name]; } }));
        const early = look();
        export default async () => { let imported; try { await import('x'); imported = 'ran'; } catch (e) { imported = 'threw'; } return { early, late: look(), imported }; }";
    let threw = j!({"eval": "TypeError", "indirect": "TypeError", "Function": "TypeError", "constructor": "TypeError", "async": "TypeError", "generator": "TypeError"});
    assert_eq!(
        json(&run(code, "null")),
        j!({"early": threw, "late": threw, "imported": "threw"})
    );
}

#[test]
fn nothing_of_a_machine_is_there() {
    let code = "export default () => ['setTimeout', 'setInterval', 'XMLHttpRequest', 'process', 'require', 'std', 'os', 'Worker', 'WebAssembly', 'SharedArrayBuffer'].filter((n) => typeof globalThis[n] !== 'undefined' && n !== 'SharedArrayBuffer')";
    assert_eq!(json(&run(code, "null")), j!([]));
}

#[test]
fn thrown_errors_carry_message_and_place() {
    let core = run(
        "export function handler(e) {\n  inner();\n}\nfunction inner() {\n  missing.x;\n}",
        "null",
    );
    let f = failure(&core);
    assert_eq!(
        (f.code, f.message.as_str()),
        (Code::Uncaught, "ReferenceError: missing is not defined")
    );
    let places: Vec<_> = f.stack.iter().map(|s| (s.function.as_str(), s.line)).collect();
    assert_eq!(places, [("inner", 5), ("handler", 2)]);
    let core = run(
        "export default async () => { await null; throw new RangeError('later'); }",
        "null",
    );
    assert_eq!(failure(&core).message, "RangeError: later");
}

#[test]
fn anything_can_be_thrown_without_harm() {
    for (thrown, message) in [
        ("1", "Uncaught 1"),
        ("null", "Uncaught null"),
        ("undefined", "Uncaught undefined"),
        ("'text'", "Uncaught text"),
        ("{a: 1}", r#"Uncaught {"a":1}"#),
        (
            "new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; }, ownKeys() { throw 3; } })",
            "Uncaught",
        ),
        (
            "{ get message() { throw 1; }, toJSON() { throw 2; }, toString() { throw 3; } }",
            "Uncaught",
        ),
        (
            "Object.defineProperty(new Error('x'), 'message', { get() { throw 1; } })",
            "Error",
        ),
        ("Symbol('s')", "Uncaught"),
    ] {
        let core = run(&format!("export default () => {{ throw {thrown}; }}"), "null");
        let f = failure(&core);
        assert_eq!(f.code, Code::Uncaught, "{thrown}");
        assert!(f.message.starts_with(message), "{thrown}: {}", f.message);
        let rejected = run(&format!("export default () => Promise.reject({thrown})"), "null");
        assert_eq!(failure(&rejected).message, f.message);
    }
    let endless = run(
        "export default () => { throw { get name() { for (;;) {} } }; }",
        "null",
    );
    assert_eq!(failure(&endless).code, Code::UnitLimit);
}

#[test]
fn results_are_json_or_an_error() {
    assert_eq!(json(&run("export default () => {}", "null")), j!(null));
    let value = r#"export default () => ({ a: undefined, d: new Date(0), lone: ['\ud800', 'a\udc00b', '\ud83d\ude00', '\\ud800'], n: NaN })"#;
    assert_eq!(
        json(&run(value, "null")),
        j!({"d": "1970-01-01T00:00:00.000Z", "lone": ["\u{fffd}", "a\u{fffd}b", "😀", "\\ud800"], "n": null})
    );
    assert_eq!(
        json(&run(
            "export default () => ({ then(resolve) { resolve(5); } })",
            "null"
        )),
        j!(5)
    );
    for value in [
        "1n",
        "(() => { const a = {}; a.a = a; return a; })()",
        "() => 1",
        "Symbol()",
        "({ toJSON() { throw new Error('no'); } })",
    ] {
        let core = run(&format!("export default () => {value}"), "null");
        assert_eq!(
            failure(&core).code,
            Code::NotSerialisable,
            "{value} {:?}",
            core.outcome
        );
    }
    let core = run("export default () => 'x'.repeat(2 << 20)", "null");
    assert_eq!(failure(&core).code, Code::ResultTooLarge);
    let mut exact = input("null");
    exact.limits.result_bytes = 12;
    let versions = deploy("export default (e) => 'x'.repeat(10)");
    assert!(run_input(&versions, &exact).outcome.is_ok());
    exact.limits.result_bytes = 11;
    assert_eq!(failure(&run_input(&versions, &exact)).code, Code::ResultTooLarge);
}

#[test]
fn limits_end_runs_by_their_own_codes() {
    let core = run("export default () => { for (;;) {} }", "null");
    assert_eq!(failure(&core).code, Code::UnitLimit);
    assert_eq!(core.units.total, UNITS);
    let core = run("export default async () => { for (;;) await null; }", "null");
    assert_eq!(failure(&core).code, Code::UnitLimit);
    let core = run(
        "export default () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); }",
        "null",
    );
    assert_eq!(failure(&core).code, Code::MemoryLimit, "{:?}", core.outcome);
    let core = run("export default () => { let s = 'x'; for (;;) s += s; }", "null");
    assert!(
        [Code::MemoryLimit, Code::Uncaught].contains(&failure(&core).code),
        "{:?}",
        core.outcome
    );
    let core = run(
        "export default () => { const f = (n) => f(n + 1) + 1; return f(0); }",
        "null",
    );
    assert_eq!(failure(&core).code, Code::StackOverflow, "{:?}", core.outcome);
    let core = run(
        "export default () => { const f = (n) => f(n + 1) + 1; try { f(0); } catch (e) { return e.name; } }",
        "null",
    );
    assert_eq!(json(&core), j!("RangeError"));
    let core = run("export default () => JSON.parse('['.repeat(200000))", "null");
    assert_eq!(failure(&core).code, Code::StackOverflow, "{:?}", core.outcome);
    let core = run("export default () => new Promise(() => {})", "null");
    assert_eq!(failure(&core).code, Code::NeverSettled);
    let core = run("export default () => /(a+)+$/.test('a'.repeat(40) + 'b')", "null");
    assert_eq!(failure(&core).code, Code::UnitLimit);
}

#[test]
fn a_deadline_or_a_cancel_stops_running_code() {
    let versions = deploy("export default () => { for (;;) {} }");
    on_big_stack(move || {
        for version in [&versions.cold, &versions.hot] {
            let mut late = input("null");
            late.units = 1_000_000_000_000;
            late.deadline = Duration::from_millis(30);
            let core = run_with(version, late, &mut Host::default());
            assert_eq!(failure(&core).code, Code::TimedOut);

            let mut endless = input("null");
            endless.units = 1_000_000_000_000;
            let stop = interrupt();
            let stopper = stop.clone();
            let thread = std::thread::spawn(move || stopper.cancel());
            let Step::Done(finished) = rig().engine.start(version, endless, &stop) else {
                panic!()
            };
            assert_eq!(failure(&finished.completed).code, Code::TimedOut);
            thread.join().unwrap();
        }
    });
}

#[test]
fn memory_is_limited_to_what_the_version_asked_for() {
    let fill = "export default (n) => { const a = []; for (let i = 0; i < n; i++) a.push(new Uint8Array(1 << 20)); return a.length; }";
    let small = deploy_with(fill, 8 << 20);
    assert_eq!(json(&run_input(&small, &input("4"))), j!(4));
    assert_eq!(failure(&run_input(&small, &input("9"))).code, Code::MemoryLimit);
    let large = deploy_with(fill, 256 << 20);
    assert_eq!(json(&run_input(&large, &input("200"))), j!(200));
    assert_eq!(failure(&run_input(&large, &input("257"))).code, Code::MemoryLimit);
}

#[test]
fn logs_are_cut_with_a_count() {
    let core = run(
        "export default () => { for (let i = 0; i < 100; i++) console.log('x'.repeat(1000)); }",
        "null",
    );
    assert!(core.outcome.is_ok());
    assert!(core.logs.iter().map(String::len).sum::<usize>() < (64 << 10) + 100);
    assert_eq!(
        core.logs.last().unwrap(),
        "[WARN] the log limit of 65536 bytes was reached: 35 lines were cut"
    );
}

#[test]
fn time_and_chance_are_inputs() {
    let code = "export default async (e, ctx) => { const a = [Math.random(), Date.now(), new Date().toISOString(), crypto.randomUUID()]; for (let i = 0; i < 1e5; i++); const b = Date.now(); await ctx.kv.get('k'); return { a, b, c: Date.now(), p: performance.now() }; }";
    let versions = deploy(code);
    let one = run_input(&versions, &input("null"));
    let value = json(&one);
    assert_eq!(value["a"][1], 1_700_000_000_123i64);
    assert_eq!(value["a"][2], "2023-11-14T22:13:20.123Z");
    assert_eq!(value["b"], 1_700_000_000_123i64);
    assert_eq!((&value["c"], &value["p"]), (&j!(1_700_000_000_133i64), &j!(10)));
    let mut other = input("null");
    other.seed = [8; 32];
    let other = json(&run_input(&versions, &other));
    assert_ne!(value["a"][0], other["a"][0]);
    assert_ne!(value["a"][3], other["a"][3]);
}

#[test]
fn host_calls_are_promises() {
    let code = r"export default async (e, ctx) => {
        await ctx.kv.put('a', { n: 1 });
        const [a, b, missing] = await Promise.all([ctx.kv.get('a'), ctx.kv.increment('hits', 2), ctx.kv.get('nope')]);
        const list = await ctx.kv.list({ prefix: '' });
        const gone = await ctx.kv.delete('a');
        let code; try { await ctx.kv.put('conflict', 1); } catch (e) { code = [e.code, e instanceof Error, e.message]; }
        return { a, b, missing, n: list.entries.length, gone, code, other: await ctx.invoke('other', { x: 1 }) };
    }";
    assert_eq!(
        json(&run(code, "null")),
        j!({"a": {"n": 1}, "b": 2, "missing": null, "n": 1, "gone": true, "code": ["NF0501", true, "key changed"], "other": {"from": "other", "event": {"x": 1}}})
    );
    let core = run(
        "export default async (e, ctx) => ctx.kv.put('conflict', 1)",
        "null",
    );
    assert_eq!(failure(&core).code, Code::KvConflict);
    for (call, says) in [
        (
            "put('k', 1, { ttl: 60 })",
            "there is no option `ttl`, but ifRevision, ttlMs",
        ),
        ("put('k', 1, { ttlMs: NaN })", "ttlMs is NaN"),
        ("put('k', 1, { ttlMs: Infinity })", "ttlMs is Infinity"),
        ("put('k', 1, { ifRevision: 0.5 })", "ifRevision is 0.5"),
        ("put('k', 1, null)", "the options are an object"),
        ("delete('k', { revision: 1 })", "there is no option `revision`"),
        ("list({ prefix: 'a', limit: '3' })", "limit is 3"),
        ("increment('k', NaN)", "by is NaN"),
    ] {
        let code = format!("export default async (e, ctx) => ctx.kv.{call}");
        let core = run(&code, "null");
        let refused = failure(&core);
        assert_eq!(refused.code.as_str(), "NF0216", "{call}");
        assert!(refused.message.contains(says), "{call}: {}", refused.message);
    }
    let core = run("export default async (e, ctx) => ctx.kv.put('x')", "null");
    assert_eq!(failure(&core).code, Code::KvValue);
}

#[test]
fn what_was_begun_without_await_is_finished() {
    let versions = deploy(
        "export default (e, ctx) => { ctx.kv.put('a', 1).then(() => ctx.kv.put('b', 2)); return 'done'; }",
    );
    on_big_stack(move || {
        let mut host = Host::default();
        let core = run_with(&versions.hot, input("null"), &mut host);
        assert_eq!(json(&core), j!("done"));
        assert_eq!(host.kv.len(), 2);
    });
}

#[test]
fn denials_say_what_to_add() {
    let versions = deploy(
        "export default async (e, ctx) => { if (e) try { await ctx.kv.get('a'); } catch (x) { return x.code; } return ctx.kv.get('a'); }",
    );
    let mut denied = input("null");
    denied.context.grants.clear();
    let core = run_input(&versions, &denied);
    let f = failure(&core);
    assert_eq!(f.code, Code::Denied);
    assert!(f.message.contains("allow = { kv = true }"), "{}", f.message);
    denied.event = Bytes::from_static(b"1");
    assert_eq!(json(&run_input(&versions, &denied)), j!("NF0210"));
}

#[test]
fn host_calls_are_counted_and_bounded() {
    let versions = deploy(
        "export default async (e, ctx) => { for (let i = 0; i < e.n; i++) await ctx.kv.get('k'); await ctx.kv.put('k', 'x'.repeat(e.size)); return 1; }",
    );
    let mut limited = input(r#"{"n":4,"size":1}"#);
    limited.limits.host_calls = 5;
    assert!(run_input(&versions, &limited).outcome.is_ok());
    limited.event = Bytes::from_static(br#"{"n":5,"size":1}"#);
    assert_eq!(failure(&run_input(&versions, &limited)).code, Code::HostCallLimit);
    limited.event = Bytes::from_static(br#"{"n":0,"size":2000000}"#);
    assert_eq!(failure(&run_input(&versions, &limited)).code, Code::HostCallLimit);
}

#[test]
fn a_parked_run_can_be_dropped_failed_or_moved() {
    let versions = deploy(
        "export default async (e, ctx) => { console.log('before'); await ctx.kv.get('k'); return 1; }",
    );
    on_big_stack(move || {
        for version in [&versions.hot, &versions.cold] {
            for _ in 0..40 {
                let Step::Parked(parked) = rig().engine.start(version, input("null"), &interrupt()) else {
                    panic!()
                };
                drop(parked);
            }
            let Step::Parked(parked) = rig().engine.start(version, input("null"), &interrupt()) else {
                panic!()
            };
            let finished = parked.fail(failure_of_time());
            assert_eq!(finished.completed.logs, ["[LOG] before"]);
            assert!(finished.completed.units.host >= 2_010);
            finished.recycle();
            let Step::Parked(mut parked) = rig().engine.start(version, input("null"), &interrupt()) else {
                panic!()
            };
            let core = std::thread::spawn(move || {
                let calls = parked.take_calls();
                let reply = HostReply {
                    result: Ok(Bytes::from_static(b"null")),
                    now: UnixMillis(5),
                    units: 0,
                };
                // an unknown number is no reply to anything
                let Step::Parked(parked) = parked.resume(99, reply.clone()) else {
                    panic!()
                };
                match parked.resume(calls[0].seq, reply) {
                    Step::Done(finished) => finished.completed,
                    Step::Parked(_) => panic!(),
                }
            });
            assert_eq!(json(&core.join().unwrap()), j!(1));
        }
        assert!(rig().engine.live() <= 4);
    });
}

fn failure_of_time() -> Failure {
    Failure {
        code: Code::TimedOut,
        message: "too late".into(),
        stack: vec![],
    }
}

#[test]
fn versions_are_checked_before_they_are_run() {
    let artifact = prepare("export default () => 1").unwrap();
    let engine = &rig().engine;
    assert!(engine.version(&artifact).is_ok());
    for at in [0, 8, 40, 46, 51, 52, 57, 58] {
        let mut wrong = artifact.clone();
        wrong[at] ^= 0x81;
        assert!(engine.version(&wrong).is_err(), "byte {at}");
    }
    for len in [0, 7, 30, 55, 60, artifact.len() - 1] {
        assert!(engine.version(&artifact[..len]).is_err(), "cut to {len}");
    }
    let mut long = artifact;
    long.push(0);
    assert!(engine.version(&long).is_err());
}
