//! Waiting for a condition, with a deadline.
#![expect(clippy::disallowed_methods, reason = "tests wait for the real world")]

use std::time::{Duration, Instant};

/// Waits at most twenty seconds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
