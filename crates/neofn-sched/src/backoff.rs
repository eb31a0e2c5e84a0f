//! Whether and when a failed invocation is tried again.

use neofn_types::{Attempt, Retry};
use std::time::Duration;

/// Exponential back-off with full jitter: a delay between zero and `first * 2^(attempt - 1)`, at most `max`.
///
/// Full jitter spreads a herd of invocations that failed together; see "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest delay after the first attempt.
    pub first: Duration,
    /// The longest delay ever.
    pub max: Duration,
    /// Tries, the first one included.
    pub attempts_max: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(300),
            attempts_max: 10,
        }
    }
}

/// What happens after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It failed for good: trying again does not help.
    Fail,
    /// It was the last try.
    Dead,
    /// Try again after this time.
    After(Duration),
}

impl Backoff {
    /// Decides; `random` is uniform over all of u64.
    #[must_use]
    pub fn next(&self, retry: Retry, attempt: Attempt, random: u64) -> Next {
        match retry {
            Retry::Never => Next::Fail,
            Retry::Later if attempt.0 >= self.attempts_max => Next::Dead,
            Retry::Later => Next::After(self.delay(attempt, random)),
        }
    }
    /// The longest delay after `attempt`.
    #[must_use]
    pub fn cap(&self, attempt: Attempt) -> Duration {
        let doublings = attempt.0.saturating_sub(1).min(31);
        self.first.saturating_mul(1u32 << doublings).min(self.max)
    }
    fn delay(&self, attempt: Attempt, random: u64) -> Duration {
        let cap = u128::from(u64::try_from(self.cap(attempt).as_millis()).unwrap_or(u64::MAX));
        // multiply and shift maps the full range of u64 onto 0..=cap without a division's bias
        let millis = (u128::from(random) * (cap + 1)) >> 64;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_double_up_to_five_minutes() {
        let b = Backoff::default();
        let caps: Vec<u64> = (1..=10).map(|a| b.cap(Attempt(a)).as_secs()).collect();
        assert_eq!(caps, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(b.cap(Attempt(u32::MAX)).as_secs(), 300);
    }

    #[test]
    fn jitter_covers_zero_to_the_cap() {
        let b = Backoff::default();
        assert_eq!(b.next(Retry::Later, Attempt(3), 0), Next::After(Duration::ZERO));
        assert_eq!(
            b.next(Retry::Later, Attempt(3), u64::MAX),
            Next::After(Duration::from_secs(4))
        );
        assert_eq!(
            b.next(Retry::Later, Attempt(3), u64::MAX / 2),
            Next::After(Duration::from_secs(2))
        );
    }

    #[test]
    fn the_tenth_failure_is_the_last_and_some_are_final_at_once() {
        let b = Backoff::default();
        assert!(matches!(b.next(Retry::Later, Attempt(9), 1), Next::After(_)));
        assert_eq!(b.next(Retry::Later, Attempt(10), 1), Next::Dead);
        assert_eq!(b.next(Retry::Never, Attempt(1), 1), Next::Fail);
    }
}
