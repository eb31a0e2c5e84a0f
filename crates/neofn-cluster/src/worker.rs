//! A worker: hosts sandboxes, runs what gateways send, and holds nothing else.
//!
//! It knows no keys, no database and no network but the bus. Its own end loses runs, never invocations.

use crate::beat::{Beat, Seat};
use crate::host::{AskGateway, Asked, HEAD_BYTES};
use crate::kept::Kept;
use crate::warm;
use crate::watch;
use crate::wire::{self, Busy, CallId, Ended, Made, Make, Ran, Run};
use neofn_bus::port::{Blobs, Received, Reply, Rpc};
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{Artifact, Failure, Held, Job, Prepare, PrepareError, Runtime};
use neofn_types::{Clock, Code, Digest, Error};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a runtime may take to end a cancelled run.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// How long the last requests may take to be refused.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A worker that has our name says so by then.
const THERE_WITHIN: Duration = Duration::from_secs(1);
/// Turns that are kept; beyond it those that nobody waits for are forgotten.
const FETCHES_MAX: usize = 64;

/// What a worker is made of.
pub struct WorkerOptions {
    /// What it says of itself.
    pub seat: Seat,
    /// Requests.
    pub rpc: Arc<dyn Rpc>,
    /// Where artifacts are.
    pub artifacts: Arc<dyn Blobs>,
    /// The sandboxes.
    pub runtime: Arc<dyn Runtime>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

struct Inner {
    options: WorkerOptions,
    running: AtomicU32,
    runs: AtomicU64,
    draining: AtomicBool,
    open: Mutex<HashMap<CallId, CancellationToken>>,
    kept: Mutex<Kept>,
    ran: warm::Ran,
    /// Runs that need the same artifact fetch it by turns: later ones mostly find that the runtime has it.
    fetches: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    tasks: TaskTracker,
}

/// A worker that runs. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    inner: Arc<Inner>,
    stop: CancellationToken,
    /// Cancelled when nothing more is heard.
    deaf: CancellationToken,
}

impl Worker {
    /// Begins to take runs; refuses to when another worker has the name.
    pub async fn start(options: WorkerOptions) -> Result<Self, Error> {
        let rpc = options.rpc.clone();
        // who does not answer hangs or is gone, and who may not ask is noticed by the gateways
        let ping = wire::worker(&options.seat.id, "ping");
        if rpc.request(&ping, Message::default(), THERE_WITHIN).await.is_ok() {
            let text = format!("a worker called {} is there already", options.seat.id);
            let error = Error::new(Code::ConfigInvalid, text);
            return Err(error.hint("End it first, or give this one a `--name` of its own."));
        }
        // as a group of its own: if another one was started under the same name, a run still goes to one of them
        let id = &options.seat.id;
        let mut requests = rpc.serve(&wire::worker(id, "*"), Some(id)).await?;
        let inner = Arc::new(Inner {
            options,
            running: AtomicU32::new(0),
            runs: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            open: Mutex::default(),
            kept: Mutex::default(),
            ran: warm::Ran::default(),
            fetches: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        let deaf = CancellationToken::new();
        let (serving, stopped, ended) = (inner.clone(), stop.clone(), deaf.clone().drop_guard());
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    () = stopped.cancelled() => break,
                    received = requests.next() => received,
                };
                let Some(received) = received else { break };
                serving.clone().take(received);
            }
            // what was sent before the server knew that we go is on its way to us, and somebody waits for its answer
            requests.stop().await;
            while let Some(received) = requests.next().await {
                serving.clone().take(received);
            }
            drop(ended);
        });
        let told = inner.clone();
        tokio::spawn(watch::say(rpc, stop.clone(), move || told.beat()));
        Ok(Self { inner, stop, deaf })
    }

    /// What it says of itself.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.inner.beat()
    }

    /// Takes no more runs and tells so; answers whether those under way ended within `deadline`.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.inner.draining.store(true, Ordering::Release);
        watch::say_once(&*self.inner.options.rpc, &self.inner.beat()).await;
        self.inner.tasks.close();
        // what gateways send before they have heard is refused, and they choose another worker
        let ended = tokio::time::timeout(deadline, self.inner.tasks.wait())
            .await
            .is_ok();
        self.stop.cancel();
        let refused = async {
            self.deaf.cancelled().await;
            self.inner.tasks.wait().await;
        };
        if ended && tokio::time::timeout(LAST_WORDS, refused).await.is_err() {
            tracing::warn!("requests that came last are not answered");
        }
        ended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (_, run) in self.open.get_mut().drain() {
            run.cancel();
        }
    }
}

/// Counts a run for as long as it is there.
struct Running(Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A run that can be cancelled for as long as it is there.
struct Opened {
    inner: Arc<Inner>,
    call: CallId,
    cancelled: CancellationToken,
}

impl Opened {
    fn new(inner: &Arc<Inner>, call: CallId) -> Self {
        let cancelled = CancellationToken::new();
        inner.open.lock().insert(call, cancelled.clone());
        let inner = inner.clone();
        Self {
            inner,
            call,
            cancelled,
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.inner.open.lock().remove(&self.call);
    }
}

impl Inner {
    fn beat(&self) -> Beat {
        Beat {
            seat: self.options.seat.clone(),
            running: self.running.load(Ordering::Acquire),
            runs: self.runs.load(Ordering::Relaxed),
            draining: self.draining.load(Ordering::Acquire),
            sandboxes: self.options.runtime.status(),
            warm: self.ran.warm(|artifact| self.options.runtime.is_warm(artifact)),
        }
    }

    fn take(self: Arc<Self>, received: Received) {
        let what = received.subject.rsplit('.').next().unwrap_or_default().to_owned();
        let inner = self.clone();
        match (what.as_str(), received.reply) {
            ("run", Some(reply)) => {
                let run = wire::read::<Run>(&received.message.payload);
                // before its task begins: a cancellation may be right behind it
                let opened = run.as_ref().ok().map(|run| Opened::new(&inner, run.call));
                self.tasks.spawn(async move {
                    let ran = match (run, &opened) {
                        (Ok(run), Some(opened)) => inner.clone().run(run, opened.cancelled.clone()).await,
                        _ => Ran::Ended(wire::failed(refused("the worker cannot read the run")).into()),
                    };
                    inner.send(reply, opened, inner.answer(ran)).await;
                });
            }
            ("prepare", Some(reply)) => {
                let call = named(&received.message);
                let opened = call.map(|call| Opened::new(&inner, call));
                self.tasks.spawn(async move {
                    let made = inner.prepare(&received.message).await;
                    inner.send(reply, opened, wire::write(&made)).await;
                });
            }
            ("ping", Some(reply)) => {
                let missing = self.missing(&received.message.payload);
                tokio::spawn(async move { inner.send(reply, None, Ok(missing.into())).await });
            }
            ("answer", Some(reply)) => {
                let call = CallId::try_from(&received.message.payload[..]);
                let answer = call.ok().and_then(|call| self.kept.lock().get(&call));
                let answer = answer.unwrap_or_default();
                tokio::spawn(async move { inner.send(reply, None, Ok(answer)).await });
            }
            ("cancel", _) => {
                let call = CallId::try_from(&received.message.payload[..]);
                if let Some(run) = call.ok().and_then(|call| self.open.lock().get(&call).cloned()) {
                    run.cancel();
                }
            }
            _ => tracing::debug!(subject = received.subject, "not a request that a worker knows"),
        }
    }

    /// Which of these runs are not here.
    fn missing(&self, asked: &[u8]) -> Vec<u8> {
        let open = self.open.lock();
        let missing = wire::calls(asked).filter(|call| !open.contains_key(call));
        missing.flatten().collect()
    }

    fn answer(&self, ran: Ran) -> Result<bytes::Bytes, BusError> {
        let bytes_max = self.options.rpc.bytes_max();
        match wire::write(&ran) {
            Ok(bytes) if bytes.len() + HEAD_BYTES > bytes_max => {
                let failure = Failure {
                    code: Code::BusMessageTooLarge,
                    message: format!(
                        "the result and the log have {} bytes, the NATS server takes {bytes_max}",
                        bytes.len()
                    ),
                    stack: Vec::new(),
                };
                // it ran, so it is charged
                let ended = match ran {
                    Ran::Ended(ended) => Ended {
                        outcome: Err(failure),
                        logs: Vec::new(),
                        ..ended
                    },
                    Ran::Busy(_) => wire::failed(failure).into(),
                };
                wire::write(&Ran::Ended(ended))
            }
            written => written,
        }
    }

    /// Answers; the answer to a call is kept before the call is over.
    async fn send(
        &self,
        reply: Box<dyn Reply>,
        opened: Option<Opened>,
        written: Result<bytes::Bytes, BusError>,
    ) {
        let sent = match written {
            Ok(bytes) => {
                if let Some(opened) = opened {
                    self.kept.lock().keep(opened.call, bytes.clone());
                }
                reply.send(Message::new(bytes)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "answer not sent");
        }
    }

    async fn run(self: Arc<Self>, run: Run, cancelled: CancellationToken) -> Ran {
        let begun = self.options.clock.monotonic();
        if self.draining.load(Ordering::Acquire) {
            return Ran::Busy(Busy::Draining);
        }
        // it would wait for one as long as it may run; another worker may have one
        if self.options.runtime.status().children == 0 {
            return Ran::Busy(Busy::Full);
        }
        if self.running.fetch_add(1, Ordering::AcqRel) >= self.options.seat.runs_max {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return Ran::Busy(Busy::Full);
        }
        let running = Running(self.clone());
        let (artifact, held) = match self.artifact(run.artifact, run.engine).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, artifact = %run.artifact, "artifact not to be had");
                return Ran::Busy(Busy::NoArtifact);
            }
        };
        // its gateway waits for so long, whatever it was spent on
        let spent = self.options.clock.monotonic().saturating_sub(begun);
        let time = Duration::from_millis(run.time_ms).saturating_sub(spent);
        if time.is_zero() {
            tracing::warn!(artifact = %run.artifact, ?spent, "the artifact came when the time of its run was over");
            return Ran::Busy(Busy::NoArtifact);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        let context = &run.context;
        self.ran.note(
            &context.project,
            &context.function,
            context.version,
            artifact.digest,
        );
        let asked = Arc::new(Asked::default());
        let job = Job {
            artifact,
            event: run.event,
            context: run.context,
            seed: run.seed,
            started_at: run.started_at,
            time,
            units: run.units,
            limits: run.limits,
            host: Arc::new(AskGateway {
                rpc: self.options.rpc.clone(),
                clock: self.options.clock.clone(),
                subject: wire::host(&run.gateway, &hex::encode(run.call)),
                deadline: self.options.clock.monotonic().saturating_add(time),
                orphaned: cancelled.clone(),
                asked: asked.clone(),
            }),
            given_up: cancelled.clone(),
        };
        let abandoned = async {
            cancelled.cancelled().await;
            tokio::time::sleep(CANCEL_GRACE).await;
        };
        let completed = tokio::select! {
            completed = self.options.runtime.invoke(job) => completed,
            // a runtime that does not hear: its sandbox is abandoned with the future
            () = abandoned => wire::failed(refused("the run was cancelled")),
        };
        drop((held, running));
        let completed = match asked.lost() {
            Some(why) => wire::failed(why.clone()),
            None => completed,
        };
        Ran::Ended(completed.into())
    }

    /// The artifact, without bytes when the runtime has it still.
    async fn artifact(
        &self,
        digest: Digest,
        engine: Digest,
    ) -> Result<(Arc<Artifact>, Option<Held>), BusError> {
        let named = |bytes| {
            Arc::new(Artifact {
                digest,
                engine,
                bytes,
            })
        };
        if let Some(held) = self.options.runtime.hold(&digest) {
            return Ok((named(bytes::Bytes::new()), Some(held)));
        }
        let turn = {
            let mut fetches = self.fetches.lock();
            if fetches.len() >= FETCHES_MAX {
                fetches.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            fetches.entry(digest).or_default().clone()
        };
        let _turn = turn.lock().await;
        if let Some(held) = self.options.runtime.hold(&digest) {
            return Ok((named(bytes::Bytes::new()), Some(held)));
        }
        let found = self.options.artifacts.get(digest).await?;
        let bytes = found.ok_or_else(|| BusError::Unavailable(format!("no artifact {digest}")))?;
        Ok((named(bytes), None))
    }

    async fn prepare(&self, message: &Message) -> Made {
        let unavailable = |e: BusError| Made::Unavailable(e.to_string());
        let Ok(make) = wire::read::<Make>(&message.payload) else {
            return Made::Unavailable("the worker cannot read the request".to_owned());
        };
        if self.draining.load(Ordering::Acquire) {
            return Made::Busy(Busy::Draining);
        }
        let code = match self.options.artifacts.get(make.code).await {
            Ok(Some(code)) => code,
            Ok(None) | Err(BusError::Damaged(_)) => return Made::Busy(Busy::NoArtifact),
            Err(error) => return unavailable(error),
        };
        let request = Prepare {
            kind: make.kind,
            code,
            memory_bytes: make.memory_bytes,
            time: Duration::from_millis(make.time_ms),
            fuel: make.fuel,
        };
        match self.options.runtime.prepare(request).await {
            Ok((artifact, logs)) => match self.options.artifacts.put(artifact.digest, artifact.bytes).await {
                Ok(()) => Made::Artifact {
                    digest: artifact.digest,
                    engine: artifact.engine,
                    logs,
                },
                Err(error) => unavailable(error),
            },
            Err(PrepareError::Refused(failure)) => Made::Refused(failure),
            Err(PrepareError::Unavailable(why)) => Made::Unavailable(why),
            Err(error @ PrepareError::Nobody(_)) => Made::Unavailable(error.to_string()),
        }
    }
}

/// Which call a preparation is.
fn named(message: &Message) -> Option<CallId> {
    let mut call = CallId::default();
    hex::decode_to_slice(message.get(wire::CALL)?, &mut call).ok()?;
    Some(call)
}

fn refused(why: &str) -> Failure {
    Failure {
        code: Code::SandboxLost,
        message: why.to_owned(),
        stack: Vec::new(),
    }
}
