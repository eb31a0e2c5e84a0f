//! Stops running code from outside: a cancel, or a deadline on the wall clock.
//!
//! Only looked at while code runs, at the ticks of the engine's epoch. Fuel, not this, bounds the work.

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
}

impl Interrupt {
    /// One for a call that has not started.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            cancelled: AtomicBool::new(false),
            deadline_us: AtomicU64::new(u64::MAX),
        }))
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
            || self.0.clock.monotonic().as_micros() >= u128::from(self.0.deadline_us.load(Ordering::Relaxed))
    }
}
