//! The runtime of a gateway that runs no tenant code itself: every run goes to a worker, as one request.
//!
//! A worker that goes away fails its runs as lost at once: the engine tries asynchronous ones again, and the callers of
//! synchronous ones are told that they may.

mod answers;
mod membership;
mod prepare;
mod run;

use crate::beat::{Beat, Seat};
use crate::host::OpenCalls;
use crate::members::{Member, Members};
use crate::remote::answers::Awaited;
use crate::remote::prepare::Standing;
use crate::watch;
use crate::wire::{self, CallId};
use async_trait::async_trait;
use neofn_bus::BusError;
use neofn_bus::port::{Blobs, Rpc};
use neofn_runtime::port::{Artifact, Completed, Held, Job, Prepare, PrepareError, Runtime, RuntimeStatus};
use neofn_types::{Clock, Digest, Entropy, FunctionKey, RuntimeKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a run or a preparation waits for a worker, when there is none or all are full.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Beyond its own time limit a worker may take this.
const GRACE: Duration = Duration::from_secs(5);

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
    /// When its own beat came back last.
    heard_itself: Mutex<Duration>,
    /// A worker came, or has room again.
    room: Notify,
    open: OpenCalls,
    awaited: Mutex<HashMap<CallId, Awaited>>,
    artifacts: Mutex<HashMap<Digest, Standing>>,
    running: AtomicU32,
    runs: AtomicU64,
    draining: AtomicBool,
    /// By which this gateway runs functions itself, where it does.
    own: OnceLock<Weak<dyn Runtime>>,
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
            heard_itself: Mutex::default(),
            room: Notify::new(),
            open: OpenCalls::default(),
            awaited: Mutex::default(),
            artifacts: Mutex::default(),
            running: AtomicU32::new(0),
            runs: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            own: OnceLock::new(),
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
        tokio::spawn(watch::hear(rpc.clone(), stop.clone(), move |beat| {
            heard.hear(beat)
        }));
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

    /// This gateway runs functions itself, beside its workers or in their place: what it says of itself has the numbers of
    /// this runtime from here on. Said once.
    pub fn runs_itself(&self, own: &Arc<dyn Runtime>) {
        let _ = self.inner.own.set(Arc::downgrade(own));
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

impl Inner {
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
        let known = self.inner.artifacts.lock().get(artifact) == Some(&Standing::Known);
        known.then(|| Held::new(()))
    }
    fn has_room(&self) -> bool {
        let inner = &self.inner;
        let takes = |m: &Member| inner.fits(m) && !m.is_full() && m.idle().is_none();
        inner.options.rpc.is_connected() && inner.members.lock().any(takes)
    }
    /// Here nothing is; workers say what they have.
    fn is_warm(&self, _: &Digest) -> bool {
        false
    }
    fn running(&self) -> u32 {
        self.inner.running.load(Ordering::Acquire)
    }
    fn status(&self) -> RuntimeStatus {
        let mut sum = RuntimeStatus::default();
        for member in self.nodes().iter().filter(|m| self.inner.fits(m)) {
            let one = &member.beat.sandboxes;
            sum.children = sum.children.saturating_add(one.children);
            sum.restarts = sum.restarts.saturating_add(one.restarts);
            sum.hot_calls = sum.hot_calls.saturating_add(one.hot_calls);
            sum.cold_calls = sum.cold_calls.saturating_add(one.cold_calls);
            sum.hot_versions = sum.hot_versions.saturating_add(one.hot_versions);
            sum.resident_bytes = sum.resident_bytes.saturating_add(one.resident_bytes);
        }
        sum
    }
}
