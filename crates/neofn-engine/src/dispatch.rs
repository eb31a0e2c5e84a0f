//! Claims due invocations in batches, and starts them, by turns as slots allow: of a project that floods the queue no more than
//! one run goes before that of another which has none.
//!
//! Of a function no more is claimed than it has free slots; what waits longer waits in the queue, where neither a crash
//! nor a restart costs it an attempt. A claim whose slot a direct call took first waits here in a lane.

use crate::engine::Inner;
use crate::port::{Claimed, Rooms};
use crate::queue::{Held, poisoned};
use crate::service::{Reconciler, Report};
use neofn_sched::Turns;
use neofn_types::{Code, Error, FunctionKey, FunctionName, InvocationId, ProjectName};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// An invocation that was claimed so often took the whole process along each time, or nearly. A node that is killed for
/// other reasons, however often, does not get there, and neither does one that found no worker: it is given back ever more
/// slowly, see [`crate::queue`].
const CLAIMS_MAX: u64 = 5_000;
/// How soon it is looked again whether there is somebody who runs.
const NO_ROOM: Duration = Duration::from_millis(500);

/// Most claims of one round: a flood of one function is then soon followed by others. A round waits for a commit, together with
/// whatever else is written, so fewer would leave sandboxes without work while much comes in.
const BATCH: u32 = 64;
/// Most claims that wait for a slot.
const WAITING_MAX: usize = 1_024;
/// Functions whose concurrency is remembered; of others one is claimed at a time.
const LIMITS_MAX: usize = 1_024;

pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
    /// Concurrency of functions that were claimed lately.
    limits: Arc<HashMap<FunctionKey, u32>>,
    turns: Arc<Turns<ProjectName, FunctionName>>,
}

/// A claim that waits for a slot.
pub(crate) struct Waiting {
    claimed: Claimed,
    loaded: Arc<crate::cache::Loaded>,
    held: Held,
}

impl Waiting {
    pub(crate) fn key(&self) -> &FunctionKey {
        &self.claimed.key
    }
    pub(crate) fn id(&self) -> InvocationId {
        self.claimed.id
    }
}

impl Dispatcher {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            limits: Arc::default(),
            turns: Arc::default(),
        }
    }

    /// Puts back what waits here: the node goes.
    async fn release(&mut self) {
        let waiting = self.inner.gate.drain();
        if waiting.is_empty() {
            return;
        }
        let held: Vec<_> = waiting.iter().map(|w| (w.claimed.id, w.claimed.fence)).collect();
        if let Err(error) = self.inner.ports.invocations.release(&held).await {
            tracing::warn!(%error, claims = held.len(), "claims wait for the end of their leases");
        }
    }

    fn rooms(&self) -> Rooms {
        let (taken, queued) = self.inner.gate.taken(self.inner.options.clock.now());
        Rooms {
            limits: self.limits.clone(),
            other: Some(1),
            taken,
            queued,
            turns: self.turns.clone(),
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

    /// Starts what may go, by turns; answers how many.
    fn start(&mut self) -> u64 {
        let mut started = 0;
        while let Some((waiting, slot)) = self.inner.gate.next(self.inner.options.clock.now()) {
            let Some(slot) = slot else {
                self.refuse(waiting.claimed, expired(), waiting.held);
                continue;
            };
            started += 1;
            let trace_id = neofn_types::TraceContext {
                trace_id: waiting.claimed.trace_id,
                span_id: [0; 8],
                flags: 0,
            };
            let span = crate::call::span(waiting.claimed.id, &waiting.loaded, &trace_id);
            let inner = self.inner.clone();
            self.inner.tasks.spawn(
                async move {
                    let Waiting {
                        claimed,
                        loaded,
                        held,
                    } = waiting;
                    inner.run_claimed(claimed, loaded, held).await;
                    drop(slot);
                    // a place for queued work is free, which a slot of its own kind tells nobody when none was wanted
                    inner.gate.wake.notify_one();
                }
                .instrument(span),
            );
        }
        started
    }

    /// Ends a claim that does not run; in a task: a failing store must not hold up the others.
    fn refuse(&self, claimed: Claimed, error: Error, held: Held) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            inner.refuse_claim(&claimed, error).await;
            drop(held);
        });
    }

    /// Claims one batch; answers how many there were.
    async fn claim(&mut self) -> Result<usize, Error> {
        let (free, waiting) = self.inner.gate.appetite();
        let limit = free.min(BATCH);
        if limit == 0 || waiting >= WAITING_MAX {
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
        drop(rooms);
        let claimed = claims.len();
        for claim in claims {
            Arc::make_mut(&mut self.turns).took(&claim.key.project, &claim.key.function);
            self.admit(claim).await;
        }
        Ok(claimed)
    }

    async fn admit(&mut self, claimed: Claimed) {
        let held = self.inner.held.hold(claimed.id, claimed.fence);
        let options = &self.inner.options;
        let expires = claimed.created_at.plus(options.queue_age_max);
        let refused = if claimed.attempt.0 > options.backoff.attempts_max || claimed.fence.0 > CLAIMS_MAX {
            poisoned()
        } else if expires <= options.clock.now() {
            expired()
        } else {
            match self.inner.claimable(&claimed).await {
                Ok(loaded) => {
                    self.learn(&loaded);
                    let limit = loaded.record.spec.limits.concurrency;
                    let waiting = Waiting {
                        claimed,
                        loaded,
                        held,
                    };
                    return self.inner.gate.offer(waiting, limit, expires);
                }
                Err(error) => error,
            }
        };
        self.refuse(claimed, refused, held);
    }
}

fn expired() -> Error {
    Code::Expired.into()
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
        // before the first try: a slot that is given back between a try and its end wakes us again
        self.inner.gate.want(true);
        let now = self.inner.options.clock.now();
        let due = loop {
            if self.inner.open().is_err() {
                return report;
            }
            // what is not taken now costs no attempt, and is there for other nodes
            if !self.inner.ports.runtime.has_room() {
                report.again = Some(NO_ROOM);
                return report;
            }
            report.did += self.start();
            // a look at memory in most stores; a claim is a transaction
            let due = self.inner.ports.invocations.next_due(now).await.ok().flatten();
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
        let (_, waiting) = self.inner.gate.appetite();
        self.inner.gate.want(overdue || waiting > 0);
        // what is due but could not go waits for a slot, whose release wakes; what is not yet due, for its time
        let (_, reopens) = self.inner.gate.paused(now);
        let due = due.filter(|due| *due > now);
        report.again = due.into_iter().chain(reopens).min().map(|at| at.since(now));
        if report.again.is_some_and(|d| d < Duration::from_millis(1)) {
            report.again = Some(Duration::from_millis(1));
        }
        report
    }
}
