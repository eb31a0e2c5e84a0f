//! Versions in memory: loaded once however many ask, forgotten when idle or no longer true.
//!
//! A load that overlaps a publication ends in an entry that the publication has taken out of the map: its
//! callers, who came before, still get the older version, and nobody after them does.

use crate::engine::Inner;
use crate::error::of_registry;
use crate::stats::count;
use bytes::Bytes;
use neofn_gas::FUEL_PER_UNIT;
use neofn_registry::port::RegistryStoreError;
use neofn_registry::{ArtifactRef, VersionRecord};
use neofn_runtime::port::{Artifact, Held, Prepare, PrepareError};
use neofn_types::{Code, Error, FunctionKey, Version};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A version in memory; its compiled form comes with the first run.
pub(crate) struct Loaded {
    pub(crate) record: VersionRecord,
    pub(crate) compiled: Compiled,
}

/// What is known of a compiled form. Its bytes are the runtime's to keep: here they live only while they are handed over.
#[derive(Default)]
pub(crate) struct Compiled {
    /// Without bytes.
    name: OnceLock<Arc<Artifact>>,
    /// Locked while it is read, so that many first calls read it once.
    full: tokio::sync::Mutex<Weak<Artifact>>,
}

impl Compiled {
    /// One that was just made; `artifact` is to be kept while it shall be used without reading it again.
    pub(crate) fn of(artifact: &Arc<Artifact>) -> Self {
        Self {
            name: OnceLock::from(named(artifact)),
            full: tokio::sync::Mutex::new(Arc::downgrade(artifact)),
        }
    }
}

fn named(artifact: &Artifact) -> Arc<Artifact> {
    Arc::new(Artifact {
        bytes: Bytes::new(),
        ..*artifact
    })
}

/// A function's live state in memory.
pub(crate) struct Live {
    pub(crate) active: bool,
    pub(crate) version: Arc<Loaded>,
}

struct Entry<T> {
    cell: OnceCell<Arc<T>>,
    used_ms: AtomicU64,
}

struct Table<K, T>(Mutex<HashMap<K, Arc<Entry<T>>>>);

impl<K: Hash + Eq + Clone, T> Table<K, T> {
    fn entry(&self, key: &K, now_ms: u64, entries_max: usize) -> Arc<Entry<T>> {
        let mut entries = self.0.lock();
        if let Some(entry) = entries.get(key) {
            entry.used_ms.store(now_ms, Ordering::Relaxed);
            return entry.clone();
        }
        if entries.len() >= entries_max.max(1) {
            let oldest = entries
                .iter()
                .min_by_key(|(_, e)| e.used_ms.load(Ordering::Relaxed))
                .map(|(k, _)| k.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        let entry = Arc::new(Entry {
            cell: OnceCell::new(),
            used_ms: AtomicU64::new(now_ms),
        });
        entries.insert(key.clone(), entry.clone());
        entry
    }
    /// Takes out an entry that did not load, unless it is another one by now.
    fn forget_empty(&self, key: &K, entry: &Arc<Entry<T>>) {
        let mut entries = self.0.lock();
        if entries
            .get(key)
            .is_some_and(|e| Arc::ptr_eq(e, entry) && !e.cell.initialized())
        {
            entries.remove(key);
        }
    }
    fn peek(&self, key: &K) -> Option<Arc<T>> {
        self.0.lock().get(key).and_then(|e| e.cell.get().cloned())
    }
    fn evict(&self, before_ms: u64) -> usize {
        let mut entries = self.0.lock();
        let had = entries.len();
        // what something else holds would be loaded twice if it were forgotten here
        let held = |e: &Entry<T>| e.cell.get().is_some_and(|v| Arc::strong_count(v) > 1);
        entries.retain(|_, e| e.used_ms.load(Ordering::Relaxed) >= before_ms || held(e));
        had - entries.len()
    }
}

pub(crate) struct Cache {
    live: Table<FunctionKey, Live>,
    versions: Table<(FunctionKey, Version), Loaded>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            live: Table(Mutex::default()),
            versions: Table(Mutex::default()),
        }
    }
    /// `live` moved, or the switch was turned.
    pub(crate) fn forget_live(&self, key: &FunctionKey) {
        self.live.0.lock().remove(key);
    }
    /// The function is gone; its version numbers begin anew if it comes back.
    pub(crate) fn forget_function(&self, key: &FunctionKey) {
        self.forget_live(key);
        self.versions.0.lock().retain(|(k, _), _| k != key);
    }
    /// Nothing is known to be as it was.
    pub(crate) fn forget_everything(&self) {
        self.live.0.lock().clear();
        self.versions.0.lock().clear();
    }
    /// A version that was just made.
    pub(crate) fn put(&self, loaded: Arc<Loaded>, now_ms: u64, entries_max: usize) {
        let key = (loaded.record.key.clone(), loaded.record.version);
        let entry = self.versions.entry(&key, now_ms, entries_max);
        // already there: an equal one, for versions do not change
        let _ = entry.cell.set(loaded);
    }
    /// What is live, when that is in memory anyway.
    pub(crate) fn peek_live(&self, key: &FunctionKey) -> Option<Arc<Live>> {
        self.live.peek(key)
    }
    /// A version that is in memory anyway.
    pub(crate) fn peek(&self, key: &FunctionKey, version: Version) -> Option<Arc<Loaded>> {
        self.versions.peek(&(key.clone(), version))
    }
    pub(crate) fn evict(&self, before_ms: u64) -> usize {
        self.live.evict(before_ms) + self.versions.evict(before_ms)
    }
    pub(crate) fn len(&self) -> usize {
        self.versions.0.lock().len()
    }
}

pub(crate) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

impl Inner {
    /// The live state of a function; from memory unless it is the first call.
    pub(crate) async fn live(&self, key: &FunctionKey) -> Result<Arc<Live>, Error> {
        let table = &self.cache.live;
        let entry = table.entry(
            key,
            millis(self.options.clock.monotonic()),
            self.options.cache_entries_max,
        );
        if let Some(live) = entry.cell.get() {
            count(&self.counters.cache_hits);
            return Ok(live.clone());
        }
        count(&self.counters.cache_misses);
        let loaded = entry
            .cell
            .get_or_try_init(|| async {
                let function = self.ports.registry.function(key).await.map_err(of_registry)?;
                let function = function.ok_or(Error::from(Code::FunctionNotFound))?;
                let version = self.version(key, function.live).await?;
                Ok(Arc::new(Live {
                    active: function.active,
                    version,
                }))
            })
            .await;
        if loaded.is_err() {
            table.forget_empty(key, &entry);
        }
        loaded.cloned()
    }

    /// As [`Self::live`], for a call: a function that is switched off runs nothing.
    pub(crate) async fn callable(&self, key: &FunctionKey) -> Result<Arc<Loaded>, Error> {
        let live = self.live(key).await?;
        if live.active {
            Ok(live.version.clone())
        } else {
            Err(Error::new(
                Code::FunctionDisabled,
                format!("{key} is switched off"),
            ))
        }
    }

    /// A version, without its compiled form.
    pub(crate) async fn version(&self, key: &FunctionKey, version: Version) -> Result<Arc<Loaded>, Error> {
        let table = &self.cache.versions;
        let name = (key.clone(), version);
        let entry = table.entry(
            &name,
            millis(self.options.clock.monotonic()),
            self.options.cache_entries_max,
        );
        let loaded = entry
            .cell
            .get_or_try_init(|| async {
                let record = self.ports.registry.version(key, version).await;
                let record = record
                    .map_err(of_registry)?
                    .ok_or(Error::from(Code::VersionNotFound))?;
                Ok(Arc::new(Loaded {
                    record,
                    compiled: Compiled::default(),
                }))
            })
            .await;
        if loaded.is_err() {
            table.forget_empty(&name, &entry);
        }
        loaded.cloned()
    }

    /// Whether a version is in memory here, and its compiled form ready in the runtime of this node.
    pub(crate) fn is_warm(&self, key: &FunctionKey, version: Version) -> bool {
        let loaded = self.cache.peek(key, version);
        let name = loaded.as_ref().and_then(|loaded| loaded.compiled.name.get());
        name.is_some_and(|name| self.ports.runtime.is_warm(&name.digest))
    }

    /// The compiled form; made again from the stored code when another engine made it or it is damaged.
    pub(crate) async fn artifact(&self, loaded: &Loaded) -> Result<(Arc<Artifact>, Option<Held>), Error> {
        let compiled = &loaded.compiled;
        if let Some(name) = compiled.name.get()
            && name.engine == self.ports.runtime.engine(loaded.record.spec.runtime)
            && let Some(held) = self.ports.runtime.hold(&name.digest)
        {
            return Ok((name.clone(), Some(held)));
        }
        let mut full = compiled.full.lock().await;
        if let Some(artifact) = full.upgrade() {
            return Ok((artifact, None));
        }
        let artifact = self.read_artifact(loaded).await?;
        *full = Arc::downgrade(&artifact);
        compiled.name.get_or_init(|| named(&artifact));
        Ok((artifact, None))
    }

    async fn read_artifact(&self, loaded: &Loaded) -> Result<Arc<Artifact>, Error> {
        let record = &loaded.record;
        let engine = self.ports.runtime.engine(record.spec.runtime);
        let made = loaded.compiled.name.get().filter(|name| name.engine == engine);
        let digest = made.map_or(record.artifact.artifact, |name| name.digest);
        if made.is_some() || record.artifact.engine == engine {
            match self.ports.registry.blob(digest).await {
                Ok(bytes) => {
                    return Ok(Arc::new(Artifact {
                        digest,
                        engine,
                        bytes,
                    }));
                }
                Err(RegistryStoreError::ArtifactDamaged(digest)) => {
                    tracing::warn!(function = %record.key, version = %record.version, %digest, "compiled form damaged; making it again");
                }
                Err(error) => return Err(of_registry(error)),
            }
        }
        self.prepare_again(record).await
    }

    async fn prepare_again(&self, record: &VersionRecord) -> Result<Arc<Artifact>, Error> {
        let registry = &self.ports.registry;
        let code = registry.blob(record.artifact.code).await.map_err(of_registry)?;
        let prepared = self.ports.runtime.prepare(prepare(&record.spec, code)).await;
        let (artifact, _logs) = prepared.map_err(|error| match error {
            PrepareError::Refused(failure) => Error::new(failure.code, failure.message)
                .hint("The engine changed since this version was deployed; deploy it again."),
            PrepareError::Unavailable(why) => Error::from(Code::SandboxLost).because(why),
            PrepareError::Nobody(failure) => Error::new(failure.code, failure.message),
        })?;
        registry
            .put_blob(artifact.bytes.clone())
            .await
            .map_err(of_registry)?;
        let reference = ArtifactRef {
            artifact: artifact.digest,
            engine: artifact.engine,
            ..record.artifact
        };
        registry
            .set_artifact(&record.key, record.version, reference)
            .await
            .map_err(of_registry)?;
        tracing::info!(function = %record.key, version = %record.version, "compiled form made for this engine");
        Ok(Arc::new(artifact))
    }
}

/// How a version's code is to be made ready.
pub(crate) fn prepare(spec: &neofn_registry::VersionSpec, code: Bytes) -> Prepare {
    Prepare {
        kind: spec.runtime,
        code,
        memory_bytes: spec.limits.memory_bytes,
        time: spec.limits.time(),
        fuel: spec.limits.units.0.saturating_mul(FUEL_PER_UNIT),
    }
}
