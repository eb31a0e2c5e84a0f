//! Nothing of one call is left for the next, whatever the call did to its memory.

use super::super::engine::test_access;
use super::*;
use serde_json::json as j;
use std::os::unix::fs::FileExt;

/// Deterministic noise.
struct Noise(u64);
impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

const FUNCTION: &str = r"
    let count = 0; const kept = [];
    export default (e, ctx) => {
        count++;
        if (e.t === 'spin') for (;;);
        if (e.t === 'hog') { for (let i = 0; i < 20; i++) kept.push(new Uint8Array(1 << 20).fill(i)); return kept.length; }
        if (e.t === 'deep') { const f = (n) => [f(n + 1)]; return f(0); }
        if (e.t === 'trap') return JSON.parse('['.repeat(200000));
        if (e.t === 'pollute') { Object.prototype.polluted = 1; Array.prototype.map = () => 'mine'; globalThis.leak = e; JSON.stringify = () => 'stolen'; Math.random = () => 4; console.log('secret'); ctx.kv.put('k', 'secret'); throw new Error('polluted'); }
        return { count, kept: kept.length, polluted: {}.polluted ?? null, map: [1, 2].map((x) => x + 1), leak: globalThis.leak ?? null, random: Math.random(), sorted: [3, 1, 2].sort(), uuid: crypto.randomUUID() };
    }";

#[test]
fn nothing_but_memory_and_the_stack_pointer_can_change() {
    use wasmparser::{Operator, Parser, Payload};
    let mut mutable = 0;
    for payload in Parser::new(0).parse_all(artefact::GUEST) {
        match payload.unwrap() {
            Payload::GlobalSection(globals) => {
                mutable += globals
                    .into_iter()
                    .filter(|g| g.as_ref().unwrap().ty.mutable)
                    .count();
            }
            Payload::CodeSectionEntry(body) => {
                for op in body.get_operators_reader().unwrap() {
                    let op = op.unwrap();
                    let changes_tables = matches!(
                        op,
                        Operator::TableSet { .. }
                            | Operator::TableGrow { .. }
                            | Operator::TableFill { .. }
                            | Operator::TableCopy { .. }
                            | Operator::TableInit { .. }
                            | Operator::ElemDrop { .. }
                            | Operator::DataDrop { .. }
                            | Operator::MemoryInit { .. }
                    );
                    assert!(!changes_tables, "{op:?}");
                }
            }
            _ => {}
        }
    }
    assert_eq!(mutable, 1);
}

#[test]
fn memory_is_the_image_again_byte_for_byte() {
    let versions = deploy(FUNCTION);
    on_big_stack(move || {
        let engine = &rig().engine;
        let plain = || input(r#"{"t":"look"}"#);
        let reference = run_with(&versions.hot, plain(), &mut Host::default());
        assert_eq!(json(&reference)["count"], 1);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![0x77; 150_000], 0).unwrap();
        let mut noise = Noise(88_172_645_463_325_252);
        let (mut dirtied, mut traps) = (0, 0);
        for round in 0..40 {
            let used = match round % 8 {
                0 => test_access::scribble(engine, &versions.hot, |m| m.fill(0xA5)),
                1 => test_access::scribble(engine, &versions.hot, |m| {
                    for _ in 0..200 {
                        let at = noise.below(m.len());
                        m[at] ^= 0x5a;
                    }
                }),
                // the kernel writes to memory that no code of ours touched
                2 => test_access::scribble(engine, &versions.hot, |m| {
                    let at = noise.below(m.len() - 200_000);
                    file.read_exact_at(&mut m[at..at + 150_000], 0).unwrap();
                }),
                3 => test_access::scribble(engine, &versions.hot, |m| {
                    let last = m.len() - 1;
                    m[0] = 1;
                    m[last] = 1;
                }),
                n => {
                    let mut call = input(
                        [
                            "",
                            "",
                            "",
                            "",
                            r#"{"t":"spin"}"#,
                            r#"{"t":"hog"}"#,
                            r#"{"t":"trap"}"#,
                            r#"{"t":"deep"}"#,
                        ][n],
                    );
                    call.units = 60_000 + noise.below(1_000_000) as u64;
                    let Step::Done(finished) = engine.start(&versions.hot, call, &interrupt()) else {
                        panic!()
                    };
                    traps += u32::from(finished.completed.outcome.is_err());
                    finished
                }
            };
            dirtied += usize::from(used.cleanup.as_ref().unwrap().wrong_pages() > 0);
            used.recycle();
            let Step::Done(next) = engine.start(&versions.hot, plain(), &interrupt()) else {
                panic!()
            };
            assert_eq!(next.completed, reference, "round {round}");
            next.recycle();
            let wrong = test_access::wrong_pages_of_idle(&versions.hot, engine);
            assert_eq!(wrong, Some(0), "round {round}");
        }
        // the test can fail: memory was dirty before each reset
        assert_eq!(dirtied, 40);
        assert!(traps >= 10, "{traps}");
    });
}

#[test]
fn pollution_does_not_reach_the_next_call() {
    let versions = deploy(FUNCTION);
    on_big_stack(move || {
        for version in [&versions.hot, &versions.cold] {
            let clean = run_with(version, input(r#"{"t":"look"}"#), &mut Host::default());
            assert_eq!(
                (
                    &json(&clean)["polluted"],
                    &json(&clean)["map"],
                    &json(&clean)["leak"],
                    &json(&clean)["count"]
                ),
                (&j!(null), &j!([2, 3]), &j!(null), &j!(1))
            );
            for _ in 0..50 {
                let bad = run_with(version, input(r#"{"t":"pollute"}"#), &mut Host::default());
                assert_eq!(failure(&bad).message, "Error: polluted");
                assert_eq!(bad.logs, ["[LOG] secret"]);
                let after = run_with(version, input(r#"{"t":"look"}"#), &mut Host::default());
                assert_eq!(after, clean);
            }
        }
    });
}

#[test]
fn instances_of_two_versions_do_not_mix() {
    let (a, b) = (
        deploy("export default () => 'a'"),
        deploy("export default () => 'b'"),
    );
    on_big_stack(move || {
        for _ in 0..50 {
            for (version, name) in [(&a.hot, "a"), (&b.cold, "b"), (&b.hot, "b"), (&a.cold, "a")] {
                assert_eq!(
                    json(&run_with(version, input("null"), &mut Host::default())),
                    j!(name)
                );
            }
        }
    });
}

#[test]
fn many_threads_share_a_version() {
    let versions = deploy(
        "let n = 0; export default async (e, ctx) => { n += e; await ctx.kv.get('k'); return [n, e]; }",
    );
    let threads: Vec<_> = (0..6)
        .map(|i| {
            let (hot, cold) = (versions.hot.clone(), versions.cold.clone());
            let work = move || {
                for k in 0..60u32 {
                    let e = i * 100 + k;
                    let version = if k % 3 == 0 { &cold } else { &hot };
                    let core = run_with(version, input(&e.to_string()), &mut Host::default());
                    assert_eq!(json(&core), j!([e, e]));
                }
            };
            std::thread::Builder::new()
                .stack_size(THREAD_STACK_BYTES)
                .spawn(work)
                .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_demoted_version_is_served_by_the_pool_and_gives_its_memory_back() {
    let versions = deploy("export default (e, ctx) => ctx.kv.get('k')");
    on_big_stack(move || {
        let engine = &rig().engine;
        let before = engine.live();
        let Step::Parked(parked) = engine.start(&versions.hot, input("null"), &interrupt()) else {
            panic!()
        };
        assert_eq!(engine.live(), before + 1);
        engine.demote(&versions.hot);
        let core = run_with(&versions.hot, input("null"), &mut Host::default());
        assert_eq!(core.layout, Layout::D3);
        let reply = HostReply {
            result: Ok(Bytes::from_static(b"null")),
            now: UnixMillis(0),
            units: 0,
        };
        let Step::Done(finished) = parked.resume(0, reply) else {
            panic!()
        };
        assert_eq!(finished.completed.layout, Layout::R1cow);
        finished.recycle();
        assert_eq!(engine.live(), before);
    });
}
