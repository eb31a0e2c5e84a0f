//! Modules good and hostile, compiled and run.

use super::*;
use crate::port::{Failure, JobContext, JobLimits};
use crate::sandbox::{CallInput, CompletedCore, Interrupt, Step, THREAD_STACK_BYTES};
use crate::still::Still;
use bytes::Bytes;
use neofn_gas::SCHEDULE_V1;
use neofn_types::{Code, UnixMillis};
use std::sync::Arc;
use std::time::Duration;

fn input(event: &str) -> CallInput {
    CallInput {
        event: Bytes::copy_from_slice(event.as_bytes()),
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
        units: 10_000_000,
        limits: JobLimits::default(),
    }
}

const MEMORY: u64 = 4 << 20;

fn build(wat: &str) -> WasmVersion {
    let artifact = compile(&wat::parse_str(wat).unwrap(), MEMORY).unwrap();
    WasmVersion::load(&WasmEngine::new(4).unwrap(), &artifact).unwrap()
}

/// On a thread such as the child's own: those of the test harness have less stack than a module may use.
fn run_with(version: &WasmVersion, input: CallInput) -> CompletedCore {
    let version = version.clone();
    let run = move || match start(&version, input, &Interrupt::new(Arc::new(Still))) {
        Step::Done(finished) => finished.completed,
        Step::Parked(_) => panic!("a module calls no services"),
    };
    let thread = std::thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(run);
    thread.unwrap().join().unwrap()
}

fn run(wat: &str, event: &str) -> CompletedCore {
    run_with(&build(wat), input(event))
}

fn refused(wat: &str) -> Failure {
    compile(&wat::parse_str(wat).unwrap(), MEMORY).unwrap_err()
}

/// A command: what it imports, its memory, its data, and the body of `_start`.
fn command(body: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 2)
        (data (i32.const 16) "\22ok\22 and a log line\n")
        (func $say (param $fd i32) (param $at i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len))
            (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $digit (param $n i32)
            (i32.store8 (i32.const 96) (i32.add (local.get $n) (i32.const 48)))
            (call $say (i32.const 1) (i32.const 96) (i32.const 1)))
        (func (export "_start") {body}))"#
    )
}

const ECHO: &str = "
    (local $n i32)
    (loop $more
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1000))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $n (i32.load (i32.const 8)))
        (call $say (i32.const 1) (i32.const 1024) (local.get $n))
        (br_if $more (local.get $n)))
    (call $say (i32.const 2) (i32.const 20) (i32.const 16))
    (call $say (i32.const 2) (i32.const 16) (i32.const 4))";

#[test]
fn the_event_comes_in_and_the_result_goes_out() {
    let event = format!("{{\"name\":\"{}\"}}", "Neo".repeat(2_000));
    let done = run(&command(ECHO), &event);
    assert_eq!(done.outcome.unwrap(), event);
    assert_eq!(done.logs, ["[LOG]  and a log line", "[LOG] \"ok\""]);
    // two lines of logs, one of them without its line break
    assert_eq!(done.units.host, 10 + 1 + 1);
    assert_eq!(
        done.units.total,
        done.units.base + done.units.compute + done.units.host
    );
    assert_eq!((done.units.base, done.units.memory), (10_000, 0));
}

#[test]
fn the_same_call_costs_the_same_each_time() {
    let version = build(&command(ECHO));
    let first = run_with(&version, input("[1,2,3]"));
    for _ in 0..20 {
        assert_eq!(run_with(&version, input("[1,2,3]")), first);
    }
    // another engine, the same artifact
    assert_eq!(run(&command(ECHO), "[1,2,3]"), first);
    assert!(first.fuel > 0);
}

#[test]
fn no_output_is_null_and_other_output_an_error() {
    assert_eq!(run(&command(""), "1").outcome.unwrap(), "null");
    assert_eq!(
        run(&command("(call $exit (i32.const 0))"), "1").outcome.unwrap(),
        "null"
    );
    let failure = run(
        &command("(call $say (i32.const 1) (i32.const 20) (i32.const 4))"),
        "1",
    )
    .outcome
    .unwrap_err();
    assert_eq!(failure.code, Code::WasmOutput);
    assert!(failure.message.contains("\"and\""), "{}", failure.message);
}

#[test]
fn exit_status_and_traps_are_failures_with_logs() {
    let log = "(call $say (i32.const 2) (i32.const 20) (i32.const 16))";
    let done = run(&command(&format!("{log} (call $exit (i32.const 3))")), "1");
    assert_eq!(done.logs.len(), 1);
    let failure = done.outcome.unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::WasmTrap, "exit status 3")
    );
    let trap = |body: &str| run(&command(body), "1").outcome.unwrap_err();
    let failure = trap("(unreachable)");
    assert_eq!(failure.code, Code::WasmTrap);
    assert!(failure.message.contains("unreachable"), "{}", failure.message);
    assert!(
        trap("(drop (i32.div_s (i32.const 1) (i32.const 0)))")
            .message
            .contains("divide by zero")
    );
    assert!(
        trap("(drop (i32.load (i32.const -4)))")
            .message
            .contains("out of bounds")
    );
    assert_eq!(trap("(call 11)").code, Code::StackOverflow);
}

#[test]
fn the_unit_limit_is_met_exactly() {
    let spin = command("(loop $l (br $l))");
    let short = |wat: &str| {
        run_with(
            &build(wat),
            CallInput {
                units: 100_000,
                ..input("1")
            },
        )
    };
    let done = short(&spin);
    assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit);
    assert_eq!(done.units.total, 100_000);
    // a run that fits into its units to the last one, and not into one less
    let version = build(&command(ECHO));
    let need = run_with(&version, input("[1,2,3]")).units.total;
    let at = |units| {
        run_with(
            &version,
            CallInput {
                units,
                ..input("[1,2,3]")
            },
        )
    };
    assert!(at(need + 1).outcome.is_ok());
    let done = at(need - 1);
    assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit);
    assert_eq!(done.units.total, need - 1);
    assert_eq!(at(9_999).outcome.unwrap_err().code, Code::UnitLimit);
    // the start section is metered like the rest
    let looping = "(module (memory (export \"memory\") 1) (func $s (loop $l (br $l))) (start $s) (func (export \"_start\")))";
    assert_eq!(short(looping).outcome.unwrap_err().code, Code::UnitLimit);
    // bulk instructions are charged by length
    let fill = "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 131072)) (br $l))";
    let done = short(&command(fill));
    assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit);
}

#[test]
fn memory_is_charged_by_growth_and_bounded() {
    let done = run(&command("(drop (memory.grow (i32.const 3)))"), "1");
    assert_eq!((done.units.memory, done.memory_bytes), (30, 3 << 16));
    assert!(done.outcome.is_ok());
    // the limit is 64 pages, two are there
    assert!(
        run(&command("(drop (memory.grow (i32.const 62)))"), "1")
            .outcome
            .is_ok()
    );
    let done = run(
        &command("(if (i32.eq (memory.grow (i32.const 63)) (i32.const -1)) (then unreachable))"),
        "1",
    );
    assert_eq!(done.outcome.unwrap_err().code, Code::MemoryLimit);
    assert_eq!(done.units.memory, 0);
    let done = run(&command("(drop (memory.grow (i32.const 63)))"), "1");
    assert!(
        done.outcome.is_ok(),
        "a module that lives with the refusal goes on"
    );
    // growth alone may be what is too much
    let grow = build(&command("(drop (memory.grow (i32.const 62)))"));
    let need = run_with(&grow, input("1")).units.total;
    let short = run_with(
        &grow,
        CallInput {
            units: need - 1,
            ..input("1")
        },
    );
    assert_eq!(
        (short.outcome.unwrap_err().code, short.units.total),
        (Code::UnitLimit, need - 1)
    );
    assert_eq!(SCHEDULE_V1.memory_units(62 << 16), 620);
}

#[test]
fn nothing_stays_for_the_next_call() {
    // counts its own calls in memory and in a global: always the first
    let counter = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (global $g (mut i32) (i32.const 0)) (table $t 1 funcref) (elem (i32.const 0) $clear)
        (func $clear)
        (func (export "_start")
            (call_indirect $t (i32.const 0))
            (table.set $t (i32.const 0) (ref.null func))
            (call $exit (i32.add (global.get $g) (i32.load8_u (i32.const 60000))))
            ))"#;
    let counter = counter.replace("(call $exit", "(global.set $g (i32.add (global.get $g) (i32.const 1))) (i32.store8 (i32.const 60000) (i32.add (i32.load8_u (i32.const 60000)) (i32.const 1))) (call $exit");
    let version = build(&counter);
    for _ in 0..50 {
        let failure = run_with(&version, input("1")).outcome.unwrap_err();
        assert_eq!(failure.message, "exit status 2");
    }
}

#[test]
fn clock_and_chance_are_recorded_inputs() {
    let print = |load: &str| {
        let digits = format!(
            "(local $v i64) (local.set $v {load})
            (loop $l (call $digit (i32.wrap_i64 (i64.rem_u (local.get $v) (i64.const 10))))
                (local.set $v (i64.div_u (local.get $v) (i64.const 10)))
                (br_if $l (i64.ne (local.get $v) (i64.const 0))))"
        );
        command(&format!("(i32.store8 (i32.const 96) (i32.const 34)) (call $say (i32.const 1) (i32.const 96) (i32.const 1)) {}
            (i32.store8 (i32.const 96) (i32.const 34)) (call $say (i32.const 1) (i32.const 96) (i32.const 1))", digits)
            .replacen("(i32.store8 (i32.const 96) (i32.const 34))", "(nop)", 0))
    };
    // locals come first in a function
    let print = |load: &str| {
        let text = print(load);
        let local = "(local $v i64)";
        text.replacen(local, "", 1).replacen(
            "(func (export \"_start\")",
            &format!("(func (export \"_start\") {local}"),
            1,
        )
    };
    let now = print(
        "(block (result i64) (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 200))) (i64.load (i32.const 200)))",
    );
    let reversed = |n: &str| format!("\"{}\"", n.chars().rev().collect::<String>());
    assert_eq!(run(&now, "1").outcome.unwrap(), reversed("1700000000123000000"));
    // sleeps 5 s by the monotonic clock, takes none, and sees them gone
    let sleep = "(i32.store (i32.const 316) (i32.const 1)) (i64.store (i32.const 324) (i64.const 5000000000))
        (drop (call $poll (i32.const 300) (i32.const 400) (i32.const 1) (i32.const 500)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 200)))";
    let slept = print(&format!(
        "(block (result i64) {sleep} (i64.load (i32.const 200)))"
    ));
    assert_eq!(run(&slept, "1").outcome.unwrap(), reversed("6000000000"));

    let random = print(
        "(block (result i64) (drop (call $random (i32.const 200) (i32.const 8))) (i64.load (i32.const 200)))",
    );
    let version = build(&random);
    let one = run_with(&version, input("1"));
    assert_eq!(one.units.host, 11);
    assert_eq!(run_with(&version, input("1")), one);
    let other = run_with(
        &version,
        CallInput {
            seed: [8; 32],
            ..input("1")
        },
    );
    assert_ne!(other.outcome.unwrap(), one.outcome.unwrap());
}

#[test]
fn what_is_not_given_answers_an_errno() {
    let open = "(call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))";
    assert_eq!(
        run(&command(&format!("(call $digit {open})")), "1")
            .outcome
            .unwrap(),
        "8"
    );
    let shutdown = "(call $exit (call $shutdown (i32.const 3) (i32.const 0)))";
    assert_eq!(
        run(&command(shutdown), "1").outcome.unwrap_err().message,
        "exit status 52"
    );
    // pointers and lengths outside the memory
    for bad in [
        "(call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8))",
        "(call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const -2))",
        "(call $random (i32.const 131071) (i32.const 2))",
        "(call $args_sizes (i32.const -1) (i32.const 0))",
    ] {
        assert_eq!(
            run(&command(&format!("(call $exit {bad})")), "1")
                .outcome
                .unwrap_err()
                .message,
            "exit status 21",
            "{bad}"
        );
    }
    for bad in [
        "(call $write (i32.const 1) (i32.const 0) (i32.const 1025) (i32.const 8))",
        "(call $random (i32.const 0) (i32.const -1))",
        "(call $poll (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))",
    ] {
        assert_eq!(
            run(&command(&format!("(call $exit {bad})")), "1")
                .outcome
                .unwrap_err()
                .message,
            "exit status 28",
            "{bad}"
        );
    }
}

#[test]
fn output_is_bounded() {
    let flood = |fd: u32| {
        command(&format!(
            "(loop $l (call $say (i32.const {fd}) (i32.const 1024) (i32.const 60000)) (br $l))"
        ))
    };
    let done = run(&flood(1), "1");
    assert_eq!(done.outcome.unwrap_err().code, Code::ResultTooLarge);
    let done = run_with(
        &build(&flood(2)),
        CallInput {
            units: 50_000,
            ..input("1")
        },
    );
    assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit);
    assert!(done.logs.iter().map(String::len).sum::<usize>() < 70_000);
    let lines = command(
        "(memory.fill (i32.const 1024) (i32.const 10) (i32.const 60000)) (loop $l (call $say (i32.const 2) (i32.const 1024) (i32.const 60000)) (br $l))",
    );
    let done = run_with(
        &build(&lines),
        CallInput {
            units: 2_000_000,
            ..input("1")
        },
    );
    assert_eq!(done.outcome.unwrap_err().code, Code::UnitLimit);
    assert!(done.logs.last().unwrap().contains("more log lines were cut"));
}

#[test]
fn an_interrupt_ends_a_loop() {
    let version = build(&command("(loop $l (br $l))"));
    let interrupt = Interrupt::new(Arc::new(Still));
    interrupt.cancel();
    let endless = CallInput {
        units: u64::MAX,
        ..input("1")
    };
    let engine = version.engine();
    let running = std::thread::scope(|scope| {
        let run = scope.spawn(|| start(&version, endless, &interrupt));
        while !run.is_finished() {
            engine.tick();
            std::thread::yield_now();
        }
        run.join().unwrap()
    });
    let Step::Done(finished) = running else {
        panic!("parked")
    };
    assert_eq!(finished.completed.outcome.unwrap_err().code, Code::TimedOut);
}

#[test]
fn modules_that_cannot_be_run_are_refused() {
    let with =
        |head: &str| format!("(module {head} (memory (export \"memory\") 1) (func (export \"_start\")))");
    let code = |wat: &str| refused(wat).code;
    assert_eq!(code(&with("(import \"env\" \"f\" (func))")), Code::WasmImport);
    assert_eq!(
        refused(&with("(import \"env\" \"f\" (func))")).message,
        "the module imports env.f"
    );
    assert_eq!(
        code(&with("(import \"wasi_snapshot_preview1\" \"fd_read\" (func))")),
        Code::WasmImport
    );
    assert_eq!(
        code(&with("(import \"wasi_snapshot_preview1\" \"fork\" (func))")),
        Code::WasmImport
    );
    assert_eq!(
        code(&with(
            "(import \"wasi_unstable\" \"proc_exit\" (func (param i32)))"
        )),
        Code::WasmImport
    );
    assert_eq!(
        code(&with(
            "(import \"wasi_snapshot_preview1\" \"proc_exit\" (global i32))"
        )),
        Code::WasmImport
    );
    assert_eq!(
        code("(module (memory (export \"memory\") 32768) (func (export \"_start\")))"),
        Code::WasmMemory
    );
    assert_eq!(
        code("(module (memory (export \"memory\") 65) (func (export \"_start\")))"),
        Code::WasmMemory
    );
    assert!(
        compile(
            &wat::parse_str("(module (memory (export \"memory\") 64) (func (export \"_start\")))").unwrap(),
            MEMORY
        )
        .is_ok()
    );
    for invalid in [
        "(module (memory (export \"memory\") 1))",
        "(module (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (param i32)))",
        "(module (memory (export \"memory\") 1) (memory 1) (func (export \"_start\")))",
        "(module (memory (export \"memory\") i64 1) (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1 1 shared) (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1) (table 100001 funcref) (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1) (tag) (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1) (type (struct)) (func (export \"_start\")))",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") return_call 0))",
    ] {
        assert_eq!(code(invalid), Code::WasmInvalid, "{invalid}");
    }
    let bytes = |b: &[u8]| compile(b, MEMORY).unwrap_err().code;
    assert_eq!(bytes(b""), Code::WasmInvalid);
    assert!(
        compile(b"\0asm\x0d\0\x01\0", MEMORY)
            .unwrap_err()
            .message
            .contains("component")
    );
    assert_eq!(bytes(b"#!/bin/sh"), Code::WasmInvalid);
    assert_eq!(bytes(b"\0asm\x01\0\0\0\xff"), Code::WasmInvalid);
    assert_eq!(bytes(&vec![0; MODULE_BYTES_MAX + 1]), Code::SourceTooLarge);
}

#[test]
fn artifacts_are_checked_before_they_are_loaded() {
    let engine = WasmEngine::new(1).unwrap();
    let artifact = compile(&wat::parse_str(command("")).unwrap(), MEMORY).unwrap();
    assert_eq!(artifact.get(8..40).unwrap(), identity().0);
    assert!(WasmVersion::load(&engine, &artifact).is_ok());
    assert!(matches!(
        WasmVersion::load(&engine, &artifact[..20]),
        Err(WasmLoadError::Damaged(_))
    ));
    assert!(matches!(
        WasmVersion::load(&engine, b"not ours"),
        Err(WasmLoadError::Damaged(_))
    ));
    let mut other = artifact.clone();
    other[9] ^= 1;
    assert!(matches!(
        WasmVersion::load(&engine, &other),
        Err(WasmLoadError::OtherEngine { .. })
    ));
    assert!(matches!(
        WasmVersion::load(&engine, &artifact[..60]),
        Err(WasmLoadError::Engine(_))
    ));
    // the same module gives the same bytes
    assert_eq!(
        compile(&wat::parse_str(command("")).unwrap(), MEMORY).unwrap(),
        artifact
    );
}
