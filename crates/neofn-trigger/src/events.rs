//! From a CloudEvent to the triggers that it reaches.

use crate::env::EventEnv;
use crate::matcher::{Match, Refused};
use neofn_event::spec::{Checked, EventOn, On};
use neofn_event::{CloudEvent, TriggerId, TriggerSpec};
use std::sync::Arc;

struct Entry {
    id: Arc<TriggerId>,
    on: EventOn,
    checked: Checked,
}

/// The event triggers of one project, ready for events.
#[derive(Default)]
pub struct EventMatcher {
    entries: Vec<Entry>,
}

impl EventMatcher {
    /// Compiles the event triggers among `triggers`; others are left out. Triggers that do not compile are given back.
    #[must_use]
    pub fn build(triggers: impl IntoIterator<Item = (TriggerId, TriggerSpec)>) -> (Self, Vec<Refused>) {
        let mut matcher = Self::default();
        let mut refused = Vec::new();
        for (id, spec) in triggers {
            let compiled = spec.compile();
            let On::Event(on) = spec.on else { continue };
            match compiled {
                Ok(checked) => matcher.entries.push(Entry {
                    id: Arc::new(id),
                    on,
                    checked,
                }),
                Err(error) => refused.push(Refused { trigger: id, error }),
            }
        }
        (matcher, refused)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The triggers that `event` reaches. Its id for them is source and id, which together are unique.
    #[must_use]
    pub fn matches(&self, event: &CloudEvent) -> Vec<Match> {
        let env = EventEnv::new(event);
        let wanted = self.entries.iter().filter(|entry| {
            entry
                .on
                .admits(&event.ty, &event.source, event.subject.as_deref())
                && entry.checked.filter.as_ref().is_none_or(|f| f.matches(&env))
        });
        let mut json = None;
        wanted
            .map(|entry| Match {
                trigger: Arc::clone(&entry.id),
                event_id: format!("{} {}", event.source, event.id),
                event: Arc::clone(json.get_or_insert_with(|| Arc::new(event.to_json()))),
                key: entry
                    .checked
                    .key
                    .as_ref()
                    .map(|key| key.of(&env).unwrap_or_default()),
            })
            .collect()
    }
}
