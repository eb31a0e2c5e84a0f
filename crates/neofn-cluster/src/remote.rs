//! The runtime of a gateway that runs no tenant code itself: every run goes to a worker, as one request.
//!
//! A worker that goes away fails its runs as lost at once: the engine tries asynchronous ones again, and the callers of
//! synchronous ones are told that they may.

use crate::beat::{Beat, Role, Seat};
use crate::bounds::Bounds;
use crate::host::{HEAD_BYTES, OpenCalls};
use crate::members::{Member, Members};
use crate::watch;
use crate::wire::{self, Busy, CallId, Made, Make, Ran, Run};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_bus::port::{Blobs, Rpc};
use neofn_bus::{BusError, Message};
use neofn_runtime::port::{
    Artifact, Completed, Failure, Held, Job, Prepare, PrepareError, Runtime, RuntimeStatus,
};
use neofn_types::{Clock, Code, Digest, Entropy, FunctionKey, RuntimeKind};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Workers that are asked in vain before a preparation is given back.
const TRIES: u32 = 16;
/// How long a run waits for a worker, when there is none or all are full.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the others are looked at when one was full.
const AGAIN: Duration = Duration::from_millis(50);
/// Beyond a run's own time limit its worker may take this.
const GRACE: Duration = Duration::from_secs(5);
/// How often workers that run something for us are asked whether they are there: a connection that broke is noticed by
/// the server at once, and then nobody listens.
const PROBE: Duration = Duration::from_millis(500);
/// Artifacts known to lie in the object store.
const KNOWN_MAX: usize = 65_536;

/// What a gateway is made of, as far as the cluster goes.
pub struct RemoteOptions {
    /// What it says of itself.
    pub seat: Seat,
    /// Requests.
    pub rpc: Arc<dyn Rpc>,
    /// Where artifacts are.
    pub artifacts: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names of runs, which nobody may guess.
    pub entropy: Arc<dyn Entropy>,
    /// The engines of this binary.
    pub engines: Vec<(RuntimeKind, Digest)>,
}

struct Inner {
    options: RemoteOptions,
    members: Mutex<Members>,
    /// A worker came, or has room again.
    room: Notify,
    open: OpenCalls,
    known: Mutex<HashMap<Digest, ()>>,
    /// A worker could not read them: what the object store has under their names is not taken for them.
    doubted: Mutex<HashSet<Digest>>,
    running: AtomicU32,
    runs: AtomicU64,
    draining: AtomicBool,
}

/// See the module. Cheap to clone; dropped, it says and hears no more.
#[derive(Clone)]
pub struct RemoteRuntime {
    inner: Arc<Inner>,
    stop: Arc<Stop>,
}

struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl RemoteRuntime {
    /// Begins to listen for workers.
    pub async fn start(options: RemoteOptions) -> Result<Self, BusError> {
        let rpc = options.rpc.clone();
        let mut asked = rpc.serve(&wire::host(&options.seat.id, "*"), None).await?;
        let inner = Arc::new(Inner {
            options,
            members: Mutex::default(),
            room: Notify::new(),
            open: OpenCalls::default(),
            known: Mutex::default(),
            doubted: Mutex::default(),
            running: AtomicU32::new(0),
            runs: AtomicU64::new(0),
            draining: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let (serving, stopped) = (inner.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    () = stopped.cancelled() => return,
                    received = asked.next() => received,
                };
                let Some(received) = received else { return };
                let serving = serving.clone();
                let bytes_max = serving.options.rpc.bytes_max();
                tokio::spawn(async move { serving.open.answer(received, bytes_max).await });
            }
        });
        let heard = inner.clone();
        let hearing = watch::hear(rpc.clone(), stop.clone(), move |beat| heard.hear(beat));
        tokio::spawn(async move {
            if let Err(error) = hearing.await {
                tracing::error!(%error, "other nodes are not heard");
            }
        });
        let told = inner.clone();
        tokio::spawn(watch::say(rpc, stop.clone(), move || told.beat()));
        tokio::spawn(inner.clone().probe(stop.clone()));
        Ok(Self {
            inner,
            stop: Arc::new(Stop(stop)),
        })
    }

    /// The nodes that are there, this one too.
    #[must_use]
    pub fn nodes(&self) -> Vec<Member> {
        self.inner.members.lock().list()
    }

    /// What this node says of itself.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.inner.beat()
    }

    /// The worker to which runs of a function go first; none: none has the engine.
    #[must_use]
    pub fn home(&self, key: &FunctionKey, kind: RuntimeKind) -> Option<String> {
        let engine = self.inner.engine(kind);
        self.inner.members.lock().home(&key.to_string(), &engine)
    }

    /// Waits until there is a worker.
    pub async fn wait_for_worker(&self, within: Duration) -> bool {
        let there = async {
            loop {
                let room = self.inner.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                if self.nodes().iter().any(|m| self.inner.fits(m)) {
                    return;
                }
                room.await;
            }
        };
        tokio::time::timeout(within, there).await.is_ok()
    }

    /// Says that this gateway goes.
    pub async fn begin_drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
        watch::say_once(&*self.inner.options.rpc, &self.inner.beat()).await;
    }

    /// Says and hears no more.
    pub fn stop(&self) {
        self.stop.0.cancel();
    }
}

/// What became of a run at one worker.
enum Read {
    Ended(Completed),
    /// It has not begun, another worker may.
    Elsewhere,
    /// It has not begun: the artifact could not be had.
    NoArtifact,
}

/// A worker that was chosen: it counts as busier until this is dropped.
struct Chosen {
    inner: Arc<Inner>,
    id: String,
    gone: CancellationToken,
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.inner.members.lock().ended(&self.id, &self.gone);
        self.inner.room.notify_one();
    }
}

/// A run on a worker: cancelled there when nobody waits for it any more.
struct OnWorker {
    worker: Chosen,
    call: CallId,
    ended: bool,
}

impl Drop for OnWorker {
    fn drop(&mut self) {
        let inner = &self.worker.inner;
        inner.open.close(&self.call);
        inner.running.fetch_sub(1, Ordering::AcqRel);
        if self.ended {
            return;
        }
        let cancel = self.cancel();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel);
        }
    }
}

impl OnWorker {
    /// Tells the worker that nobody wants the run to go on.
    fn cancel(&self) -> impl Future<Output = ()> + Send + 'static {
        let rpc = self.worker.inner.options.rpc.clone();
        let subject = wire::worker(&self.worker.id, "cancel");
        let call = Bytes::copy_from_slice(&self.call);
        async move {
            if let Err(error) = rpc.publish(&subject, Message::new(call)).await {
                tracing::warn!(%error, subject, "a run goes on that nobody waits for");
            }
        }
    }
}

fn failure(code: Code, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
        stack: Vec::new(),
    }
}

fn lost() -> Failure {
    failure(Code::SandboxLost, "the worker that ran the function went away")
}

impl Inner {
    fn beat(&self) -> Beat {
        Beat {
            seat: self.options.seat.clone(),
            running: self.running.load(Ordering::Acquire),
            runs: self.runs.load(Ordering::Relaxed),
            draining: self.draining.load(Ordering::Acquire),
            sandboxes: RuntimeStatus::default(),
            warm: Vec::new(),
        }
    }

    fn hear(&self, beat: Beat) {
        let now = self.options.clock.monotonic();
        let (id, role) = (beat.seat.id.clone(), beat.seat.role);
        let known = self.members.lock().list().iter().any(|m| m.beat.seat.id == id);
        if self.members.lock().hear(beat, now) {
            self.room.notify_waiters();
        }
        if known {
            return;
        }
        tracing::info!(node = id, role = role.as_str(), "a node came");
        let members = self.members.lock().list();
        let misfit = members.iter().find(|m| m.beat.seat.id == id);
        if let Some(why) = misfit.and_then(|m| m.misfit(&self.options.engines)) {
            tracing::warn!(
                node = id,
                role = role.as_str(),
                why,
                "it gets no runs from this gateway"
            );
        }
    }

    fn fits(&self, member: &Member) -> bool {
        member.beat.seat.role == Role::Worker && member.misfit(&self.options.engines).is_none()
    }

    fn lose(&self, id: &str, why: &str) {
        if self.members.lock().lose(id) {
            tracing::warn!(node = id, why, "a node went");
        }
    }

    async fn probe(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
            // while we are cut off ourselves, silence says nothing; the runs' own requests will
            for id in self.members.lock().sweep(self.options.clock.monotonic()) {
                tracing::warn!(node = id, "a node went: it is silent");
            }
            let used = self.members.lock().in_use();
            for id in used {
                let inner = self.clone();
                tokio::spawn(async move {
                    let subject = wire::worker(&id, "ping");
                    let asked = inner
                        .options
                        .rpc
                        .request(&subject, Message::default(), PROBE * 4)
                        .await;
                    if let Err(BusError::NoResponders(_)) = asked {
                        inner.lose(&id, "nobody listens");
                    }
                });
            }
        }
    }

    /// A worker for a run; waits for one within bounds.
    async fn worker(
        self: &Arc<Self>,
        function: &str,
        engine: &Digest,
        without: &[String],
        within: Duration,
    ) -> Option<Chosen> {
        let found = async {
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                let chosen = self.members.lock().choose(function, engine, without);
                if let Some((id, gone)) = chosen {
                    let inner = self.clone();
                    return Chosen { inner, id, gone };
                }
                room.await;
            }
        };
        tokio::time::timeout(within, found).await.ok()
    }

    /// Makes sure that the object store has the artifact.
    async fn publish(&self, artifact: &Artifact) -> Result<(), Failure> {
        let doubted = self.doubted.lock().contains(&artifact.digest);
        if !doubted && self.known.lock().contains_key(&artifact.digest) {
            return Ok(());
        }
        let blobs = &self.options.artifacts;
        let there = if doubted {
            // only bytes that are what their name says can mend it
            let whole = match artifact.bytes.is_empty() {
                true => matches!(blobs.get(artifact.digest).await, Ok(Some(_))),
                false if Digest::of(&artifact.bytes) == artifact.digest => false,
                false => {
                    return Err(failure(
                        Code::SandboxLost,
                        "the version's compiled form is damaged",
                    ));
                }
            };
            Ok(whole)
        } else {
            blobs.has(artifact.digest).await
        };
        let put = match there {
            Ok(true) => Ok(()),
            Ok(false) if artifact.bytes.is_empty() => {
                return Err(failure(
                    Code::SandboxLost,
                    "the version's compiled form is gone from the object store",
                ));
            }
            Ok(false) => blobs.put(artifact.digest, artifact.bytes.clone()).await,
            Err(error) => Err(error),
        };
        put.map_err(|e| failure(Code::BusUnavailable, e.to_string()))?;
        self.doubted.lock().remove(&artifact.digest);
        self.know(artifact.digest);
        Ok(())
    }

    fn know(&self, digest: Digest) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(digest, ());
    }

    async fn run(self: &Arc<Self>, job: Job) -> Result<Completed, Failure> {
        let begun = self.options.clock.monotonic();
        self.publish(&job.artifact).await?;
        let function = format!("{}/{}", job.context.project, job.context.function);
        let mut run = Run {
            call: [0; 16],
            gateway: self.options.seat.id.clone(),
            artifact: job.artifact.digest,
            engine: job.artifact.engine,
            event: job.event,
            context: job.context,
            seed: job.seed,
            started_at: job.started_at,
            time_ms: 0,
            units: job.units,
            limits: job.limits,
        };
        let bounds = Bounds {
            limits: job.limits,
            units: job.units,
        };
        let mut again = false;
        let mut without = Vec::new();
        let past = || self.options.clock.monotonic().saturating_sub(begun);
        loop {
            // what is sent now would lie here until somebody is there again: then nobody has seen it, and it is said so
            while !self.options.rpc.is_connected() {
                if past() >= WAIT_MAX.min(job.time) {
                    return Err(failure(
                        Code::BusUnavailable,
                        "NATS is away: no worker can be asked",
                    ));
                }
                tokio::time::sleep(AGAIN).await;
            }
            let left = job.time.saturating_sub(past());
            // one that was full or going may have room in a moment
            let patience = if without.is_empty() { WAIT_MAX } else { AGAIN };
            let found = self
                .worker(&function, &run.engine, &without, left.min(patience))
                .await;
            let Some(worker) = found else {
                if !without.is_empty() && past() < WAIT_MAX.min(job.time) {
                    without.clear();
                    continue;
                }
                return Err(failure(
                    Code::NoWorker,
                    self.nobody(run.engine, "run the function"),
                ));
            };
            self.options.entropy.fill(&mut run.call);
            run.time_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.open.open(run.call, job.host.clone(), job.limits);
            self.running.fetch_add(1, Ordering::AcqRel);
            let gone = worker.gone.clone();
            let mut there = OnWorker {
                worker,
                call: run.call,
                ended: false,
            };
            let message = wire::write(&run).map_err(|e| failure(Code::Internal, e.to_string()))?;
            if message.len() + HEAD_BYTES > self.options.rpc.bytes_max() {
                there.ended = true;
                let bytes_max = self.options.rpc.bytes_max();
                let text = format!(
                    "the event is {} bytes with what goes along, the NATS server takes {bytes_max}",
                    message.len()
                );
                return Err(failure(Code::BusMessageTooLarge, text));
            }
            let subject = wire::worker(&there.worker.id, "run");
            let request =
                self.options
                    .rpc
                    .request(&subject, Message::new(message), left.saturating_add(GRACE));
            tokio::pin!(request);
            let answer = tokio::select! {
                biased;
                answer = &mut request => answer,
                () = gone.cancelled() => return Err(lost()),
                () = job.given_up.cancelled() => {
                    there.cancel().await;
                    // what it used until then comes with its end
                    tokio::select! {
                        biased;
                        answer = &mut request => answer,
                        () = gone.cancelled() => return Err(lost()),
                    }
                }
            };
            match self.read(answer, &mut there, &bounds)? {
                Read::Ended(completed) => return Ok(completed),
                Read::Elsewhere => without.push(there.worker.id.clone()),
                Read::NoArtifact if !again && !job.artifact.bytes.is_empty() => {
                    again = true;
                    self.doubted.lock().insert(job.artifact.digest);
                    self.publish(&job.artifact).await?;
                }
                Read::NoArtifact => {
                    // with the next try the engine brings the bytes
                    let mut doubted = self.doubted.lock();
                    if doubted.len() < KNOWN_MAX {
                        doubted.insert(job.artifact.digest);
                    }
                    self.known.lock().clear();
                    return Err(failure(
                        Code::SandboxLost,
                        "the worker could not fetch the version",
                    ));
                }
            }
        }
    }

    fn read(
        &self,
        answer: Result<Message, BusError>,
        there: &mut OnWorker,
        bounds: &Bounds,
    ) -> Result<Read, Failure> {
        let ran = answer.and_then(|message| wire::read::<Ran>(&message.payload));
        there.ended = !matches!(ran, Err(BusError::TimedOut(_) | BusError::Unavailable(_)));
        match ran {
            Ok(Ran::Ended(ended)) => {
                self.runs.fetch_add(1, Ordering::Relaxed);
                if let Some(why) = bounds.broken(&ended) {
                    tracing::error!(
                        worker = there.worker.id,
                        why,
                        "a worker's answer cannot be: the run is lost"
                    );
                    return Err(failure(
                        Code::SandboxLost,
                        "the worker that ran the function gave an answer that cannot be",
                    ));
                }
                Ok(Read::Ended(ended.into()))
            }
            Ok(Ran::Busy(Busy::NoArtifact)) => Ok(Read::NoArtifact),
            Ok(Ran::Busy(Busy::Draining | Busy::Full)) => Ok(Read::Elsewhere),
            Err(BusError::NoResponders(_)) => {
                self.lose(&there.worker.id, "nobody listens");
                Ok(Read::Elsewhere)
            }
            Err(error @ BusError::Denied(_)) => Err(failure(Code::BusDenied, error.to_string())),
            Err(error) => {
                tracing::warn!(%error, worker = there.worker.id, "a run is lost");
                Err(lost())
            }
        }
    }

    async fn make(self: &Arc<Self>, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        let unavailable = |e: BusError| PrepareError::Nobody(failure(e.code(), e.to_string()));
        let engine = self.engine(request.kind);
        let code = Digest::of(&request.code);
        self.options
            .artifacts
            .put(code, request.code)
            .await
            .map_err(unavailable)?;
        let make = Make {
            kind: request.kind,
            code,
            memory_bytes: request.memory_bytes,
            time_ms: u64::try_from(request.time.as_millis()).unwrap_or(u64::MAX),
            fuel: request.fuel,
        };
        let message = wire::write(&make).map_err(unavailable)?;
        let mut without = Vec::new();
        for _ in 0..TRIES {
            let Some(worker) = self.worker(&code.to_string(), &engine, &without, WAIT_MAX).await else {
                break;
            };
            let subject = wire::worker(&worker.id, "prepare");
            let asked = self.options.rpc.request(
                &subject,
                Message::new(message.clone()),
                request.time + GRACE + GRACE + Duration::from_secs(60),
            );
            let answer = tokio::select! {
                answer = asked => answer,
                () = worker.gone.cancelled() => Err(BusError::NoResponders(worker.id.clone())),
            };
            match answer.and_then(|m| wire::read::<Made>(&m.payload)) {
                Ok(Made::Artifact { digest, engine, logs }) => {
                    let found = self.options.artifacts.get(digest).await.map_err(unavailable)?;
                    let bytes = found.ok_or_else(|| {
                        PrepareError::Unavailable(
                            "what the worker made is not in the object store".to_owned(),
                        )
                    })?;
                    self.know(digest);
                    return Ok((
                        Artifact {
                            digest,
                            engine,
                            bytes,
                        },
                        logs,
                    ));
                }
                Ok(Made::Refused(failure)) => return Err(PrepareError::Refused(failure)),
                // preparing has no effects: another worker may try
                Ok(Made::Busy(_) | Made::Unavailable(_)) | Err(BusError::NoResponders(_)) => {
                    without.push(worker.id.clone());
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
        let why = self.nobody(engine, "prepare the version");
        Err(PrepareError::Nobody(failure(Code::NoWorker, why)))
    }

    /// Why there was no worker, in words.
    fn nobody(&self, engine: Digest, to: &str) -> String {
        let kind = self.options.engines.iter().find(|(_, e)| *e == engine);
        let kind = kind.map_or(RuntimeKind::Js, |(kind, _)| *kind);
        match self.members.lock().misfits((kind, engine)) {
            Some(why) => format!("no worker was there to {to}: those that are do not fit; {why}"),
            None => format!("no worker was there to {to}"),
        }
    }

    fn engine(&self, kind: RuntimeKind) -> Digest {
        let found = self.options.engines.iter().find(|(k, _)| *k == kind);
        found.map_or(Digest([0; 32]), |(_, engine)| *engine)
    }
}

#[async_trait]
impl Runtime for RemoteRuntime {
    fn engine(&self, kind: RuntimeKind) -> Digest {
        self.inner.engine(kind)
    }
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        self.inner.make(request).await
    }
    async fn invoke(&self, job: Job) -> Completed {
        let begun = self.inner.options.clock.monotonic();
        self.inner.run(job).await.unwrap_or_else(|failure| Completed {
            duration: self.inner.options.clock.monotonic().saturating_sub(begun),
            ..wire::failed(failure)
        })
    }
    /// What the object store has, workers fetch: nothing is to be kept here.
    fn hold(&self, artifact: &Digest) -> Option<Held> {
        self.inner
            .known
            .lock()
            .contains_key(artifact)
            .then(|| Held::new(()))
    }
    fn has_room(&self) -> bool {
        let inner = &self.inner;
        inner.options.rpc.is_connected() && inner.members.lock().any(|m| inner.fits(m) && !m.is_full())
    }
    /// Here nothing is; workers say what they have.
    fn is_warm(&self, _: &Digest) -> bool {
        false
    }
    fn status(&self) -> RuntimeStatus {
        let mut sum = RuntimeStatus::default();
        for member in self.nodes().iter().filter(|m| self.inner.fits(m)) {
            let one = &member.beat.sandboxes;
            sum.children += one.children;
            sum.restarts += one.restarts;
            sum.hot_calls += one.hot_calls;
            sum.cold_calls += one.cold_calls;
            sum.hot_versions += one.hot_versions;
            sum.resident_bytes += one.resident_bytes;
        }
        sum
    }
}
