//! Tests of the sandbox, over the real engine in both layouts.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]

mod behaviour;
mod hostile;
mod isolation;
mod metering;
mod neo;
mod services;

use super::config::LINEAR_BYTES;
use super::*;
use crate::port::HostError;
use neofn_types::Clock;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

pub struct RealClock(Instant);
impl Clock for RealClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_123)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub fn interrupt() -> Interrupt {
    Interrupt::new(Arc::new(RealClock(Instant::now())))
}

/// The compiled engine, built once and kept between test processes.
pub fn files() -> (PathBuf, PathBuf) {
    let folder = std::env::current_exe().unwrap();
    let folder = folder
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("neofn-test-engine");
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{}-{LINEAR_BYTES}", artefact::identity());
    let (module, base) = (
        folder.join(format!("{name}.cwasm")),
        folder.join(format!("{name}.base")),
    );
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !base.exists() {
        let built = artefact::build().unwrap();
        for (path, bytes) in [(&module, &built.module), (&base, &built.base)] {
            let new = path.with_extension("new");
            std::fs::write(&new, bytes).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
    }
    (module, base)
}

pub struct Rig {
    pub engine: Engine,
    base: Vec<u8>,
}

/// One engine a process, with a thread that ticks.
pub fn rig() -> &'static Rig {
    static RIG: OnceLock<Rig> = OnceLock::new();
    RIG.get_or_init(|| {
        let (module, base) = files();
        let engine = Engine::load(EngineOptions {
            module: File::open(module).unwrap(),
            base: File::open(&base).unwrap(),
            pagemap: Some(OwnedFd::from(File::open("/proc/self/pagemap").unwrap())),
            slots: 16,
            live_max: 16,
            live_idle_max: 4,
        })
        .unwrap();
        let ticking = engine.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(2));
                ticking.tick();
            }
        });
        Rig {
            engine,
            base: std::fs::read(base).unwrap(),
        }
    })
}

/// Runs on a stack that is large enough.
pub fn on_big_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(f)
        .unwrap();
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

pub const MEMORY: u64 = 64 << 20;
pub const UNITS: u64 = 1_500_000;

pub fn prepare(code: &str) -> Result<Vec<u8>, Failure> {
    prepare_with(code, MEMORY).0
}
pub fn prepare_with(code: &str, memory: u64) -> (Result<Vec<u8>, Failure>, Vec<String>) {
    let code = code.to_owned();
    on_big_stack(move || {
        rig().engine.prepare(
            code.as_bytes(),
            memory,
            2_000_000_000,
            Duration::from_secs(600),
            &interrupt(),
        )
    })
}

/// A version in both layouts.
pub struct Both {
    pub cold: Version,
    pub hot: Version,
}

pub fn deploy(code: &str) -> Both {
    deploy_with(code, MEMORY)
}
pub fn deploy_with(code: &str, memory: u64) -> Both {
    let artifact = prepare_with(code, memory).0.unwrap();
    let rig = rig();
    let (cold, hot) = (
        rig.engine.version(&artifact).unwrap(),
        rig.engine.version(&artifact).unwrap(),
    );
    let image = image::write_memfd(&rig.base, &artifact).unwrap();
    rig.engine.promote(&hot, image).unwrap();
    Both { cold, hot }
}

pub fn input(event: &str) -> CallInput {
    CallInput {
        event: Bytes::copy_from_slice(event.as_bytes()),
        context: JobContext {
            function: "hello".into(),
            project: "demo".into(),
            invocation: "inv-1".into(),
            version: 3,
            attempt: 1,
            grants: vec!["kv".into()],
        },
        seed: [7; 32],
        now: UnixMillis(1_700_000_000_123),
        deadline: Duration::from_secs(600),
        units: UNITS,
        limits: JobLimits::default(),
    }
}

/// A host with a key-value store.
#[derive(Default)]
pub struct Host {
    pub kv: BTreeMap<String, serde_json::Value>,
    pub calls: Vec<HostCall>,
}
impl Host {
    fn answer(&mut self, call: &HostCall) -> HostReply {
        use crate::port::HostOp;
        let input: serde_json::Value = serde_json::from_slice(&call.input).unwrap();
        self.calls.push(call.clone());
        let key = input["key"].as_str().unwrap_or_default().to_owned();
        let result = match call.op {
            HostOp::KvGet => Ok(self.kv.get(&key).map_or(
                serde_json::Value::Null,
                |v| serde_json::json!({"value": v, "revision": 1}),
            )),
            HostOp::KvPut if key == "conflict" => Err(HostError {
                code: neofn_types::Code::KvConflict,
                message: "key changed".into(),
            }),
            HostOp::KvPut => {
                self.kv.insert(key, input["value"].clone());
                Ok(serde_json::json!({"revision": null}))
            }
            HostOp::KvDelete => Ok(serde_json::json!({"deleted": self.kv.remove(&key).is_some()})),
            HostOp::KvList => Ok(serde_json::json!({
                "entries": self.kv.iter().map(|(k, v)| serde_json::json!({"key": k, "value": v, "revision": 1})).collect::<Vec<_>>(),
                "cursor": null
            })),
            HostOp::KvCounter => Ok(serde_json::json!({"value": input["by"]})),
            HostOp::Invoke => Ok(serde_json::json!({"from": input["function"], "event": input["event"]})),
            HostOp::NeoHead => {
                Ok(serde_json::json!({"height": 41, "hash": "0x01", "time": 5, "network": 42}))
            }
            HostOp::NeoBalance => {
                Ok(serde_json::json!({"amount": "340282366920938463463374607431768211456"}))
            }
            HostOp::NeoRead => Ok(serde_json::json!({"value": input})),
            HostOp::NeoDecode => Ok(serde_json::json!({"instructions": input})),
            _ => Ok(input),
        };
        HostReply {
            result: result.map(|v| Bytes::from(v.to_string())),
            now: UnixMillis(1_700_000_000_123 + 10 * (i64::from(call.seq) + 1)),
            units: 0,
        }
    }
}

/// Runs to the end, answering host calls, and recycles.
pub fn run_with(version: &Version, input: CallInput, host: &mut Host) -> CompletedCore {
    let mut step = rig().engine.start(version, input, &interrupt());
    let mut pending = std::collections::VecDeque::new();
    loop {
        match step {
            Step::Done(finished) => {
                let (core, recycle) = finished.split();
                recycle.run();
                return core;
            }
            Step::Parked(mut parked) => {
                pending.extend(parked.take_calls());
                let call: HostCall = pending.pop_front().unwrap();
                let reply = host.answer(&call);
                step = parked.resume(call.seq, reply);
            }
        }
    }
}

/// The same run three times in each layout, which must not differ in anything but the layout's name.
pub fn run_input(versions: &Both, input: &CallInput) -> CompletedCore {
    let (hot, cold, input) = (versions.hot.clone(), versions.cold.clone(), input.clone());
    on_big_stack(move || {
        let first = run_with(&cold, input.clone(), &mut Host::default());
        assert_eq!(first.layout, Layout::D3);
        for (version, layout) in [
            (&hot, Layout::R1cow),
            (&cold, Layout::D3),
            (&hot, Layout::R1cow),
            (&hot, Layout::R1cow),
        ] {
            let again = run_with(version, input.clone(), &mut Host::default());
            assert_eq!(
                again,
                CompletedCore {
                    layout,
                    ..first.clone()
                }
            );
        }
        first
    })
}
pub fn run(code: &str, event: &str) -> CompletedCore {
    run_input(&deploy(code), &input(event))
}

pub fn json(core: &CompletedCore) -> serde_json::Value {
    match &core.outcome {
        Ok(bytes) => serde_json::from_slice(bytes).unwrap(),
        Err(failure) => panic!("{failure:?} {:?}", core.logs),
    }
}
pub fn failure(core: &CompletedCore) -> &Failure {
    core.outcome.as_ref().unwrap_err()
}
