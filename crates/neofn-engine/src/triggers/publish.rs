//! CloudEvents: from outside, and from functions.

use super::delivery::Occurrence;
use super::port::{Deliver, Delivery};
use super::request::Published;
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::Origin;
use bytes::Bytes;
use neofn_event::{CloudEvent, TriggerKind};
use neofn_types::{Code, Digest, Error, ProjectName};
use std::collections::{HashMap, VecDeque};

/// Deliveries of what is published at once, or emitted by one run.
const DELIVERIES_MAX: usize = 10_000;
/// Bytes of their events, each counted as often as it is delivered: so often it is stored.
const BYTES_MAX: usize = 64 << 20;

/// Events reach so many triggers that they are not taken.
#[derive(Debug, thiserror::Error)]
#[error("more than {DELIVERIES_MAX} deliveries, or {} MiB, for the triggers that these events reach", BYTES_MAX >> 20)]
pub(crate) struct ReachTooMuch;

impl From<ReachTooMuch> for Error {
    fn from(too_much: ReachTooMuch) -> Self {
        Self::new(Code::BodyTooLarge, too_much.to_string())
            .hint("Send fewer events at once, or a reference to the data; or narrow `type` and `where` of the triggers.")
    }
}

impl Inner {
    /// What events are to the triggers of a project. `depth` is how many functions caused each other to get here.
    pub(crate) fn reached(
        &self,
        project: &ProjectName,
        events: &[CloudEvent],
        depth: u32,
        trace_id: Option<[u8; 16]>,
    ) -> Result<Vec<Vec<Delivery>>, ReachTooMuch> {
        let set = self.triggers.set();
        let at = self.options.clock.now();
        let (mut deliveries, mut bytes) = (0_usize, 0_usize);
        let reach = |event: &CloudEvent| {
            let found = set.events(project).map(|m| m.matches(event)).unwrap_or_default();
            let Some(first) = found.first() else {
                return Ok(Vec::new());
            };
            let json = Bytes::from(first.event.to_string());
            deliveries += found.len();
            bytes = bytes.saturating_add(json.len().saturating_mul(found.len()));
            if deliveries > DELIVERIES_MAX || bytes > BYTES_MAX {
                return Err(ReachTooMuch);
            }
            let delivered = found
                .into_iter()
                .filter_map(|found| {
                    let armed = set.get(&found.trigger)?;
                    self.triggers.matched(TriggerKind::Event);
                    let occurrence = Occurrence {
                        event_id: found.event_id,
                        event: json.clone(),
                        key: found.key,
                        origin: Origin::Event,
                        height: None,
                        depth,
                        // the trace of whoever made the event, if he says which
                        trace_id: event.trace().map(|trace| trace.trace_id).or(trace_id),
                        at,
                    };
                    Some(self.delivery(armed, occurrence))
                })
                .collect();
            Ok(delivered)
        };
        events.iter().map(reach).collect()
    }

    /// Takes all events or none; they are on disk when this returns.
    pub(crate) async fn publish_events(
        &self,
        project: &ProjectName,
        events: Vec<CloudEvent>,
        trace_id: [u8; 16],
    ) -> Result<Vec<Published>, Error> {
        self.open()?;
        let reached = self.reached(project, &events, 0, Some(trace_id))?;
        // the trees of events go before anything is waited for: a store that is slow would gather them
        let ids: Vec<String> = events.into_iter().map(|event| event.id).collect();
        let effects: Vec<Vec<Digest>> = reached
            .iter()
            .map(|deliveries| deliveries.iter().map(|d| d.effect).collect())
            .collect();
        let deliveries: Vec<Delivery> = reached.into_iter().flatten().collect();
        let mut done = HashMap::new();
        if !deliveries.is_empty() {
            let deliver = Deliver {
                cron: None,
                deliveries,
                queue_max: self.options.queue_max,
                at: self.options.clock.now(),
            };
            let delivered = self.ports.triggers.deliver(deliver).await.map_err(of_store)?;
            let fresh = delivered.iter().filter(|d| !d.known).count();
            self.triggers
                .delivered(std::iter::repeat_n(TriggerKind::Event, fresh));
            self.triggers
                .known(u64::try_from(delivered.len() - fresh).unwrap_or(0));
            for delivered in delivered {
                let same: &mut VecDeque<_> = done.entry(delivered.effect).or_default();
                same.push_back(delivered);
            }
            self.gate.wake.notify_one();
            self.triggers.release_wake.notify_one();
        }
        let published = ids.into_iter().zip(effects);
        Ok(published
            .map(|(id, effects)| Published {
                id,
                // of an event that stands there twice the first is not known yet
                deliveries: effects
                    .iter()
                    .filter_map(|effect| done.get_mut(effect)?.pop_front())
                    .collect(),
            })
            .collect())
    }
}
