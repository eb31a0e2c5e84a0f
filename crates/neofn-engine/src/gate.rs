//! The node's scheduler, slots that give themselves back, and the wake-up of whoever waits for one.

use crate::dispatch::Waiting;
use neofn_sched::{BreakerRule, Caps, Go, Health, Refused, Scheduler, Share, Wait};
use neofn_types::{FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

pub(crate) struct Gate {
    scheduler: Mutex<Scheduler<ProjectName, FunctionName, Waiting>>,
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
    pub(crate) fn new(caps: Caps, breaker: BreakerRule) -> Self {
        Self {
            scheduler: Mutex::new(Scheduler::new(caps, breaker)),
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
        self.scheduler
            .lock()
            .take(&key.project, &key.function, function_max, share)?;
        Ok(self.slot(key, share))
    }
    fn slot(self: &Arc<Self>, key: &FunctionKey, share: Share) -> Slot {
        Slot {
            gate: self.clone(),
            key: key.clone(),
            share,
        }
    }
    /// Claimed work, to be started when it may.
    pub(crate) fn offer(&self, waiting: Waiting, function_max: u32, expires: UnixMillis) {
        let (project, function) = (waiting.key().project.clone(), waiting.key().function.clone());
        let mut scheduler = self.scheduler.lock();
        scheduler.offer(&project, &function, function_max, expires, waiting);
    }
    /// The next that may go, with its slot; without one when it is too old to run.
    pub(crate) fn next(self: &Arc<Self>, now: UnixMillis) -> Option<(Waiting, Option<Slot>)> {
        let next = self.scheduler.lock().next(now)?;
        Some(match next {
            Go::Start(waiting) => {
                let slot = self.slot(waiting.key(), Share::Queue);
                (waiting, Some(slot))
            }
            Go::Expired(waiting) => (waiting, None),
        })
    }
    /// How queued work ended.
    pub(crate) fn ended(&self, key: &FunctionKey, health: Health, now: UnixMillis) {
        let mut scheduler = self.scheduler.lock();
        scheduler.ended(&key.project, &key.function, health, now);
    }
    /// A function is new, or gone: what failed before says nothing any more.
    pub(crate) fn forget(&self, key: &FunctionKey) {
        self.scheduler.lock().forget(&key.project, &key.function);
        self.wake.notify_one();
    }
    /// How many functions are held back, and until when the first of them is.
    pub(crate) fn paused(&self, now: UnixMillis) -> (u64, Option<UnixMillis>) {
        let scheduler = self.scheduler.lock();
        scheduler
            .paused(now)
            .fold((0, None), |(n, first), (_, _, until)| {
                (n + 1, Some(first.map_or(until, |f: UnixMillis| f.min(until))))
            })
    }
    /// How much may be claimed, how much was and waits.
    pub(crate) fn appetite(&self) -> (u32, usize) {
        let scheduler = self.scheduler.lock();
        (scheduler.appetite(), scheduler.waiting())
    }
    /// Whether a claim waits for a slot.
    pub(crate) fn holds(&self, id: InvocationId) -> bool {
        self.scheduler.lock().items().any(|waiting| waiting.id() == id)
    }
    /// What waits; nothing is started any more.
    pub(crate) fn drain(&self) -> Vec<Waiting> {
        self.scheduler.lock().drain()
    }
    /// Why queued work of a function waits.
    pub(crate) fn explain(&self, key: &FunctionKey, function_max: u32, now: UnixMillis) -> Wait {
        let scheduler = self.scheduler.lock();
        scheduler.explain(&key.project, &key.function, function_max, now)
    }
    /// Runs of each function that has any; of those with a lane, as many as there can be: their slots are taken, and
    /// somebody waits for the next one already. So of those that are held back, and of projects that run as much as they may. Then what was claimed of each, running or
    /// waiting.
    pub(crate) fn taken(&self, now: UnixMillis) -> (HashMap<FunctionKey, u32>, HashMap<FunctionKey, u32>) {
        let scheduler = self.scheduler.lock();
        let key = |p: &ProjectName, f: &FunctionName| FunctionKey::new(p.clone(), f.clone());
        let slots = scheduler.slots();
        let running = slots.all().map(|(p, f, n)| match slots.is_full(p) {
            true => (key(p, f), u32::MAX),
            false => (key(p, f), n),
        });
        let mut taken: HashMap<_, _> = running.collect();
        taken.extend(scheduler.lanes().map(|(p, f, _)| (key(p, f), u32::MAX)));
        taken.extend(scheduler.paused(now).map(|(p, f, _)| (key(p, f), u32::MAX)));
        let queued = scheduler.slots().queued().map(|(p, f, n)| (key(p, f), n));
        let mut queued: HashMap<_, _> = queued.collect();
        for (p, f, waiting) in scheduler.lanes() {
            *queued.entry(key(p, f)).or_default() += u32::try_from(waiting).unwrap_or(u32::MAX);
        }
        (taken, queued)
    }
    pub(crate) fn total(&self) -> u64 {
        self.scheduler.lock().slots().total()
    }
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let key = &self.key;
        self.gate
            .scheduler
            .lock()
            .give_back(&key.project, &key.function, self.share);
        if self.gate.wanted.swap(false, Ordering::AcqRel) {
            self.gate.wake.notify_one();
        }
    }
}
