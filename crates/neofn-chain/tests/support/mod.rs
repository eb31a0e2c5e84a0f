//! What the tests share: a clock, a pool, waiting with a deadline.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests stop loudly and wait for the real world"
)]

use neofn_chain::pool::{Pool, PoolOptions};
use neofn_types::{Clock, UnixMillis};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub struct RealClock(Instant);
impl Clock for RealClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        UnixMillis(i64::try_from(since.as_millis()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

pub fn options(urls: &[String]) -> PoolOptions {
    PoolOptions::new(urls.to_vec(), clock())
}
pub async fn pool(urls: &[String]) -> Pool {
    Pool::connect(options(urls)).await.unwrap()
}
