//! Modules are compiled and run in a process that has confined itself: the engine needs nothing that the jail denies.

use bytes::Bytes;
use neofn_jail::{Class, Policy, confine};
use neofn_runtime::port::{JobContext, JobLimits};
use neofn_runtime::sandbox::wasm_module::{WasmEngine, WasmVersion, compile, start};
use neofn_runtime::sandbox::{CallInput, Interrupt, Step};
use neofn_types::{Clock, UnixMillis};
use std::sync::Arc;
use std::time::Duration;

struct Still;
impl Clock for Still {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Writes a passive segment of 100 KB, copies, grows, and prints the length of the event.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (data (i32.const 0) "\00\10\00\00\00\10\00\00")
    (func (export "_start")
        (drop (memory.grow (i32.const 8)))
        (memory.fill (i32.const 65536) (i32.const 7) (i32.const 655360))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#;
const TRAPS: &str = r#"(module (memory (export "memory") 1)
    (func (export "_start") (drop (i32.load (i32.const -4)))))"#;

fn call(version: &WasmVersion) -> Result<Bytes, String> {
    let input = CallInput {
        event: Bytes::from_static(b"[1,2,3]"),
        context: JobContext {
            function: "f".into(),
            project: "p".into(),
            invocation: "i".into(),
            version: 1,
            attempt: 1,
            grants: vec![],
        },
        seed: [1; 32],
        now: UnixMillis(0),
        deadline: Duration::from_secs(30),
        units: 1_000_000,
        limits: JobLimits::default(),
    };
    match start(version, input, &Interrupt::new(Arc::new(Still))) {
        Step::Done(finished) => finished.completed.outcome.map_err(|f| f.message),
        Step::Parked(_) => Err("parked".to_owned()),
    }
}

fn jailed() -> Result<(), String> {
    let modules = [MODULE, TRAPS].map(|m| wat::parse_str(m).map_err(|e| e.to_string()));
    let mut policy = Policy::strict(Class::Sandbox);
    policy.keep_fds = vec![1, 2];
    policy.exec_memory = true;
    let confined = confine(&policy).map_err(|e| e.to_string())?;
    if std::fs::read("/etc/passwd").is_ok() {
        return Err(format!("not confined at tier {}", confined.tier));
    }
    let engine = WasmEngine::new(4).map_err(|e| e.to_string())?;
    let load = |module: Result<Vec<u8>, String>| {
        let artifact = compile(&module?, 8 << 20).map_err(|f| f.message)?;
        WasmVersion::load(&engine, &artifact).map_err(|e| e.to_string())
    };
    let [module, traps] = modules.map(load);
    let (module, traps) = (module?, traps?);
    for _ in 0..20 {
        let result = call(&module)?;
        if result != "[1,2,3]" {
            return Err(format!("answered {result:?}"));
        }
        match call(&traps) {
            Err(message) if message.contains("out of bounds") => {}
            other => return Err(format!("a trap gave {other:?}")),
        }
    }
    Ok(())
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|a| a == "--list") {
        if !arguments.iter().any(|a| a == "--ignored") {
            use std::io::Write;
            writeln!(std::io::stdout(), "modules_compile_and_run_in_the_jail: test")
                .map_err(|e| e.to_string())?;
        }
        return Ok(());
    }
    jailed()
}
