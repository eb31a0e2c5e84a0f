//! A sandbox whose "code" names what it does, a compiler that copies, and time that a test moves.

use async_trait::async_trait;
use bytes::Bytes;
use neofn_engine::port::{Compile, CompileRefusal, CompiledSource, Position, Positions, Source};
use neofn_runtime::port::{
    Artifact, Completed, Failure, Frame, Held, HostCall, HostError, HostOp, HostReply, Job, Layout, Prepare,
    PrepareError, Runtime, RuntimeStatus,
};
use neofn_types::{Clock, Code, Diagnostic, Digest, Entropy, RuntimeKind, Severity, UnitsBill, UnixMillis};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Stands still unless moved.
pub struct TestClock(AtomicI64, AtomicI64);
impl TestClock {
    pub fn new() -> Self {
        Self(AtomicI64::new(1_800_000_000_000), AtomicI64::new(0))
    }
    /// The time of day is ahead from here on, by so much.
    pub fn leap(&self, ahead: Duration) {
        self.1
            .store(i64::try_from(ahead.as_millis()).unwrap(), Ordering::SeqCst);
    }
    pub fn advance(&self, d: Duration) {
        self.0
            .fetch_add(i64::try_from(d.as_millis()).unwrap(), Ordering::SeqCst);
    }
}
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst) + self.1.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

/// Counts through splitmix64, so that every run of a test sees the same.
pub struct TestEntropy(pub AtomicU64);
impl Entropy for TestEntropy {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
                .wrapping_add(1);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Copies the main file; refuses what says `syntax error`.
pub struct FakeCompiler;
struct SamePlace;

impl Positions for SamePlace {
    fn lookup(&self, line: u32, column: u32) -> Option<Position> {
        (line < 1_000).then(|| Position {
            file: "index.ts".into(),
            line: line + 2,
            column: column + 9,
            name: None,
        })
    }
}

#[async_trait]
impl Compile for FakeCompiler {
    async fn compile(&self, source: Source<'_>) -> Result<CompiledSource, CompileRefusal> {
        let code = source.files.get(source.main).cloned().unwrap_or_default();
        if code.contains("syntax error") {
            return Err(CompileRefusal::Rejected {
                bundling: false,
                diagnostics: vec![Diagnostic {
                    code: Code::Syntax,
                    severity: Severity::Error,
                    file: source.main.to_owned(),
                    line: 1,
                    column: 1,
                    length: 1,
                    message: "unexpected token".into(),
                    hint: String::new(),
                    frame: String::new(),
                }],
            });
        }
        if code.contains("compiler dies") {
            return Err(CompileRefusal::Unavailable("killed".into()));
        }
        Ok(CompiledSource {
            code: Bytes::from(code),
            source_map: Bytes::from_static(b"map"),
            calls: vec![],
            warnings: vec![],
            validate: Duration::from_millis(1),
            compile: Duration::from_millis(2),
        })
    }
    fn positions(&self, _: &[u8]) -> Option<Box<dyn Positions>> {
        Some(Box::new(SamePlace))
    }
    fn code_frame(&self, _: &str, line: u32, column: u32) -> String {
        format!("> {line}:{column}")
    }
}

/// Does what the first word of the code says.
#[derive(Default)]
pub struct FakeRuntime {
    /// Says that a run would not begin at once.
    pub full: AtomicBool,
    /// Every run meets no worker; and how many did.
    pub nobody: AtomicBool,
    pub met_nobody: AtomicU32,
    /// Changes to make every artifact one of another engine.
    pub engine: AtomicU8,
    pub prepared: AtomicU32,
    pub preparing: AtomicU32,
    pub preparing_most: AtomicU32,
    pub invoked: AtomicU32,
    pub running: AtomicU32,
    pub running_most: AtomicU32,
    /// Artifacts that were run before.
    pub known: Mutex<HashMap<Digest, Bytes>>,
    /// Permits let `block` go on.
    pub gate: Gate,
}
pub struct Gate(pub Semaphore);
impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

fn failure(code: Code, message: &str) -> Failure {
    let frame = |file: &str, line| Frame {
        function: "handler".into(),
        file: file.into(),
        line,
        column: 1,
    };
    Failure {
        code,
        message: message.into(),
        stack: vec![frame("fn.js", 1), frame("<prelude>", 7), frame("fn.js", 5_000)],
    }
}

struct Vm<'a> {
    job: &'a Job,
    seq: u32,
    host_units: u64,
    spent: u64,
    last: UnixMillis,
    logs: Vec<String>,
}

impl Vm<'_> {
    async fn host(&mut self, op: HostOp, input: Value) -> Result<Value, HostError> {
        let reply: HostReply = self
            .job
            .host
            .call(HostCall {
                seq: self.seq,
                op,
                input: Bytes::from(input.to_string()),
                units_left: self.job.units.saturating_sub(10_000 + self.spent),
                sharing: 1,
            })
            .await;
        self.seq += 1;
        self.host_units += reply.units;
        self.spent += reply.units;
        self.last = reply.now;
        reply.result.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    async fn run(&mut self, code: &str, runtime: &FakeRuntime) -> Result<Value, Failure> {
        let thrown = |e: HostError| failure(Code::Uncaught, &format!("{} {}", e.code, e.message));
        let event: Value = serde_json::from_slice(&self.job.event).unwrap();
        let mut words = code.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let word = words.next().unwrap_or_default().to_owned();
        match verb {
            "echo" => Ok(event),
            "constant" => Ok(serde_json::from_str(&word).unwrap()),
            "attempt" => Ok(json!(self.job.context.attempt)),
            "log" => {
                self.logs.push(format!("[LOG] {event}"));
                Ok(Value::Null)
            }
            "random" => Ok(json!([self.job.seed, self.job.started_at])),
            "throw" => Err(failure(Code::Uncaught, "Error: thrown")),
            "fail" => Err(failure(word.parse().unwrap(), "as told")),
            "flaky" if self.job.context.attempt < word.parse().unwrap() => {
                Err(failure(Code::Uncaught, "Error: not yet"))
            }
            "flaky" => Ok(json!(self.job.context.attempt)),
            "block" => {
                runtime.gate.0.acquire().await.unwrap().forget();
                Ok(event)
            }
            "count" => self
                .host(HostOp::KvCounter, json!({"key": "n", "by": 1}))
                .await
                .map_err(thrown),
            "count-block" => {
                let n = self
                    .host(HostOp::KvCounter, json!({"key": "n", "by": 1}))
                    .await
                    .map_err(thrown)?;
                runtime.gate.0.acquire().await.unwrap().forget();
                Ok(n)
            }
            "count-throw" => {
                self.host(HostOp::KvCounter, json!({"key": "n"}))
                    .await
                    .map_err(thrown)?;
                Err(failure(Code::Uncaught, "Error: after the write"))
            }
            "swap" => {
                let seen = self
                    .host(HostOp::KvGet, json!({"key": "k"}))
                    .await
                    .map_err(thrown)?;
                runtime.gate.0.acquire().await.unwrap().forget();
                let revision = seen.get("revision").cloned().unwrap_or(Value::Null);
                let put = json!({"key": "k", "value": event, "ifRevision": revision});
                self.host(HostOp::KvPut, put).await.map_err(thrown)
            }
            "put" => {
                let put = json!({"key": word, "value": event});
                self.host(HostOp::KvPut, put).await.map_err(thrown)?;
                self.host(HostOp::KvGet, json!({"key": word}))
                    .await
                    .map_err(thrown)
            }
            "list" => self
                .host(HostOp::KvList, json!({"prefix": word, "limit": 2}))
                .await
                .map_err(thrown),
            "get" => self
                .host(HostOp::KvGet, json!({"key": word}))
                .await
                .map_err(thrown),
            "call" => {
                let call = json!({"function": word, "event": event});
                self.host(HostOp::Invoke, call).await.map_err(thrown)
            }
            "abandon" => {
                let call = json!({"function": word, "event": event});
                let under_way = runtime.invoked.load(Ordering::SeqCst);
                tokio::select! {
                    _ = self.host(HostOp::Invoke, call) => {}
                    () = async {
                        // in a replay no callee begins
                        for _ in 0..100_000 {
                            if runtime.invoked.load(Ordering::SeqCst) != under_way {
                                break;
                            }
                            tokio::task::yield_now().await;
                        }
                    } => {}
                }
                Err(failure(Code::Uncaught, "Error: gave up"))
            }
            "catch" => {
                let call = json!({"function": word, "event": event});
                Ok(match self.host(HostOp::Invoke, call).await {
                    Ok(result) => result,
                    Err(e) => json!({"code": e.code.as_str(), "message": e.message}),
                })
            }
            // the event is a list of calls; answers the list of their answers
            "host" | "host-throw-once" => {
                let mut answers = Vec::new();
                for call in event.as_array().unwrap() {
                    let op: HostOp = serde_json::from_value(call[0].clone()).unwrap();
                    answers.push(match self.host(op, call[1].clone()).await {
                        Ok(answer) => answer,
                        Err(e) => json!({"code": e.code.as_str(), "message": e.message}),
                    });
                }
                if verb == "host-throw-once" && self.job.context.attempt == 1 {
                    return Err(failure(Code::Uncaught, "Error: after the calls"));
                }
                Ok(Value::Array(answers))
            }
            // calls another function with its event, and throws the first time
            "call-throw-once" => {
                let call = json!({"function": word, "event": event});
                let answer = self.host(HostOp::Invoke, call).await.map_err(thrown)?;
                if self.job.context.attempt == 1 {
                    return Err(failure(Code::Uncaught, "Error: after the call"));
                }
                Ok(answer)
            }
            other => Err(failure(Code::Internal, &format!("the fake cannot {other:?}"))),
        }
    }
}

fn high_water(now: &AtomicU32, most: &AtomicU32) {
    let n = now.fetch_add(1, Ordering::SeqCst) + 1;
    most.fetch_max(n, Ordering::SeqCst);
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn engine(&self, kind: RuntimeKind) -> Digest {
        Digest::of_parts(&[&[self.engine.load(Ordering::SeqCst)], kind.as_str().as_bytes()])
    }
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        high_water(&self.preparing, &self.preparing_most);
        tokio::task::yield_now().await;
        self.preparing.fetch_sub(1, Ordering::SeqCst);
        let code = std::str::from_utf8(&request.code).unwrap();
        if code.contains("top-level throw") {
            return Err(PrepareError::Refused(failure(
                Code::EvaluateFailed,
                "Error: at the top",
            )));
        }
        if code.contains("sandbox dies") {
            return Err(PrepareError::Unavailable("killed".into()));
        }
        if code.contains("nobody prepares") {
            return Err(PrepareError::Nobody(failure(Code::NoWorker, "nobody")));
        }
        let engine = self.engine(request.kind);
        let bytes = Bytes::from(format!("{}\n{code}", engine));
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            engine,
            bytes,
        };
        Ok((artifact, vec!["[LOG] top".into()]))
    }
    fn hold(&self, artifact: &Digest) -> Option<Held> {
        self.known
            .lock()
            .unwrap()
            .contains_key(artifact)
            .then(|| Held::new(()))
    }
    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }
    async fn invoke(&self, job: Job) -> Completed {
        if self.nobody.load(Ordering::SeqCst) {
            self.met_nobody.fetch_add(1, Ordering::SeqCst);
            return Completed {
                outcome: Err(failure(Code::NoWorker, "nobody")),
                logs: vec![],
                units: UnitsBill::default(),
                fuel: 0,
                memory_bytes: 0,
                duration: Duration::ZERO,
                layout: Layout::D3,
            };
        }
        self.invoked.fetch_add(1, Ordering::SeqCst);
        high_water(&self.running, &self.running_most);
        let text = {
            let mut known = self.known.lock().unwrap();
            let bytes = known
                .entry(job.artifact.digest)
                .or_insert_with(|| job.artifact.bytes.clone());
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let (engine, code) = text.split_once('\n').unwrap();
        let mut vm = Vm {
            job: &job,
            seq: 0,
            host_units: 0,
            spent: 0,
            last: job.started_at,
            logs: vec![],
        };
        let outcome = if engine.parse() == Ok(job.artifact.engine) {
            vm.run(code, self).await
        } else {
            Err(failure(Code::EngineMismatch, "wrong engine"))
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        Completed {
            outcome: outcome.map(|v| Bytes::from(v.to_string())),
            logs: vm.logs,
            units: UnitsBill {
                total: 10_000 + vm.host_units,
                base: 10_000,
                host: vm.host_units,
                schedule: 1,
                ..UnitsBill::default()
            },
            fuel: 0,
            memory_bytes: 0,
            duration: Duration::from_millis(1),
            layout: Layout::D3,
        }
    }
    fn is_warm(&self, artifact: &Digest) -> bool {
        self.hold(artifact).is_some()
    }
    fn status(&self) -> RuntimeStatus {
        RuntimeStatus::default()
    }
}
