//! CloudEvents: from outside, and from functions.

use super::delivery::Occurrence;
use super::port::{Deliver, Delivery};
use super::request::Published;
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::Origin;
use neofn_event::{CloudEvent, TriggerKind};
use neofn_types::{Digest, Error, ProjectName};
use std::collections::{HashMap, VecDeque};

impl Inner {
    /// What events are to the triggers of a project. `depth` is how many functions caused each other to get here.
    pub(crate) fn reached(
        &self,
        project: &ProjectName,
        events: &[CloudEvent],
        depth: u32,
        trace_id: Option<[u8; 16]>,
    ) -> Vec<Vec<Delivery>> {
        let set = self.triggers.set();
        let at = self.options.clock.now();
        let reach = |event: &CloudEvent| {
            let found = set.events(project).map(|m| m.matches(event)).unwrap_or_default();
            found
                .into_iter()
                .filter_map(|found| {
                    let armed = set.get(&found.trigger)?;
                    self.triggers.matched(TriggerKind::Event);
                    let occurrence = Occurrence {
                        event_id: found.event_id,
                        event: &found.event,
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
                .collect()
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
        let reached = self.reached(project, &events, 0, Some(trace_id));
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
