//! A clock that stands still: no test that needs none depends on the machine's.

use neofn_types::{Clock, UnixMillis};
use std::time::Duration;

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
