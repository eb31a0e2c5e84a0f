//! What the host does for a module is paid for: no loop of calls gets more host time for its units than instructions do.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]

use super::{WasmEngine, WasmVersion, compile, start};
use crate::port::{JobContext, JobLimits};
use crate::sandbox::{CallInput, CompletedCore, Interrupt, Step, THREAD_STACK_BYTES};
use crate::still::Still;
use bytes::Bytes;
use neofn_types::{Code, UnixMillis};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs a module under `units` beyond the base.
fn run(wat: &str, units: u64) -> CompletedCore {
    let artifact = compile(&wat::parse_str(wat).unwrap(), 64 << 20).unwrap();
    let version = WasmVersion::load(&WasmEngine::new(1).unwrap(), &artifact).unwrap();
    let input = CallInput {
        event: Bytes::from_static(b"\"event\""),
        context: JobContext {
            function: "hello".into(),
            project: "demo".into(),
            invocation: "i".into(),
            version: 1,
            attempt: 1,
            grants: vec![],
        },
        seed: [7; 32],
        now: UnixMillis(1_700_000_000_123),
        deadline: Duration::from_secs(30),
        units: 10_000 + units,
        limits: JobLimits::default(),
    };
    // on a stack such as the child's own
    let run = move || match start(&version, input, &Interrupt::new(Arc::new(Still))) {
        Step::Done(finished) => finished.completed,
        Step::Parked(_) => panic!("a module calls no services"),
    };
    let thread = std::thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(run);
    thread.unwrap().join().unwrap()
}

const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;

/// Does `body` for ever; before, memory from 0 holds 1024 buffers of `buffer` bytes each, at 16 MiB.
fn forever(buffer: u32, body: &str) -> String {
    format!(
        r#"(module {IMPORTS} (memory (export "memory") 640)
        (func (export "_start") (local $i i32)
            (loop $l
                (i32.store (i32.shl (local.get $i) (i32.const 3)) (i32.const 16777216))
                (i32.store offset=4 (i32.shl (local.get $i) (i32.const 3)) (i32.const {buffer}))
                (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1024))))
            (loop $l {body} (br $l))))"#
    )
}

/// Every loop of host calls, by name.
fn loops() -> Vec<(&'static str, String)> {
    let drop = |call: &str| format!("(drop (call {call}))");
    let at = |n: u32| format!("(i32.const {n})");
    let (zero, list, out) = (at(0), at(0), at(20_000));
    let io = |name: &str, fd: u32, n: u32| drop(&format!("{name} {} {list} {} {out}", at(fd), at(n)));
    vec![
        ("yield", forever(0, &drop("$yield"))),
        ("close", forever(0, &drop(&format!("$close {zero}")))),
        ("not given", forever(0, &drop(&format!("$sync {zero}")))),
        (
            "clock",
            forever(0, &drop(&format!("$clock {zero} (i64.const 1) {out}"))),
        ),
        ("args", forever(0, &drop(&format!("$args {out} {}", at(20_100))))),
        (
            "random",
            forever(0, &drop(&format!("$random {} {}", at(1 << 24), at(1 << 20)))),
        ),
        (
            "random, little",
            forever(0, &drop(&format!("$random {out} {}", at(8)))),
        ),
        // 1024 clocks of time 0
        (
            "poll",
            forever(
                0,
                &drop(&format!(
                    "$poll {} {} {} {out}",
                    at(1 << 22),
                    at(1 << 23),
                    at(1024)
                )),
            ),
        ),
        (
            "poll, one",
            forever(
                0,
                &drop(&format!("$poll {} {} {} {out}", at(1 << 22), at(1 << 23), at(1))),
            ),
        ),
        ("read, empty buffers", forever(0, &io("$read", 0, 1024))),
        ("read, nothing left", forever(1024, &io("$read", 0, 1024))),
        ("write, empty buffers", forever(0, &io("$write", 1, 1024))),
        ("write to nothing", forever(1024, &io("$write", 7, 1024))),
        ("log a MiB", forever(1024, &io("$write", 2, 1024))),
        ("log little", forever(1, &io("$write", 2, 1))),
    ]
}

/// Before host work was charged the first of these ran for minutes. The bound is wide: unoptimised builds and busy
/// machines are slow.
#[test]
fn host_work_costs_about_what_it_takes() {
    const UNITS: u64 = 100_000;
    for (name, wat) in loops() {
        let begun = Instant::now();
        let done = run(&wat, UNITS);
        let took = begun.elapsed();
        assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit, "{name}");
        println!("{name:24} {took:>12?}");
        assert!(
            took < Duration::from_secs(5),
            "{name}: {took:?} for {UNITS} units"
        );
    }
}
