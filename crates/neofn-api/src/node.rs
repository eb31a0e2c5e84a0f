//! Use cases about the node itself.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use neofn_engine::port::Totals;
use neofn_engine::{ChainState, EngineStats, TriggerStats};
use neofn_identity::Principal;
use neofn_runtime::port::RuntimeStatus;
use neofn_types::Code;
use neofn_wire::{ChainHealth, Health, Ready};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Whoever watches the node waits no longer for its store.
const SOON: Duration = Duration::from_secs(2);

/// Counters of triggers, and how the chain is followed.
pub type TriggerMetrics = (TriggerStats, Option<ChainState>);

/// What a node counts, at one moment.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    /// Of the engine.
    pub engine: EngineStats,
    /// Of the sandboxes.
    pub runtime: RuntimeStatus,
    /// Of the store.
    pub totals: Totals,
    /// Of the triggers.
    pub triggers: TriggerMetrics,
    /// Runs at once that the load asks for.
    pub runs_wanted: u32,
    /// What ledger and chain do not agree on, on the node that compares them.
    pub unreconciled: Option<u64>,
}

impl Api {
    /// Counts of the store; none when it does not answer soon.
    async fn counted(&self) -> Option<Totals> {
        let asked = tokio::time::timeout(SOON, self.engine().totals()).await;
        let totals = asked.ok()?.ok()?;
        *self.inner.counted.lock() = totals;
        Some(totals)
    }

    /// That the node lives. While its store is away the counts are those of before: whoever restarts what does not live would
    /// make it worse.
    pub async fn health(&self) -> Health {
        let totals = self.counted().await;
        let totals = totals.unwrap_or_else(|| *self.inner.counted.lock());
        let uptime = self.inner.clock.monotonic().saturating_sub(self.inner.started);
        Health {
            status: if self.draining() { "draining" } else { "ok" }.to_owned(),
            uptime: uptime.as_secs_f64(),
            total_invocations: totals.total,
            successful_invocations: totals.succeeded,
            failed_invocations: totals.failed,
            version: self.inner.facts.version.clone(),
            jail: self.inner.facts.jail.clone(),
            chain: self.engine().chain_state().map(|state| ChainHealth {
                network: state.network.0,
                height: state.head.height,
                lag: state.lag,
                error: state.error.map(|(code, message)| format!("{code}: {message}")),
            }),
        }
    }

    /// Whether the node takes work: it is not going, its disk answers, and it has sandboxes.
    pub async fn ready(&self) -> Ready {
        let mut reasons = Vec::new();
        if self.draining() {
            reasons.push("the node is shutting down".to_owned());
        }
        if self.counted().await.is_none() {
            reasons.push("the storage does not answer".to_owned());
        }
        let services = self.inner.services.get();
        // who runs functions itself goes on without
        if services.is_some_and(|s| s.needs_workers() && s.is_cut_off()) {
            reasons.push(format!("{}: NATS is away", Code::BusUnavailable));
        }
        reasons.extend(services.and_then(|s| s.fault()));
        if self.inner.runtime.status().children == 0 {
            reasons.push(if services.is_some_and(|s| s.needs_workers()) {
                format!("{}: no worker is there", Code::NoWorker)
            } else {
                "no sandbox process is running".to_owned()
            });
        }
        if let Some((code, message)) = self.engine().chain_state().and_then(|state| state.error) {
            reasons.push(format!("the chain is not read: {code} {message}"));
        }
        Ready {
            ready: reasons.is_empty(),
            reasons,
        }
    }

    /// Counters for operators.
    pub async fn metrics(&self, who: &Principal, loopback: bool) -> Result<NodeMetrics, ApiError> {
        self.authorise(who, Action::Metrics, Target::Node { loopback })?;
        let totals = self.engine().totals().await?;
        Ok(NodeMetrics {
            engine: self.engine().stats(),
            runtime: self.inner.runtime.status(),
            unreconciled: self.unreconciled(),
            runs_wanted: self.engine().runs_wanted(&totals),
            totals,
            triggers: (self.engine().trigger_stats(), self.engine().chain_state()),
        })
    }

    /// In datoshi.
    fn unreconciled(&self) -> Option<u64> {
        let seen = self.inner.bank.as_ref()?.reconciled()?;
        let (missing, stray) = (seen.missing().0.unsigned_abs(), seen.stray().0.unsigned_abs());
        Some(missing.saturating_add(stray))
    }

    fn draining(&self) -> bool {
        self.inner.draining.load(Ordering::Acquire)
    }
}
