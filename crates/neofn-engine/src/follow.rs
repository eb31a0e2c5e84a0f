//! Ended runs as they happen, for those who watch a function. Bounded: a slow reader misses entries and is told so.

use crate::port::{Status, StoredFailure};
use neofn_types::{FunctionKey, InvocationId, UnitsBill, UnixMillis, Version};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

/// An attempt that ended.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Of which invocation.
    pub id: InvocationId,
    /// The version that ran.
    pub version: Version,
    /// Where the invocation is now: `Queued` when it is to be tried again.
    pub status: Status,
    /// One string per console call.
    pub logs: Vec<String>,
    /// What it was charged.
    pub units: UnitsBill,
    /// How long it took.
    pub duration: Duration,
    /// Why it has no result.
    pub failure: Option<StoredFailure>,
    /// When it ended.
    pub at: UnixMillis,
}

/// What a follower reads.
#[derive(Debug, Clone)]
pub enum Followed {
    /// An attempt that ended.
    Entry(Arc<LogEntry>),
    /// So many entries were lost because the reader was slow.
    Missed(u64),
}

/// A subscription to a function's log.
pub struct Follow {
    receiver: broadcast::Receiver<Arc<LogEntry>>,
}

impl Follow {
    /// The next entry; `None` when the function was deleted or the engine is gone.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.receiver.recv().await {
            Ok(entry) => Some(Followed::Entry(entry)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Followed::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The open subscriptions.
pub(crate) struct Followers {
    entries_max: usize,
    // read without the lock on every ended run, which nobody watches most of the time
    watched: AtomicUsize,
    channels: Mutex<HashMap<FunctionKey, broadcast::Sender<Arc<LogEntry>>>>,
}

impl Followers {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            entries_max: entries_max.max(1),
            watched: AtomicUsize::new(0),
            channels: Mutex::default(),
        }
    }
    pub(crate) fn follow(&self, key: &FunctionKey) -> Follow {
        let mut channels = self.channels.lock();
        channels.retain(|_, sender| sender.receiver_count() > 0);
        let receiver = channels
            .entry(key.clone())
            .or_insert_with(|| broadcast::channel(self.entries_max).0)
            .subscribe();
        self.watched.store(channels.len(), Ordering::Release);
        Follow { receiver }
    }
    /// Tells the followers of `key`; builds the entry only if there is one.
    pub(crate) fn tell(&self, key: &FunctionKey, entry: impl FnOnce() -> LogEntry) {
        if self.watched.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut channels = self.channels.lock();
        if let Some(sender) = channels.get(key)
            && sender.send(Arc::new(entry())).is_err()
        {
            channels.remove(key);
            self.watched.store(channels.len(), Ordering::Release);
        }
    }
    pub(crate) fn close(&self, key: &FunctionKey) {
        let mut channels = self.channels.lock();
        channels.remove(key);
        self.watched.store(channels.len(), Ordering::Release);
    }
}
