//! The pool of sandbox children: [`Runtime`] for the engine.

use super::engine_cache::{self, EngineFiles};
use super::link::LinkError;
use super::member::{self, Member};
use super::prepare::{self, Preparers};
use super::process::Spawner;
use super::promotion::HotSet;
use super::versions::Versions;
use super::{PoolOptions, run, watch};
use crate::port::{Artifact, Completed, Held, Job, Prepare, PrepareError, Runtime, RuntimeStatus};
use crate::sandbox::{artefact, wasm_module};
use async_trait::async_trait;
use neofn_types::{Code, Digest, Error, RuntimeKind};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

/// What the parts of a pool share.
pub(super) struct Inner {
    pub(super) options: PoolOptions,
    pub(super) spawner: Spawner,
    pub(super) members: Vec<Member>,
    pub(super) engine: RwLock<Arc<EngineFiles>>,
    pub(super) versions: Versions,
    pub(super) hot: Mutex<HotSet>,
    /// One for each call that may run now.
    pub(super) permits: Arc<Semaphore>,
    /// A child became usable.
    pub(super) usable: Notify,
    pub(super) preparers: Preparers,
    pub(super) next_call: AtomicU64,
    pub(super) next_generation: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) hot_calls: AtomicU64,
    pub(super) cold_calls: AtomicU64,
    pub(super) resident: AtomicU64,
}

impl Inner {
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.options.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
    pub(super) fn engine_of(&self, kind: RuntimeKind) -> Digest {
        match kind {
            RuntimeKind::Js => artefact::identity(),
            RuntimeKind::Wasm => wasm_module::identity(),
        }
    }
    pub(super) fn kind_of(&self, engine: &Digest) -> Option<RuntimeKind> {
        [RuntimeKind::Js, RuntimeKind::Wasm]
            .into_iter()
            .find(|k| self.engine_of(*k) == *engine)
    }
}

/// Sandbox children that run functions. Dropping it ends them.
pub struct Pool {
    inner: Arc<Inner>,
    tier: String,
    tasks: Vec<AbortHandle>,
}

impl Pool {
    /// Starts the children; ready when the first one is. Compiles the engine when it is not in the cache.
    pub async fn start(options: PoolOptions) -> Result<Self, Error> {
        let spawner = Spawner::start().map_err(Error::internal)?;
        let engine = engine_cache::get(&options, &spawner).await?;
        let children = options.children();
        let inner = Arc::new(Inner {
            members: (0..children).map(|_| Member::default()).collect(),
            engine: RwLock::new(Arc::new(engine)),
            versions: Versions::new(children),
            hot: Mutex::new(HotSet::new(options.hot_bytes_max)),
            permits: Arc::new(Semaphore::new(children * options.running_max())),
            usable: Notify::new(),
            preparers: Preparers::default(),
            next_call: AtomicU64::new(1),
            next_generation: AtomicU64::new(1),
            restarts: AtomicU64::new(0),
            hot_calls: AtomicU64::new(0),
            cold_calls: AtomicU64::new(0),
            resident: AtomicU64::new(0),
            spawner,
            options,
        });
        let first = first_child(&inner).await?;
        let tier = first.0.tier.clone();
        let mut tasks = Vec::new();
        let mut first = Some(first);
        for place in 0..children {
            let supervised = member::supervise(Arc::clone(&inner), place, first.take());
            tasks.push(tokio::spawn(supervised).abort_handle());
        }
        tasks.push(tokio::spawn(watch::watch(Arc::clone(&inner))).abort_handle());
        let pool = Self { inner, tier, tasks };
        pool.wait_usable().await;
        Ok(pool)
    }
    /// The confinement that holds for the children: `namespaces`, `landlock` ...
    #[must_use]
    pub fn tier(&self) -> &str {
        &self.tier
    }
    /// Process ids of the sandbox children alive, as the node knows them.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let links = self.inner.members.iter().filter_map(Member::usable);
        links.map(|l| l.process.pid).collect()
    }
    async fn wait_usable(&self) {
        loop {
            let changed = self.inner.usable.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner.members.iter().any(|m| m.usable().is_some()) {
                return;
            }
            changed.await;
        }
    }
}

/// A cached engine that this machine's children cannot load is built once more: the cache may come from another one.
async fn first_child(inner: &Arc<Inner>) -> Result<member::Started, Error> {
    let refused = |e: LinkError| match e {
        LinkError::Refused(reason) => Error::new(Code::JailTooWeak, reason),
        LinkError::Failed(reason) => Error::new(Code::EngineMismatch, reason),
        e @ LinkError::Io(_) => Error::new(Code::Internal, "no sandbox process could be started").because(e),
    };
    match member::start(inner).await {
        Err(LinkError::Failed(reason)) => {
            tracing::warn!(reason, "the cached engine does not load, building it again");
            engine_cache::forget(&inner.options);
            let engine = engine_cache::get(&inner.options, &inner.spawner).await?;
            *inner.engine.write() = Arc::new(engine);
            member::start(inner).await.map_err(refused)
        }
        started => started.map_err(refused),
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for link in self.inner.members.iter().filter_map(Member::link) {
            link.kill();
        }
        self.inner.preparers.kill();
    }
}

#[async_trait]
impl Runtime for Pool {
    fn engine(&self, kind: RuntimeKind) -> Digest {
        self.inner.engine_of(kind)
    }
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        prepare::prepare(&self.inner, request).await
    }
    async fn invoke(&self, job: Job) -> Completed {
        run::invoke(&self.inner, job).await
    }
    fn hold(&self, artifact: &Digest) -> Option<Held> {
        let held = self.inner.versions.hold(artifact, self.inner.now_ms())?;
        Some(Held::new(held))
    }
    fn is_warm(&self, artifact: &Digest) -> bool {
        self.inner.versions.has(artifact)
    }
    fn status(&self) -> RuntimeStatus {
        let inner = &self.inner;
        RuntimeStatus {
            children: u32::try_from(self.children().len()).unwrap_or(u32::MAX),
            restarts: inner.restarts.load(Ordering::Relaxed),
            hot_calls: inner.hot_calls.load(Ordering::Relaxed),
            cold_calls: inner.cold_calls.load(Ordering::Relaxed),
            hot_versions: u32::try_from(inner.hot.lock().len()).unwrap_or(u32::MAX),
            resident_bytes: inner.resident.load(Ordering::Relaxed),
        }
    }
    fn running(&self) -> u32 {
        let links = self.inner.members.iter().filter_map(Member::link);
        u32::try_from(links.map(|l| l.in_flight()).sum::<usize>()).unwrap_or(u32::MAX)
    }
}
