//! The bus of one process, for tests of what stands on a bus. It loses nothing and delivers at once, so it proves
//! nothing about networks: that is what the same suite over a real server is for.

mod queue;
mod rpc;
mod tables;

use crate::port::Bus;
use std::sync::Arc;

pub use queue::MemoryQueue;
pub use rpc::MemoryRpc;
pub use tables::{MemoryBlobs, MemoryDead, MemoryKv, MemoryResults};

/// A bus of its own.
#[must_use]
pub fn bus() -> Bus {
    Bus {
        rpc: Arc::new(MemoryRpc::default()),
        jobs: Arc::new(MemoryQueue::new(1_000, 1_000)),
        events: Arc::new(MemoryQueue::new(1_000, 1_000)),
        results: Arc::new(MemoryResults::default()),
        dead: Arc::new(MemoryDead::default()),
        leases: Arc::new(MemoryKv::default()),
        artifacts: Arc::new(MemoryBlobs::default()),
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    #[tokio::test]
    async fn passes_the_suite() {
        let queue = super::MemoryQueue::new(crate::conformance::QUEUE_MAX, crate::conformance::SHARE_MAX);
        let bus = crate::Bus {
            jobs: std::sync::Arc::new(queue),
            ..super::bus()
        };
        crate::conformance::run(&bus).await;
    }
}
