//! The real clock and the real randomness. Everything else is given these.

use neofn_types::{Clock, Entropy, UnixMillis};
use rand::Rng as _;
use std::time::{Duration, Instant, SystemTime};

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Monotonic time counts from here.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the composition root gives the others their time"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}
impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the composition root gives the others their time"
    )]
    fn now(&self) -> UnixMillis {
        // a clock before 1970 is wrong; zero is no worse
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The kernel's random source, for keys that live long.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, buf: &mut [u8]) {
        if getrandom::fill(buf).is_err() {
            // keys and seeds without randomness would be worse than no node
            std::process::abort();
        }
    }
}

/// A generator of each thread's own, seeded and reseeded by the kernel: for ids, traces and the seeds of calls, of
/// which a busy node needs more than it can ask the kernel for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadEntropy;

impl Entropy for ThreadEntropy {
    fn fill(&self, buf: &mut [u8]) {
        rand::rng().fill_bytes(buf);
    }
}
