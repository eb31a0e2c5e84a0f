//! Why an accepted invocation does not run yet.

use crate::engine::Inner;
use crate::port::{InvocationRecord, Status};
use neofn_sched::Wait;
use neofn_types::UnixMillis;

/// What an invocation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Its time: it was tried and failed, or it was accepted for later.
    NotBefore(UnixMillis),
    /// The function is switched off; the next look at it ends it.
    Disabled,
    /// The node.
    Node(Wait),
}

impl Inner {
    /// None when it does not wait: it runs, or has ended.
    pub(crate) async fn waits(&self, record: &InvocationRecord) -> Option<Waits> {
        match record.status {
            Status::Queued => {}
            // taken from the queue by this node, and not started yet
            Status::Running if self.gate.holds(record.id) => {}
            _ => return None,
        }
        if let Some(at) = record.run_at.filter(|at| *at > self.options.clock.now()) {
            return Some(Waits::NotBefore(at));
        }
        let live = self.live(&record.key).await.ok()?;
        if !live.active {
            return Some(Waits::Disabled);
        }
        let version = self.version(&record.key, record.version).await.ok()?;
        let limit = version.record.spec.limits.concurrency;
        Some(Waits::Node(self.gate.explain(
            &record.key,
            limit,
            self.options.clock.now(),
        )))
    }
}
