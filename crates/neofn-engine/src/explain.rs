//! Why an accepted invocation does not run yet.

use crate::engine::Inner;
use crate::error::of_store;
use crate::port::{Backlog, InvocationRecord, Status};
use neofn_registry::VersionSpec;
use neofn_sched::Wait;
use neofn_types::{Error, FunctionKey, RuntimeKind, UnixMillis};

/// What an invocation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Its time: it was tried and failed, or it was accepted for later.
    NotBefore(UnixMillis),
    /// The function is switched off; the next look at it ends it.
    Disabled,
    /// A worker: there is none that fits, or all are full.
    Worker,
    /// The node.
    Node(Wait),
}

/// What a function has in the queue, and why it is there.
#[derive(Debug, Clone)]
pub struct Lane {
    /// How much of it.
    pub backlog: Backlog,
    /// What its live version takes; none when that cannot be read.
    pub runtime: Option<RuntimeKind>,
    /// What holds the due ones back on this node; none when nothing is due.
    pub waits: Option<Waits>,
}

impl Inner {
    pub(crate) async fn lanes(&self, limit: u32) -> Result<Vec<Lane>, Error> {
        let now = self.options.clock.now();
        let backlogs = self
            .ports
            .invocations
            .backlog(now, limit)
            .await
            .map_err(of_store)?;
        let mut lanes = Vec::with_capacity(backlogs.len());
        for backlog in backlogs {
            let live = self.live_spec(&backlog.key).await;
            let waits = live.as_ref().filter(|_| backlog.waiting > 0);
            let waits = waits.map(|(active, spec)| match active {
                true if !self.ports.runtime.has_room() => Waits::Worker,
                true => Waits::Node(self.gate.explain(&backlog.key, spec.limits.concurrency, now)),
                false => Waits::Disabled,
            });
            let runtime = live.map(|(_, spec)| spec.runtime);
            lanes.push(Lane {
                backlog,
                runtime,
                waits,
            });
        }
        Ok(lanes)
    }

    /// Whether a function is on, and what its live version may do; not from the cache, in which whoever looks would push out
    /// what runs. None when it was deleted meanwhile.
    async fn live_spec(&self, key: &FunctionKey) -> Option<(bool, VersionSpec)> {
        let registry = &self.ports.registry;
        let function = registry.function(key).await.ok().flatten()?;
        let version = registry.version(key, function.live).await.ok().flatten()?;
        Some((function.active, version.spec))
    }

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
        if !self.ports.runtime.has_room() {
            return Some(Waits::Worker);
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
