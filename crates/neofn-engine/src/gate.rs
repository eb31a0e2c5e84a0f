//! Concurrency slots that give themselves back, and the wake-up of whoever waits for one.

use neofn_sched::{Refused, Share, Slots};
use neofn_types::FunctionKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

pub(crate) struct Gate {
    slots: Mutex<Slots<FunctionKey>>,
    // set while queued work waits for a slot, so that plain calls wake nobody
    wanted: AtomicBool,
    /// Wakes the dispatcher.
    pub(crate) wake: Notify,
}

/// A taken slot.
pub(crate) struct Slot {
    gate: Arc<Gate>,
    key: FunctionKey,
    share: Share,
}

impl Gate {
    pub(crate) fn new(node_max: u32) -> Self {
        Self {
            slots: Mutex::new(Slots::new(node_max)),
            wanted: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }
    pub(crate) fn take(
        self: &Arc<Self>,
        key: &FunctionKey,
        function_max: u32,
        share: Share,
    ) -> Result<Slot, Refused> {
        self.slots.lock().take(key, function_max, share)?;
        Ok(Slot {
            gate: self.clone(),
            key: key.clone(),
            share,
        })
    }
    /// Runs of each function that has any.
    pub(crate) fn running(&self) -> HashMap<FunctionKey, u32> {
        let slots = self.slots.lock();
        slots.all().map(|(key, n)| (key.clone(), n)).collect()
    }
    pub(crate) fn total(&self) -> u64 {
        self.slots.lock().total()
    }
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.slots.lock().give_back(&self.key, self.share);
        if self.gate.wanted.swap(false, Ordering::AcqRel) {
            self.gate.wake.notify_one();
        }
    }
}
