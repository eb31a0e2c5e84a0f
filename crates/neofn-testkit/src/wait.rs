//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// Tries until `probe` answers, at most `deadline`; panics with `what` when it never does.
pub fn eventually<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
