//! The triggers of all live versions, and where each stands.

use super::port::{Change, TriggerChange, TriggerState, TriggerStatus, TriggeredFunction};
use crate::engine::Inner;
use crate::error::of_store;
use neofn_event::spec::Start;
use neofn_event::{TriggerId, TriggerSpec};
use neofn_trigger::EventMatcher;
use neofn_types::{Error, ProjectName, Version};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A trigger of a live version.
#[derive(Debug, Clone)]
pub(crate) struct Armed {
    pub(crate) id: TriggerId,
    pub(crate) spec: TriggerSpec,
    pub(crate) version: Version,
    pub(crate) state: TriggerState,
}

impl Armed {
    pub(crate) fn runs(&self) -> bool {
        self.state.status == TriggerStatus::Running
    }
}

#[derive(Default)]
pub(crate) struct TriggerSet {
    armed: HashMap<TriggerId, Arc<Armed>>,
    events: HashMap<ProjectName, EventMatcher>,
}

impl TriggerSet {
    fn build(functions: &[TriggeredFunction], states: Vec<TriggerState>) -> Self {
        let mut states: HashMap<TriggerId, TriggerState> =
            states.into_iter().map(|s| (s.id.clone(), s)).collect();
        let mut set = Self::default();
        let mut events: HashMap<ProjectName, Vec<(TriggerId, TriggerSpec)>> = HashMap::new();
        for function in functions {
            for spec in &function.on.0 {
                let id = TriggerId::new(function.key.clone(), spec.name.clone());
                let Some(state) = states.remove(&id) else { continue };
                let armed = Armed {
                    id: id.clone(),
                    spec: spec.clone(),
                    version: function.live,
                    state,
                };
                if armed.runs() {
                    let of = events.entry(function.key.project.clone()).or_default();
                    of.push((id.clone(), spec.clone()));
                }
                set.armed.insert(id, Arc::new(armed));
            }
        }
        for (project, triggers) in events {
            let (matcher, refused) = EventMatcher::build(triggers);
            for refused in refused {
                tracing::error!(trigger = %refused.trigger, error = %refused.error, "trigger cannot be compiled");
            }
            if !matcher.is_empty() {
                set.events.insert(project, matcher);
            }
        }
        set
    }
    pub(crate) fn get(&self, id: &TriggerId) -> Option<&Arc<Armed>> {
        self.armed.get(id)
    }
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Armed>> {
        self.armed.values()
    }
    /// Those that deliver.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<Armed>> {
        self.all().filter(|armed| armed.runs())
    }
    /// Those that deliver and wait for blocks.
    pub(crate) fn on_chain(&self) -> impl Iterator<Item = &Arc<Armed>> {
        self.running().filter(|armed| armed.spec.on.kind().is_chain())
    }
    /// The event triggers of a project.
    pub(crate) fn events(&self, project: &ProjectName) -> Option<&EventMatcher> {
        self.events.get(project)
    }
}

impl Inner {
    /// Reads the triggers of all live versions, and makes their states: idempotent, also after a crash between a
    /// deployment and this.
    pub(crate) async fn sync_triggers(&self) -> Result<(), Error> {
        let turn = self.triggers.turn.lock().await;
        let store = &self.ports.triggers;
        let functions = store.triggered().await.map_err(of_store)?;
        let mut states = store.trigger_states().await.map_err(of_store)?;
        let changes = self.missing(&functions, &states);
        if !changes.is_empty() {
            let network = self.ports.chain.as_ref().map(|c| c.network().0);
            let now = self.options.clock.now();
            store
                .change_triggers(changes, network, now)
                .await
                .map_err(of_store)?;
            states = store.trigger_states().await.map_err(of_store)?;
        }
        self.triggers.replace(TriggerSet::build(&functions, states));
        drop(turn);
        Ok(())
    }

    /// As [`Self::sync_triggers`], for callers whose own work is done whether or not it succeeds: the loops try again.
    pub(crate) async fn triggers_changed(&self) {
        if let Err(error) = self.sync_triggers().await {
            tracing::error!(%error, source = ?error.source, "triggers not read");
        }
    }

    /// What must change so that the states are those of the live versions.
    fn missing(&self, functions: &[TriggeredFunction], states: &[TriggerState]) -> Vec<TriggerChange> {
        let known: HashMap<&TriggerId, &TriggerState> = states.iter().map(|s| (&s.id, s)).collect();
        let latest = self.ports.chain.as_ref().map(|chain| chain.head().height + 1);
        let mut wanted = HashSet::new();
        let mut changes = Vec::new();
        for function in functions.iter().filter(|f| f.active) {
            for spec in &function.on.0 {
                let id = TriggerId::new(function.key.clone(), spec.name.clone());
                let kind = spec.on.kind();
                let schedule = spec.on.schedule().map(ToString::to_string);
                let known = known.get(&id);
                let stands = known.is_some_and(|s| s.status != TriggerStatus::Off && s.kind == kind);
                // without a chain it cannot be said where a trigger begins
                if !stands && (latest.is_some() || !kind.is_chain()) {
                    let latest = latest.filter(|_| kind.is_chain());
                    changes.push(TriggerChange {
                        id: id.clone(),
                        change: Change::Register {
                            kind,
                            position: latest.map(|latest| match spec.options.start {
                                Start::Latest => latest,
                                Start::Genesis => 0,
                                Start::Height(height) => u64::from(height),
                            }),
                            resume: latest,
                            schedule,
                        },
                    });
                } else if let (Some(schedule), Some(known)) = (schedule, known)
                    && known.schedule.as_ref() != Some(&schedule)
                {
                    changes.push(TriggerChange {
                        id: id.clone(),
                        change: Change::Reschedule { schedule },
                    });
                }
                wanted.insert(id);
            }
        }
        changes.extend(
            states
                .iter()
                .filter(|s| s.status != TriggerStatus::Off && !wanted.contains(&s.id))
                .map(|s| TriggerChange {
                    id: s.id.clone(),
                    change: Change::Off,
                }),
        );
        changes
    }
}
