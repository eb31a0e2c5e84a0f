//! The child's clock: a child is its own composition root, nobody can inject one across an exec.
//!
//! Only for deadlines and scheduling. What tenants see as time comes with the call.

use neofn_types::{Clock, UnixMillis};
use std::time::{Duration, Instant};

pub(crate) struct MonotonicClock(Instant);

impl MonotonicClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the root of a child process reads the clock once and passes it on"
    )]
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for MonotonicClock {
    /// Time of day is none of a child's business: it has no use for it that could be replayed.
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
