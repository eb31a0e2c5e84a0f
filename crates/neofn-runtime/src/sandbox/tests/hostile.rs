//! What a function must not get away with.

use super::*;
use neofn_types::Code;
use serde_json::json as j;

#[test]
fn results_are_nested_as_deep_as_events_may_be() {
    let versions = deploy(
        "export default (n) => { let value = []; for (let i = 1; i < n; i++) value = i % 2 ? { value } : [value]; return value; }",
    );
    assert!(run_input(&versions, &input("128")).outcome.is_ok());
    let core = run_input(&versions, &input("129"));
    let f = failure(&core);
    assert_eq!(
        (f.code, f.message.as_str()),
        (Code::NotSerialisable, "the result is nested deeper than 128")
    );
    // brackets in strings are no nesting
    assert!(
        run("export default () => '[{'.repeat(500) + '\"'", "null")
            .outcome
            .is_ok()
    );
}

#[test]
fn reading_the_result_makes_no_host_calls() {
    for result in [
        "({ toJSON() { ctx.kv.put('k', 1); return 1; } })",
        "({ get a() { ctx.invoke('other'); return 1; } })",
        "({ toJSON() { try { ctx.kv.get('k').catch(() => {}); } catch {} return 1; } })",
    ] {
        let core = run(&format!("export default async (e, ctx) => {result}"), "null");
        let f = failure(&core);
        assert_eq!(f.code, Code::NotSerialisable, "{result}");
        assert!(
            f.message.contains("make host calls in the handler"),
            "{}",
            f.message
        );
        assert_eq!(core.units.host / 1_000, 0, "{result}: charged {:?}", core.units);
    }
    // no more does reading what was thrown, which stays the failure
    let core = run(
        "export default (e, ctx) => { throw { get message() { ctx.kv.put('k', 1).catch(() => {}); return 'mine'; } }; }",
        "null",
    );
    assert_eq!((failure(&core).message.as_str(), core.units.host), ("mine", 0));
}

#[test]
fn rejections_that_nobody_handles_are_logged() {
    let core = run(
        "export default async (e, ctx) => {
            Promise.reject(new TypeError('lost'));
            Promise.reject({ a: 1 });
            const late = Promise.reject(new Error('handled'));
            await null;
            late.catch(() => {});
            ctx.kv.put('conflict', 1);
            return 'done';
        }",
        "null",
    );
    assert_eq!(json(&core), j!("done"));
    assert_eq!(
        core.logs,
        [
            "[ERROR] unhandled rejection: TypeError: lost",
            "[ERROR] unhandled rejection: {\"a\":1}",
            "[ERROR] unhandled rejection: HostError: key changed",
        ]
    );
    // the run's own failure is no news, others are
    let core = run(
        "export default async () => { Promise.reject('other'); throw new Error('own'); }",
        "null",
    );
    assert_eq!(failure(&core).message, "Error: own");
    assert_eq!(core.logs, ["[ERROR] unhandled rejection: other"]);
    let core = run(
        "export default async () => { for (let i = 0; i < 100; i++) Promise.reject('x'.repeat(5000)); throw 1; }",
        "null",
    );
    assert_eq!(core.logs.len(), 9);
    assert!(core.logs.iter().all(|line| line.len() < 1_100));
    assert_eq!(core.logs[8], "[ERROR] 92 more unhandled rejections");
}

#[test]
fn the_codes_of_the_host_cannot_be_forged() {
    let caught = "let caught; try { await ctx.kv.put('conflict', 1); } catch (e) { caught = e; }";
    for forged in [
        "new (caught.constructor)('NF0204', 'fake')",
        "new (Object.getPrototypeOf(caught).constructor)('NF0204', 'fake')",
        "Object.assign(Object.create(Object.getPrototypeOf(caught)), { code: 'NF0204', message: 'fake' })",
        "Object.setPrototypeOf(Object.assign(new Error('fake'), { code: 'NF0204' }), Object.getPrototypeOf(caught))",
        "Object.assign(structuredClone(caught), { code: 'NF0204' })",
        "new Proxy(caught, {})",
        "(() => { let f; Error.prepareStackTrace = (e, sites) => { f = sites.map((s) => s.getFunction?.()).find((f) => /HostError/.test(f)); }; ctx.kv.get(1).catch(() => {}); Error.prepareStackTrace = undefined; return f ? new f('NF0204', 'fake') : new Error('none'); })()",
    ] {
        let core = run(
            &format!("export default async (e, ctx) => {{ {caught} throw {forged}; }}"),
            "null",
        );
        assert_eq!(failure(&core).code, Code::Uncaught, "{forged}");
    }
    // what the host made keeps its code, whatever is written over it
    for thrown in ["caught", "Object.assign(caught, { code: 'NF0204', name: 'X' })"] {
        let core = run(
            &format!("export default async (e, ctx) => {{ {caught} throw {thrown}; }}"),
            "null",
        );
        assert_eq!(failure(&core).code, Code::KvConflict, "{thrown}");
    }
    let denied = "String.prototype.slice = Object.defineProperty = () => 'NF0204'; throw await ctx.kv.get(1).catch((e) => e);";
    let core = run(
        &format!("export default async (e, ctx) => {{ {denied} }}"),
        "null",
    );
    assert_eq!(failure(&core).code, Code::KvKey);
}

#[test]
fn base58_is_bounded_and_charged_by_the_square() {
    let code = r"export default (n, { crypto: c }) => {
        const told = (f) => { try { return f().length > 0; } catch (x) { return `${x.name}: ${x.message}`; } };
        const bytes = new Uint8Array(n);
        return [told(() => c.base58Encode(bytes)), told(() => c.base58CheckEncode('é'.repeat(n / 2))), told(() => c.base58Decode('1'.repeat(n)))];
    }";
    let versions = deploy(code);
    let small = run_input(&versions, &input("64"));
    let large = run_input(&versions, &input("128"));
    assert_eq!(
        (json(&small), json(&large)),
        (j!([true, true, true]), j!([true, true, true]))
    );
    assert_eq!(small.units.host, 3 * (50 + 20 + 64));
    assert_eq!(large.units.host, 3 * (50 + 20 + 256));
    assert_eq!(
        json(&run_input(&versions, &input("202"))),
        j!([
            "RangeError: base58Encode: at most 128 bytes can be given",
            "RangeError: base58CheckEncode: at most 128 bytes can be given",
            "RangeError: base58Decode: at most 200 characters can be given"
        ])
    );
}

#[test]
fn empty_lines_do_not_grow_the_log_for_ever() {
    let versions = deploy(
        "export default () => { console.log('x'.repeat(65530)); for (let i = 0; i < 20000; i++) console.log(''); }",
    );
    let core = run_input(&versions, &input("null"));
    assert_eq!(core.logs.len(), 2);
    assert!(core.logs[1].ends_with("20000 lines were cut"), "{}", core.logs[1]);
}
