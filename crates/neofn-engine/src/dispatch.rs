//! Claims due invocations in batches and starts them by turns, as slots allow.
//!
//! Of a function no more is claimed than it has free slots; what waits longer waits in the queue, where neither a crash
//! nor a restart costs it an attempt. A claim whose slot a direct call took first waits here in a lane.

use crate::engine::Inner;
use crate::port::{Claimed, Rooms};
use crate::queue::{Held, poisoned};
use crate::service::{Reconciler, Report};
use neofn_sched::{Lanes, Share};
use neofn_types::{Code, Error, FunctionKey, FunctionName, ProjectName};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tracing::Instrument as _;

/// An invocation that was claimed so often took the whole process along each time, or nearly. A node that is killed for
/// other reasons, however often, does not get there.
const CLAIMS_MAX: u64 = 500;

/// Most claims of one round: a flood of one function is then soon followed by others.
const BATCH: u32 = 16;
/// Most claims that wait for a slot.
const WAITING_MAX: usize = 1_024;
/// Functions whose concurrency is remembered; of others one is claimed at a time.
const LIMITS_MAX: usize = 1_024;

pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
    lanes: Lanes<ProjectName, FunctionName, Waiting>,
    running: Arc<AtomicU32>,
    /// Concurrency of functions that were claimed lately.
    limits: Arc<HashMap<FunctionKey, u32>>,
}

struct Waiting {
    claimed: Claimed,
    loaded: Arc<crate::cache::Loaded>,
    held: Held,
}

/// One of the asynchronous workers, busy.
struct Worker {
    inner: Arc<Inner>,
    running: Arc<AtomicU32>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.inner.gate.wake.notify_one();
    }
}

impl Dispatcher {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            lanes: Lanes::default(),
            running: Arc::default(),
            limits: Arc::default(),
        }
    }

    /// Puts back what waits here: the node goes.
    async fn release(&mut self) {
        let waiting = self.lanes.drain();
        if waiting.is_empty() {
            return;
        }
        let held: Vec<_> = waiting.iter().map(|w| (w.claimed.id, w.claimed.fence)).collect();
        if let Err(error) = self.inner.ports.invocations.release(&held).await {
            tracing::warn!(%error, claims = held.len(), "claims wait for the end of their leases");
        }
    }

    fn rooms(&self) -> Rooms {
        let mut taken = self.inner.gate.running();
        for (project, function) in self.lanes.lanes() {
            // its slots are taken, and somebody waits for the next one already
            taken.insert(FunctionKey::new(project.clone(), function.clone()), u32::MAX);
        }
        Rooms {
            limits: self.limits.clone(),
            other: Some(1),
            taken,
        }
    }

    fn learn(&mut self, loaded: &crate::cache::Loaded) {
        let (key, limit) = (&loaded.record.key, loaded.record.spec.limits.concurrency);
        if self.limits.get(key) != Some(&limit) {
            let limits = Arc::make_mut(&mut self.limits);
            if limits.len() >= LIMITS_MAX {
                limits.clear();
            }
            limits.insert(key.clone(), limit);
        }
    }

    fn free(&self) -> u32 {
        let running = self.running.load(Ordering::Acquire);
        self.inner.options.async_workers.saturating_sub(running)
    }

    /// Starts what may go, by turns; answers how many.
    fn start(&mut self) -> u64 {
        let mut started = 0;
        while self.free() > 0 {
            let inner = &self.inner;
            let mut slot = None;
            let next = self.lanes.pop(|_, _, waiting| {
                slot = inner.take(&waiting.loaded, Share::Own).ok();
                slot.is_some()
            });
            let (Some(waiting), Some(slot)) = (next, slot) else {
                break;
            };
            started += 1;
            self.running.fetch_add(1, Ordering::AcqRel);
            let worker = Worker {
                inner: self.inner.clone(),
                running: self.running.clone(),
            };
            let trace_id = neofn_types::TraceContext {
                trace_id: waiting.claimed.trace_id,
                span_id: [0; 8],
                flags: 0,
            };
            let span = crate::call::span(waiting.claimed.id, &waiting.loaded, &trace_id);
            self.inner.tasks.spawn(
                async move {
                    let Waiting {
                        claimed,
                        loaded,
                        held,
                    } = waiting;
                    worker.inner.run_claimed(claimed, loaded, held).await;
                    drop((slot, worker));
                }
                .instrument(span),
            );
        }
        started
    }

    /// Claims one batch; answers how many there were.
    async fn claim(&mut self) -> Result<usize, Error> {
        let limit = self.free().min(BATCH);
        if limit == 0 || self.lanes.len() >= WAITING_MAX {
            return Ok(0);
        }
        let rooms = self.rooms();
        let options = &self.inner.options;
        let claims = self
            .inner
            .ports
            .invocations
            .claim(options.clock.now(), options.lease, limit, &rooms)
            .await
            .map_err(crate::error::of_store)?;
        let claimed = claims.len();
        for claim in claims {
            self.admit(claim).await;
        }
        Ok(claimed)
    }

    async fn admit(&mut self, claimed: Claimed) {
        let held = self.inner.held.hold(claimed.id, claimed.fence);
        let refused =
            if claimed.attempt.0 > self.inner.options.backoff.attempts_max || claimed.fence.0 > CLAIMS_MAX {
                poisoned()
            } else {
                match self.inner.claimable(&claimed).await {
                    Ok(loaded) => {
                        self.learn(&loaded);
                        let (project, function) = (claimed.key.project.clone(), claimed.key.function.clone());
                        let waiting = Waiting {
                            claimed,
                            loaded,
                            held,
                        };
                        return self.lanes.push(&project, &function, waiting);
                    }
                    Err(error) => error,
                }
            };
        // in a task: a failing store must not hold up the others
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            inner.refuse_claim(&claimed, refused).await;
            drop(held);
        });
    }
}

impl Inner {
    async fn claimable(&self, claimed: &Claimed) -> Result<Arc<crate::cache::Loaded>, Error> {
        let live = self.live(&claimed.key).await?;
        if !live.active {
            // accepted work does not run once the function is switched off
            return Err(Code::FunctionDisabled.into());
        }
        self.version(&claimed.key, claimed.version).await
    }
}

impl Reconciler for Dispatcher {
    const NAME: &'static str = "dispatcher";

    async fn stop(&mut self) {
        self.release().await;
    }

    async fn activate(&mut self) -> Report {
        let mut report = Report::default();
        if self.inner.open().is_err() {
            return report;
        }
        // before the first try: a slot that is given back between a try and its end wakes us again
        self.inner.gate.want(true);
        let now = self.inner.options.clock.now();
        let due = loop {
            report.did += self.start();
            // a look at memory in most stores; a claim is a transaction
            let due = self.inner.ports.invocations.next_due().await.ok().flatten();
            if due.is_none_or(|due| due > now) {
                break due;
            }
            match self.claim().await {
                Ok(0) => break due,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, source = ?error.source, "queue not readable");
                    break due;
                }
            }
        };
        let overdue = due.is_some_and(|due| due <= now);
        self.inner.gate.want(overdue || !self.lanes.is_empty());
        // what is due but could not go waits for a slot, whose release wakes; what is not yet due, for its time
        report.again = due.filter(|due| *due > now).map(|due| due.since(now));
        if report.again.is_some_and(|d| d < Duration::from_millis(1)) {
            report.again = Some(Duration::from_millis(1));
        }
        report
    }
}
