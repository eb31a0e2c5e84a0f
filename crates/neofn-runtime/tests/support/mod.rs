//! What tests and the benchmark of the process pool share: a clock, host calls, a pool over this very binary.

use async_trait::async_trait;
use bytes::Bytes;
use neofn_runtime::port::{
    Artifact, HostCall, HostCalls, HostReply, Job, JobContext, JobLimits, Prepare, Runtime,
};
use neofn_runtime::{Pool, PoolOptions};
use neofn_types::{Clock, RuntimeKind, UnixMillis};
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHILD: &str = "__child";

/// To be asked first in `main`: whether this process is a child, and then its end.
pub fn child_role() -> Option<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == CHILD => Some(neofn_runtime::child::main(rest)),
        _ => None,
    }
}

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the root of a test program")]
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

pub fn options(children: u32) -> PoolOptions {
    let exe = std::env::current_exe().expect("own path");
    // one for all runs: the engine is compiled once
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache");
    let mut options = PoolOptions::new(exe, vec![CHILD.into()], cache, clock());
    options.children = children;
    options
}

pub async fn pool(children: u32) -> Pool {
    start(options(children)).await
}

pub async fn start(options: PoolOptions) -> Pool {
    // test processes that start at once would all compile the engine
    let lock = File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine-cache.lock"))
        .expect("lock file");
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .expect("lock task")
        .expect("lock");
    let pool = Pool::start(options).await.expect("pool");
    drop(lock);
    pool
}

/// Does what its event asks for.
pub const SOURCE: &str = r#"
const padding = "PADDING";
let counter = 0;
export async function handler(event, ctx) {
  counter++;
  if (event.spin && !event.get) for (;;) {}
  if (event.get) {
    const seen = [];
    const all = Array.from({ length: event.get }, (_, i) => ctx.kv.get(String(i)).then(() => seen.push(i)));
    await Promise.all(all);
    if (event.spin) for (;;) {}
    return seen;
  }
  if (event.size) return "x".repeat(event.size);
  if (event.work) { let s = 0; for (let i = 0; i < event.work; i++) s += i % 7; return { s, counter }; }
  return { greeting: `Hello, ${event.name}`, length: JSON.stringify(event).length, counter };
}
"#;

pub async fn prepare(pool: &Pool, source: &str) -> Arc<Artifact> {
    let request = Prepare {
        kind: RuntimeKind::Js,
        code: Bytes::copy_from_slice(source.as_bytes()),
        memory_bytes: 64 << 20,
        time: Duration::from_secs(10),
        fuel: 1_000_000_000,
    };
    let (artifact, _) = pool.prepare(request).await.expect("prepare");
    Arc::new(artifact)
}

/// Answers every host call with null at once.
pub struct Null;

#[async_trait]
impl HostCalls for Null {
    async fn call(&self, _: HostCall) -> HostReply {
        reply()
    }
}

pub fn reply() -> HostReply {
    HostReply {
        result: Ok(Bytes::from_static(b"null")),
        now: UnixMillis(1_700_000_000_001),
        units: 0,
    }
}

pub fn job(artifact: &Arc<Artifact>, event: impl Into<Bytes>) -> Job {
    Job {
        artifact: Arc::clone(artifact),
        event: event.into(),
        context: JobContext {
            function: "hello".into(),
            project: "default".into(),
            invocation: "0190".into(),
            version: 1,
            attempt: 1,
            grants: vec!["kv".into()],
        },
        seed: [7; 32],
        started_at: UnixMillis(1_700_000_000_000),
        time: Duration::from_secs(30),
        units: 1_000_000_000,
        limits: JobLimits::default(),
        host: Arc::new(Null),
        given_up: tokio_util::sync::CancellationToken::new(),
    }
}
