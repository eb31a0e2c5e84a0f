//! The examples in C and Go: built by their own scripts, compiled, run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use bytes::Bytes;
use neofn_runtime::port::{JobContext, JobLimits};
use neofn_runtime::sandbox::wasm_module::{WasmEngine, WasmVersion, compile, start};
use neofn_runtime::sandbox::{CallInput, CompletedCore, Interrupt, Step};
use neofn_types::{Clock, Code, UnixMillis};
use std::path::{Path, PathBuf};
use std::process::Command;
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

fn call(version: &WasmVersion, event: &str) -> CompletedCore {
    let input = CallInput {
        event: Bytes::copy_from_slice(event.as_bytes()),
        context: JobContext {
            function: "example".into(),
            project: "demo".into(),
            invocation: "i".into(),
            version: 1,
            attempt: 1,
            grants: vec![],
        },
        seed: [1; 32],
        now: UnixMillis(1_700_000_000_123),
        deadline: Duration::from_secs(30),
        units: 20_000_000,
        limits: JobLimits::default(),
    };
    match start(version, input, &Interrupt::new(Arc::new(Still))) {
        Step::Done(finished) => finished.completed,
        Step::Parked(_) => panic!("a module calls no services"),
    }
}

/// Runs an example's build script and loads what it made.
fn build(example: &str, memory_bytes: u64) -> WasmVersion {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(example)
        .join("build.sh");
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("module.wasm");
    let built = Command::new("sh")
        .arg(script)
        .env("OUT", &module)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let artifact = compile(&std::fs::read(module).unwrap(), memory_bytes).unwrap();
    WasmVersion::load(&WasmEngine::new(2).unwrap(), &artifact).unwrap()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|p| p.join(program))
        .find(|p| p.is_file())
}

#[test]
fn the_c_example_counts_primes() {
    let version = build("wasm-c", 16 << 20);
    let done = call(&version, "{\"n\": 1000}");
    assert_eq!(
        done.outcome.as_deref().unwrap(),
        b"{\"n\": 1000, \"primes\": 168, \"largest\": 997}"
    );
    assert_eq!(done.logs, ["[LOG] sieved 1000 numbers"]);
    assert_eq!(
        call(&version, "{\"n\": 1000}"),
        done,
        "the same call, the same units"
    );
    assert!(call(&version, "{\"n\": 100000}").units.compute > done.units.compute);

    let done = call(&version, "{\"m\": 1}");
    assert_eq!(done.outcome.unwrap_err().message, "exit status 1");
    assert_eq!(
        done.logs,
        ["[LOG] the event needs a number \"n\" from 0 to 1000000"]
    );
}

#[test]
fn the_go_example_greets() {
    if on_path("go").is_none() {
        eprintln!("no go on the path: `make setup` puts one there, and this test then runs");
        return;
    }
    let version = build("wasm-go", 64 << 20);
    let done = call(&version, "{\"name\": \"Neo\"}");
    let result: serde_json::Value = serde_json::from_slice(done.outcome.as_deref().unwrap()).unwrap();
    assert_eq!(
        result,
        serde_json::json!({
            "greeting": "Hello, Neo",
            "sha256": "effee861f3433baac2d48e5b422c771dfb3762fb096a4aa9a8ba49eb6e7d7c27",
            "at": "2023-11-14T22:13:20.123Z",
        })
    );
    assert_eq!(done.logs, ["[LOG] greeting Neo"]);
    assert_eq!(
        call(&version, "{\"name\": \"Neo\"}"),
        done,
        "the same call, the same units"
    );
    let failure = call(&version, "not json").outcome.unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::WasmTrap, "exit status 1")
    );
}
