//! Versions that were called lately: their artifacts as memory files, and which child has them.
//!
//! One file serves all children: its pages are shared.

use super::promotion::Heat;
use crate::port::Artifact;
use crate::proto::fds;
use neofn_types::{Digest, RuntimeKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What one child has of a version, by the child's generation; 0 for none.
#[derive(Default)]
pub(super) struct Place {
    pub(super) loaded: AtomicU64,
    pub(super) hot: AtomicU64,
    /// Held while it is being loaded, so that one request is sent, not one for each call that waits.
    pub(super) gate: tokio::sync::Mutex<()>,
}

/// One version.
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) kind: RuntimeKind,
    pub(super) file: OwnedFd,
    pub(super) bytes: u64,
    pub(super) places: Box<[Place]>,
    /// The full memory image, while the version is hot.
    pub(super) image: Mutex<Option<Arc<OwnedFd>>>,
    pub(super) heat: Mutex<Heat>,
    digest: Digest,
    active: AtomicU32,
    used_ms: AtomicU64,
}

/// Keeps an entry from being evicted.
pub(super) struct Use(pub(super) Arc<Entry>);

impl Clone for Use {
    fn clone(&self) -> Self {
        self.0.active.fetch_add(1, Ordering::Acquire);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Release);
    }
}

#[derive(Default)]
struct Table {
    entries: HashMap<Digest, Arc<Entry>>,
    bytes: u64,
    next: u32,
}

/// All of them.
pub(super) struct Versions {
    table: Mutex<Table>,
    places: usize,
}

impl Versions {
    pub(super) fn new(places: usize) -> Self {
        Self {
            table: Mutex::default(),
            places,
        }
    }
    /// The entry of an artifact that is here, kept from being evicted.
    pub(super) fn hold(&self, digest: &Digest, now_ms: u64) -> Option<Use> {
        let table = self.table.lock();
        table.entries.get(digest).map(|entry| take(entry, now_ms))
    }
    /// Whether an artifact is here.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.table.lock().entries.contains_key(digest)
    }
    /// Whether there is more than there should be.
    pub(super) fn is_over(&self, bytes_max: u64) -> bool {
        self.table.lock().bytes > bytes_max
    }
    /// The entry of an artifact; made on its first use.
    pub(super) fn get(&self, artifact: &Artifact, kind: RuntimeKind, now_ms: u64) -> io::Result<Use> {
        if let Some(entry) = self.table.lock().entries.get(&artifact.digest) {
            return Ok(take(entry, now_ms));
        }
        // outside the lock: an artifact can have megabytes
        let file = fds::sealed(c"artifact", &artifact.bytes)?;
        let mut t = self.table.lock();
        if let Some(entry) = t.entries.get(&artifact.digest) {
            return Ok(take(entry, now_ms));
        }
        t.next = t.next.wrapping_add(1);
        let bytes = artifact.bytes.len() as u64;
        let entry = Arc::new(Entry {
            id: t.next,
            kind,
            file,
            bytes,
            places: (0..self.places).map(|_| Place::default()).collect(),
            image: Mutex::new(None),
            heat: Mutex::default(),
            digest: artifact.digest,
            active: AtomicU32::new(0),
            used_ms: AtomicU64::new(now_ms),
        });
        t.bytes += bytes;
        let taken = take(&entry, now_ms);
        t.entries.insert(artifact.digest, entry);
        Ok(taken)
    }
    /// Takes out what was idle too long, and the longest idle of what is too much. None of it is in use.
    pub(super) fn evict(&self, now_ms: u64, idle_ms: u64, bytes_max: u64) -> Vec<Arc<Entry>> {
        let mut t = self.table.lock();
        let mut idle: Vec<Arc<Entry>> = t
            .entries
            .values()
            .filter(|e| e.active.load(Ordering::Acquire) == 0)
            .map(Arc::clone)
            .collect();
        idle.sort_by_key(|e| e.used_ms.load(Ordering::Relaxed));
        let mut out = Vec::new();
        for entry in idle {
            let since = now_ms.saturating_sub(entry.used_ms.load(Ordering::Relaxed));
            if since < idle_ms && t.bytes <= bytes_max {
                break;
            }
            t.bytes = t.bytes.saturating_sub(entry.bytes);
            t.entries.remove(&entry.digest);
            out.push(entry);
        }
        out
    }
    pub(super) fn by_id(&self, id: u32) -> Option<Arc<Entry>> {
        self.table
            .lock()
            .entries
            .values()
            .find(|e| e.id == id)
            .map(Arc::clone)
    }
}

fn take(entry: &Arc<Entry>, now_ms: u64) -> Use {
    entry.active.fetch_add(1, Ordering::Acquire);
    entry.used_ms.store(now_ms, Ordering::Relaxed);
    Use(Arc::clone(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(n: u8) -> Artifact {
        let bytes = vec![n; 100];
        Artifact {
            digest: Digest::of(&bytes),
            engine: Digest::of(b"e"),
            bytes: bytes.into(),
        }
    }
    #[test]
    fn idle_and_surplus_entries_go_but_never_one_in_use() {
        let v = Versions::new(1);
        let held = v.get(&artifact(1), RuntimeKind::Js, 0).unwrap();
        let id = v.get(&artifact(2), RuntimeKind::Js, 10).unwrap().0.id;
        assert_eq!(
            v.get(&artifact(2), RuntimeKind::Js, 10).unwrap().0.id,
            id,
            "same entry"
        );
        drop(v.get(&artifact(3), RuntimeKind::Js, 20).unwrap());
        // room for two: the longest idle one that nobody uses goes
        let gone = v.evict(30, 1_000, 200);
        assert_eq!(gone.iter().map(|e| e.id).collect::<Vec<_>>(), [id]);
        let gone = v.evict(2_000, 1_000, 1_000);
        assert_eq!(gone.len(), 1);
        assert!(v.by_id(held.0.id).is_some());
        drop(held);
        assert_eq!(v.evict(2_000, 1_000, 1_000).len(), 1);
    }
}
