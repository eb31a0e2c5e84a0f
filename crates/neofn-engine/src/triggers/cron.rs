//! Runs that time brings.

use super::delivery::Occurrence;
use super::port::Deliver;
use super::set::Armed;
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::{Origin, StoreError};
use crate::service::{Reconciler, Report};
use neofn_event::spec::{CronOn, On};
use neofn_event::{TriggerId, TriggerKind, schedule};
use neofn_trigger::{cron_event, ids};
use neofn_types::{Error, UnixMillis};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A schedule that is further ahead than clocks of nodes differ was moved on by one that had leapt.
const LEAP: Duration = Duration::from_secs(60);

pub(crate) struct Cron {
    inner: Arc<Inner>,
    /// Later than what the set says, when it was read before.
    handled: HashMap<TriggerId, UnixMillis>,
}

impl Cron {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            handled: HashMap::new(),
        }
    }

    /// Writes down the runs of a trigger that are due; answers how many.
    async fn fire(
        &mut self,
        armed: &Armed,
        on: &CronOn,
        handled: UnixMillis,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let leapt = handled > now.plus(LEAP);
        let due = schedule::due(&on.schedule, on.missed, handled, now);
        if due.runs.is_empty() && !due.left_out && !leapt {
            return Ok(0);
        }
        if leapt {
            // runs that there were in the meantime are known by their times, and are not repeated
            tracing::warn!(trigger = %armed.id, ahead = ?handled.since(now), "the schedule is ahead of the clock, which had leapt; it goes on from now");
        }
        let deliveries: Vec<_> = due
            .runs
            .iter()
            .map(|run| {
                let event = cron_event(&armed.id, *run, on.data.as_ref());
                let occurrence = Occurrence {
                    event_id: ids::cron(*run),
                    event: event.to_string().into(),
                    key: None,
                    origin: Origin::Cron,
                    height: None,
                    depth: 0,
                    trace_id: None,
                    at: now,
                };
                self.inner.delivery(armed, occurrence)
            })
            .collect();
        let fired = u64::try_from(deliveries.len()).unwrap_or(0);
        let deliver = Deliver {
            cron: Some((armed.id.clone(), handled, now)),
            deliveries,
            queue_max: self.inner.options.queue_max,
            at: now,
        };
        match self.inner.ports.triggers.deliver(deliver).await {
            Ok(done) if !leapt => {
                if due.left_out {
                    tracing::warn!(trigger = %armed.id, "runs were missed while nobody was there, and are left out");
                }
                self.handled.insert(armed.id.clone(), now);
                for _ in 0..fired {
                    self.inner.triggers.matched(TriggerKind::Cron);
                }
                let fresh = done.iter().filter(|d| !d.known);
                self.inner.triggers.delivered(fresh.map(|_| TriggerKind::Cron));
                self.inner.gate.wake.notify_one();
                self.inner.triggers.release_wake.notify_one();
                Ok(fired)
            }
            // it stands elsewhere: the set is read again
            Ok(_) | Err(StoreError::Fenced) => {
                self.handled.remove(&armed.id);
                self.inner.sync_triggers().await.map(|()| 0)
            }
            // the runs stay due, and then the missed runs policy decides
            Err(error) => Err(of_store(error)),
        }
    }
}

impl Reconciler for Cron {
    const NAME: &'static str = "cron";

    async fn activate(&mut self) -> Report {
        let mut report = Report::default();
        if self.inner.open().is_err() {
            return report;
        }
        if !self.inner.leading.try_lead().await {
            self.handled.clear();
            return report;
        }
        let set = self.inner.triggers.set();
        let now = self.inner.options.clock.now();
        let mut next: Option<UnixMillis> = None;
        self.handled.retain(|id, _| set.get(id).is_some());
        for armed in set.running() {
            let On::Cron(on) = &armed.spec.on else { continue };
            let known = self.handled.get(&armed.id).copied();
            let handled = known.map_or(armed.state.cron_at, |h| h.max(armed.state.cron_at));
            match self.fire(armed, on, handled, now).await {
                Ok(fired) => report.did += fired,
                Err(error) => tracing::warn!(trigger = %armed.id, %error, "due runs wait"),
            }
            let after = on.schedule.next_after(handled.max(now));
            next = [next, after].into_iter().flatten().min();
        }
        report.again = next.map(|at| at.since(now).max(Duration::from_millis(1)));
        report
    }
}
