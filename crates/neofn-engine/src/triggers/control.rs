//! What the loops share: the triggers as they are now, who is to be woken, and what the outside may see.

use super::set::TriggerSet;
use arc_swap::ArcSwap;
use neofn_chain::model::{Head, NetworkId, NodeStatus};
use neofn_event::TriggerKind;
use neofn_types::{Code, Error};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// How a chain is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSettings {
    /// The chain begins anew with every start, as a development chain in memory does: what an earlier one brought
    /// says nothing of this one.
    pub anew: bool,
    /// Blocks that are read and committed together.
    pub batch: u64,
    /// Most blocks of a backtest.
    pub backtest_blocks_max: u64,
}
impl Default for ChainSettings {
    fn default() -> Self {
        Self {
            anew: false,
            batch: neofn_chain::port::BLOCKS_MAX,
            backtest_blocks_max: 20_000,
        }
    }
}

/// How the chain is followed right now.
#[derive(Debug, Clone)]
pub struct ChainState {
    /// Which network.
    pub network: NetworkId,
    /// The newest block.
    pub head: Head,
    /// The next block to be matched; none before the first was.
    pub next: Option<u64>,
    /// Blocks that are not matched yet.
    pub lag: u64,
    /// Why nothing is read at the moment.
    pub error: Option<(Code, String)>,
    /// How each node does.
    pub nodes: Vec<NodeStatus>,
}

/// A reading of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerStats {
    /// Events that matched, by kind of trigger.
    pub matches: BTreeMap<TriggerKind, u64>,
    /// Deliveries that were written down, by kind of trigger.
    pub deliveries: BTreeMap<TriggerKind, u64>,
    /// Events that had come before.
    pub duplicates: u64,
    /// Blocks that were matched.
    pub blocks: u64,
    /// Triggers that run, by kind.
    pub triggers: BTreeMap<TriggerKind, u64>,
}

#[derive(Default)]
pub(crate) struct Control {
    set: ArcSwap<TriggerSet>,
    /// One reading of the store after the other.
    pub(super) turn: AsyncMutex<()>,
    pub(crate) chain_wake: Notify,
    pub(crate) cron_wake: Notify,
    pub(crate) release_wake: Notify,
    counts: Mutex<TriggerStats>,
    next: AtomicU64,
    error: Mutex<Option<(Code, String)>>,
}

impl Control {
    /// The triggers as they are now.
    pub(crate) fn set(&self) -> Arc<TriggerSet> {
        self.set.load_full()
    }
    pub(super) fn replace(&self, set: TriggerSet) {
        self.set.store(Arc::new(set));
        self.chain_wake.notify_one();
        self.cron_wake.notify_one();
    }
    /// An invocation that a trigger caused has ended.
    pub(crate) fn ended(&self) {
        self.release_wake.notify_one();
    }
    pub(super) fn matched(&self, kind: TriggerKind) {
        *self.counts.lock().matches.entry(kind).or_default() += 1;
    }
    pub(super) fn delivered(&self, kinds: impl IntoIterator<Item = TriggerKind>) {
        let mut counts = self.counts.lock();
        for kind in kinds {
            *counts.deliveries.entry(kind).or_default() += 1;
        }
    }
    pub(super) fn known(&self, known: u64) {
        self.counts.lock().duplicates += known;
    }
    pub(super) fn read(&self, blocks: u64, next: u64) {
        self.counts.lock().blocks += blocks;
        self.next.store(next, Ordering::Release);
    }
    /// The next block to be matched.
    pub(super) fn next(&self) -> Option<u64> {
        let next = self.next.load(Ordering::Acquire);
        (next > 0).then_some(next)
    }
    /// Says a trouble once, and its end.
    pub(super) fn trouble(&self, error: Option<&Error>) {
        let now = error.map(|e| (e.code, e.message.clone()));
        let mut shown = self.error.lock();
        if *shown == now {
            return;
        }
        match &now {
            Some((code, message)) => tracing::warn!(code = code.as_str(), message, "the chain is not read"),
            None => tracing::info!("the chain is read again"),
        }
        *shown = now;
    }
    pub(super) fn error(&self) -> Option<(Code, String)> {
        self.error.lock().clone()
    }
    pub(crate) fn stats(&self) -> TriggerStats {
        let mut stats = self.counts.lock().clone();
        for armed in self.set.load().running() {
            *stats.triggers.entry(armed.spec.on.kind()).or_default() += 1;
        }
        stats
    }
}
