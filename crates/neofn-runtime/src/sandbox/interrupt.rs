//! Stops running code from outside: a cancel, a deadline on the wall clock, or that others need its memory.
//!
//! Only looked at while code runs, at the ticks of the engine's epoch. Fuel, not this, bounds the work.

use super::budget::{Budget, Exhausted, Share};
use neofn_types::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Shared between the thread that runs a call and whoever may stop it. Cheap to clone.
#[derive(Clone)]
pub struct Interrupt(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    cancelled: AtomicBool,
    deadline_us: AtomicU64,
    memory: Option<Share>,
}

impl Interrupt {
    /// One for a call that has not started.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, None)
    }
    /// One for call `id`, whose memory is counted with that of the others.
    #[must_use]
    pub fn within(clock: Arc<dyn Clock>, budget: &Budget, id: u64) -> Self {
        Self::with(clock, Some(budget.share(id)))
    }
    fn with(clock: Arc<dyn Clock>, memory: Option<Share>) -> Self {
        Self(Arc::new(Inner {
            clock,
            cancelled: AtomicBool::new(false),
            deadline_us: AtomicU64::new(u64::MAX),
            memory,
        }))
    }
    /// The run begins with `bytes` of its version's memory.
    pub(super) fn begin(&self, bytes: u64) -> Result<(), Exhausted> {
        self.0.memory.as_ref().map_or(Ok(()), |m| m.begin(bytes))
    }
    /// The run takes `bytes` more.
    pub(super) fn grow(&self, bytes: u64) -> Result<(), Exhausted> {
        self.0.memory.as_ref().map_or(Ok(()), |m| m.grow(bytes))
    }
    /// The run has ended: its memory is free.
    pub(super) fn release(&self) {
        if let Some(memory) = &self.0.memory {
            memory.release();
        }
    }
    /// Whether it has to stop because others need its memory.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.0.memory.as_ref().is_some_and(Share::is_doomed)
    }
    /// Sets the deadline to `left` from here.
    pub fn arm(&self, left: Duration) {
        let at = self.0.clock.monotonic().saturating_add(left);
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.0.deadline_us.store(at, Ordering::Relaxed);
    }
    /// Stops the call at its next tick.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
    /// Whether running code must stop.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
            || self.is_evicted()
            || self.0.clock.monotonic().as_micros() >= u128::from(self.0.deadline_us.load(Ordering::Relaxed))
    }
}
