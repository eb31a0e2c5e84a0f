//! The loops that run beside the handle: dispatcher, leases, retention, sweeps.
//!
//! Each is a reconciler: it takes no input, looks at what is there and does what is due; doing it twice does no
//! harm. It runs by time and when it is woken.

use crate::cache::millis;
use crate::dispatch::Dispatcher;
use crate::engine::Inner;
use crate::port::{Neighbours, News};
use crate::rotation::Rotations;
use crate::triggers::{ChainSource, Cron, Release};
use neofn_types::UnixMillis;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Rows that one sweep removes at the most, so that it never holds the writer for long.
const SWEEP_ROWS: u32 = 2_000;

/// How often stored code is swept.
const BLOBS_EVERY: Duration = Duration::from_secs(3_600);
/// Bytes that were stored so lately may belong to a deployment under way.
const BLOBS_KEPT: Duration = Duration::from_secs(3_600);

/// What an activation did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// How much.
    pub(crate) did: u64,
    /// When to look again, if that is before the next regular time.
    pub(crate) again: Option<Duration>,
}

/// A loop of the service.
pub(crate) trait Reconciler: Send + 'static {
    /// For the log.
    const NAME: &'static str;
    /// Does what is due.
    fn activate(&mut self) -> impl Future<Output = Report> + Send;
    /// Gives back what it holds; called once, at the end.
    fn stop(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Owns the engine's loops.
#[must_use = "nothing is dispatched unless the service runs"]
pub struct Service {
    inner: Arc<Inner>,
    begun_at: UnixMillis,
}

impl Service {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let begun_at = inner.options.clock.now();
        Self { inner, begun_at }
    }

    /// Runs until `shutdown` is ready; [`crate::Engine::drain`] comes before that.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        if self.inner.ports.neighbours.is_none() {
            self.recover().await;
        }
        let inner = self.inner;
        // before the loops that ask whether they may: on a store of its own a node leads at once
        inner.leading.activate().await;
        inner.triggers_changed().await;
        let stop = CancellationToken::new();
        let mut loops = JoinSet::new();
        let (tick, sweep_every) = (inner.options.tick, inner.options.sweep_every);
        let wake = inner.clone();
        loops.spawn(drive(
            Dispatcher::new(inner.clone()),
            tick,
            stop.clone(),
            move || {
                let wake = wake.clone();
                async move { wake.gate.wake.notified().await }
            },
        ));
        let never = || std::future::pending::<()>();
        let lead = (inner.leading.clone(), stop.clone());
        loops.spawn(async move { lead.0.run(lead.1.cancelled_owned()).await });
        if let Some(neighbours) = inner.ports.neighbours.clone() {
            loops.spawn(listen(inner.clone(), neighbours, stop.clone()));
        }
        loops.spawn(drive(
            Leases(inner.clone()),
            (inner.options.lease / 3).min(tick * 10),
            stop.clone(),
            never,
        ));
        loops.spawn(drive(Retention(inner.clone()), sweep_every, stop.clone(), never));
        loops.spawn(drive(BlobSweep(inner.clone()), BLOBS_EVERY, stop.clone(), never));
        if let Some(rotations) = Rotations::new(&inner) {
            loops.spawn(drive(rotations, sweep_every, stop.clone(), never));
        }
        loops.spawn(drive(KvSweep(inner.clone()), sweep_every, stop.clone(), never));
        let wake = inner.clone();
        loops.spawn(drive(Cron::new(inner.clone()), tick, stop.clone(), move || {
            let wake = wake.clone();
            async move { wake.triggers.cron_wake.notified().await }
        }));
        let wake = inner.clone();
        loops.spawn(drive(Release(inner.clone()), tick, stop.clone(), move || {
            let wake = wake.clone();
            async move { wake.triggers.release_wake.notified().await }
        }));
        if let Some(chain) = inner.ports.chain.clone() {
            loops.spawn(ChainSource::new(inner.clone(), chain).run(stop.clone()));
        }
        loops.spawn(drive(CacheSweep(inner), sweep_every, stop.clone(), never));
        shutdown.await;
        stop.cancel();
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a loop of the engine ended badly");
            }
        }
    }

    /// Takes back the claims of the process that had this data directory before: it is gone, or we would not have
    /// it. Claims of this process, made since `build`, end later than any of those.
    async fn recover(&self) {
        let before = self
            .begun_at
            .plus(self.inner.options.lease.saturating_sub(Duration::from_millis(1)));
        match self.inner.ports.invocations.requeue_expired(before).await {
            Ok(0) => {}
            Ok(requeued) => tracing::info!(requeued, "took back invocations of an earlier process"),
            Err(error) => tracing::warn!(%error, "earlier claims wait for the end of their leases"),
        }
    }
}

/// Learns what other nodes did.
async fn listen(inner: Arc<Inner>, neighbours: Arc<dyn Neighbours>, stop: CancellationToken) {
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = neighbours.news() => news,
        };
        match news {
            News::Queue => {
                inner.gate.wake.notify_one();
                continue;
            }
            News::Live(key) => {
                inner.cache.forget_live(&key);
                inner.gate.forget(&key);
            }
            News::Gone(key) => {
                inner.cache.forget_function(&key);
                inner.gate.forget(&key);
            }
            News::Triggers => {}
            News::Anything => inner.cache.forget_everything(),
        }
        inner.triggers_changed().await;
        inner.triggers.cron_wake.notify_one();
        inner.triggers.chain_wake.notify_one();
        inner.triggers.release_wake.notify_one();
        inner.gate.wake.notify_one();
    }
}

async fn drive<R: Reconciler, F: Future<Output = ()> + Send>(
    mut reconciler: R,
    period: Duration,
    stop: CancellationToken,
    wake: impl Fn() -> F + Send,
) {
    while !stop.is_cancelled() {
        let report = reconciler.activate().await;
        if report.did > 0 {
            tracing::trace!(name = R::NAME, did = report.did, "activated");
        }
        let pause = report.again.unwrap_or(period).min(period);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = wake() => {}
        }
    }
    reconciler.stop().await;
}

/// Renews what this process holds, and puts back what others have lost.
struct Leases(Arc<Inner>);

impl Reconciler for Leases {
    const NAME: &'static str = "leases";

    async fn activate(&mut self) -> Report {
        let inner = &self.0;
        let now = inner.options.clock.now();
        let held = inner.held.list();
        let mut report = Report::default();
        if !held.is_empty() {
            let lease = inner.options.lease;
            match inner.ports.invocations.renew(&held, now, lease).await {
                Ok(lost) if lost.is_empty() => {}
                // their ends will be refused by the fence; nothing else is to be done
                Ok(lost) => tracing::debug!(?lost, "claims ended or lost"),
                Err(error) => tracing::warn!(%error, "leases not renewed"),
            }
        }
        match inner.ports.invocations.requeue_expired(now).await {
            Ok(0) => {}
            Ok(requeued) => {
                report.did = u64::from(requeued);
                inner.gate.wake.notify_one();
            }
            Err(error) => tracing::warn!(%error, "expired claims not put back"),
        }
        report
    }
}

/// Removes history that is past its retention.
struct Retention(Arc<Inner>);

impl Reconciler for Retention {
    const NAME: &'static str = "retention";

    async fn activate(&mut self) -> Report {
        let options = &self.0.options;
        let pruned = self
            .0
            .ports
            .invocations
            .prune(options.retention, options.clock.now(), SWEEP_ROWS);
        swept(Self::NAME, pruned.await)
    }
}

/// Removes stored bytes that no version stands for.
struct BlobSweep(Arc<Inner>);

impl Reconciler for BlobSweep {
    const NAME: &'static str = "blob-sweep";

    async fn activate(&mut self) -> Report {
        let mut report = Report::default();
        match self.0.ports.registry.sweep_blobs(BLOBS_KEPT).await {
            Ok(0) => {}
            Ok(gone) => {
                report.did = u64::from(gone);
                tracing::info!(gone, "removed stored code of deleted functions");
            }
            Err(error) => tracing::warn!(%error, "stored code not swept"),
        }
        report
    }
}

/// Removes expired entries of ctx.kv.
struct KvSweep(Arc<Inner>);

impl Reconciler for KvSweep {
    const NAME: &'static str = "kv-sweep";

    async fn activate(&mut self) -> Report {
        let now = self.0.options.clock.now();
        swept(Self::NAME, self.0.ports.kv.sweep(now, SWEEP_ROWS).await)
    }
}

fn swept(name: &str, result: Result<u32, crate::port::StoreError>) -> Report {
    match result {
        Ok(rows) => Report {
            did: u64::from(rows),
            // a full batch means that there is more; the pause lets other writers in
            again: (rows >= SWEEP_ROWS).then_some(Duration::from_millis(5)),
        },
        Err(error) => {
            tracing::warn!(%error, name, "sweep failed");
            Report::default()
        }
    }
}

/// Forgets versions that nobody has called for a while.
struct CacheSweep(Arc<Inner>);

impl Reconciler for CacheSweep {
    const NAME: &'static str = "cache-sweep";

    async fn activate(&mut self) -> Report {
        let options = &self.0.options;
        let before = options.clock.monotonic().saturating_sub(options.cache_idle);
        let evicted = self.0.cache.evict(millis(before));
        Report {
            did: u64::try_from(evicted).unwrap_or(u64::MAX),
            again: None,
        }
    }
}
