//! Units: exact, complete, and the same whatever served the run. `run` itself compares layouts and repeats.

use super::*;
use neofn_types::Code;

#[test]
fn a_bill_adds_up() {
    let core = run(
        "export default (e, ctx) => { console.log('x'.repeat(1500)); ctx.crypto.sha256('abc'); return new Uint8Array(1 << 20).length; }",
        "null",
    );
    let u = core.units;
    assert_eq!(u.total, u.base + u.compute + u.memory + u.host);
    assert_eq!((u.base, u.schedule), (10_000, 1));
    assert_eq!(u.host, (10 + 2) + (50 + 20));
    assert_eq!(u.compute, core.fuel / 1_000);
    assert_eq!(u.memory, core.memory_bytes / 65_536 * 10);
    assert!(
        // what was free at the end of the snapshot's heap costs nothing
        core.memory_bytes >= 7 << 17 && core.memory_bytes <= 3 << 20,
        "{}",
        core.memory_bytes
    );
}

#[test]
fn a_small_call_uses_no_memory_beyond_its_snapshot() {
    let core = run("export default (e) => ({ hello: e.name })", r#"{"name":"Neo"}"#);
    assert_eq!(core.units.memory, 0);
    assert!(core.units.total < 10_100, "{:?}", core.units);
}

#[test]
fn every_kind_of_work_meets_the_limit_exactly() {
    for code in [
        "export default () => { for (;;) {} }",
        "export default () => { for (;;) console.log('x'.repeat(5000)); }",
        "export default (e, ctx) => { for (;;) ctx.crypto.sha256('x'.repeat(50000)); }",
        "export default async (e, ctx) => { for (;;) await ctx.kv.put('k', 'x'.repeat(5000)); }",
        "export default () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); }",
        "export default () => { for (;;) crypto.getRandomValues(new Uint8Array(60000)); }",
    ] {
        let versions = deploy_with(code, 256 << 20);
        let mut tight = input("null");
        tight.units = 30_000;
        tight.limits.host_calls = 1_000_000;
        let core = run_input(&versions, &tight);
        assert_eq!(failure(&core).code, Code::UnitLimit, "{code} {:?}", core.outcome);
        let u = core.units;
        assert_eq!(u.total, 30_000);
        assert_eq!(u.total, u.base + u.compute + u.memory + u.host);
    }
}

#[test]
fn the_least_limit_that_suffices_suffices() {
    let versions = deploy(
        "export default (e, ctx) => { console.log('x'); let s = 0; for (let i = 0; i < 1000; i++) s += i; return s; }",
    );
    let used = run_input(&versions, &input("null")).units.total;
    let mut tight = input("null");
    tight.units = used;
    let core = run_input(&versions, &tight);
    assert!(core.outcome.is_ok());
    assert_eq!(core.units.total, used);
    tight.units = used - 1;
    assert_eq!(failure(&run_input(&versions, &tight)).code, Code::UnitLimit);
    tight.units = 9_999;
    assert_eq!(
        failure(&on_big_stack(move || run_with(
            &versions.cold,
            tight,
            &mut Host::default()
        )))
        .code,
        Code::UnitLimit
    );
}

#[test]
fn a_callees_units_are_charged_and_a_list_by_its_size() {
    let versions =
        deploy("export default async (e, ctx) => { await (e ? ctx.invoke('x') : ctx.kv.list()); return 1; }");
    on_big_stack(move || {
        for (event, base, reply, units, expected) in [
            ("1", 10_000, Bytes::from_static(b"1"), 777, 10_777),
            (
                "0",
                2_000,
                Bytes::from(format!("\"{}\"", "x".repeat(3000))),
                0,
                2_030,
            ),
        ] {
            for version in [&versions.cold, &versions.hot] {
                let Step::Parked(mut parked) = rig().engine.start(version, input(event), &interrupt()) else {
                    panic!()
                };
                let calls = parked.take_calls();
                assert!(calls[0].units_left < UNITS - 10_000 - base);
                let reply = HostReply {
                    result: Ok(reply.clone()),
                    now: UnixMillis(1),
                    units,
                };
                let Step::Done(finished) = parked.resume(0, reply) else {
                    panic!()
                };
                assert_eq!(finished.completed.units.host, expected);
                finished.recycle();
            }
        }
        let Step::Parked(parked) = rig().engine.start(&versions.hot, input("1"), &interrupt()) else {
            panic!()
        };
        let reply = HostReply {
            result: Ok(Bytes::from_static(b"1")),
            now: UnixMillis(1),
            units: UNITS,
        };
        let Step::Done(finished) = parked.resume(0, reply) else {
            panic!()
        };
        assert_eq!(failure(&finished.completed).code, Code::UnitLimit);
        assert_eq!(finished.completed.units.total, UNITS);
    });
}

/// Pooled instances copy these in before each call.
#[test]
fn a_small_version_changes_few_pages() {
    let artifact = prepare("export const handler = (e) => ({ hello: e.name })").unwrap();
    let pages = artifact.len() / 4_100;
    // collecting garbage relinks objects of the prelude, so these grow with it: 43 with all services of ctx
    assert!(pages <= 48, "{pages}");
}
