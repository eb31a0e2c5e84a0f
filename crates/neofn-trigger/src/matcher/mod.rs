//! From a block to the triggers that it reaches, through an index: a trigger costs nothing until something in the block
//! is of its contract, account or name.

mod index;

use crate::chain_event::{chain_event, ids};
use crate::env::{Item, ItemEnv};
use index::Index;
use neofn_chain::model::{Block, ExecutionTrigger, NetworkId, VmState};
use neofn_event::filter::{FilterError, Parameter};
use neofn_event::spec::{Checked, NotificationOn, On};
use neofn_event::{TriggerId, TriggerKind, TriggerSpec, native};
use serde_json::Value;
use std::sync::Arc;

/// An event for a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Whose.
    pub trigger: Arc<TriggerId>,
    /// Unique for the trigger: with [`TriggerId::effect_key`], delivered twice it has its effect once.
    pub event_id: String,
    /// The CloudEvent as JSON; triggers that see the same share it.
    pub event: Arc<Value>,
    /// Of triggers with `order_by`: events with the same key run one after the other.
    pub key: Option<String>,
}

/// A trigger whose stored form can no longer be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub trigger: TriggerId,
    /// Why.
    pub error: FilterError,
}

pub(crate) struct Entry {
    pub(crate) id: Arc<TriggerId>,
    pub(crate) spec: TriggerSpec,
    pub(crate) checked: Checked,
    /// Which of [`Matcher::parameters`] names its notification's parameters, when they are known.
    parameters: Option<usize>,
}

/// Triggers on one chain, ready for blocks.
pub struct Matcher {
    network: NetworkId,
    pub(crate) entries: Vec<Entry>,
    /// Names and types of parameters, each set once.
    parameters: Vec<Vec<Parameter>>,
    index: Index,
}

impl Matcher {
    /// Compiles the chain triggers among `triggers`; others are left out. Triggers that do not compile are given back.
    #[must_use]
    pub fn build(
        network: NetworkId,
        triggers: impl IntoIterator<Item = (TriggerId, TriggerSpec)>,
    ) -> (Self, Vec<Refused>) {
        let mut matcher = Self {
            network,
            entries: Vec::new(),
            parameters: Vec::new(),
            index: Index::default(),
        };
        let mut refused = Vec::new();
        for (id, spec) in triggers.into_iter().filter(|(_, spec)| spec.on.kind().is_chain()) {
            match spec.compile() {
                Ok(checked) => {
                    matcher.index.add(matcher.entries.len(), &spec.on);
                    let parameters = match &spec.on {
                        On::Notification(on) => parameters(on).map(|p| matcher.intern(p)),
                        _ => None,
                    };
                    matcher.entries.push(Entry {
                        id: Arc::new(id),
                        spec,
                        checked,
                        parameters,
                    });
                }
                Err(error) => refused.push(Refused { trigger: id, error }),
            }
        }
        (matcher, refused)
    }

    /// Which network its events are of.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }
    /// How many triggers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// The triggers in it.
    pub fn triggers(&self) -> impl Iterator<Item = &Arc<TriggerId>> {
        self.entries.iter().map(|entry| &entry.id)
    }

    /// Everything in the block that a trigger waits for. For each trigger in the order of the chain.
    #[must_use]
    pub fn block(&self, block: &Block) -> Vec<Match> {
        let mut out = Vec::new();
        if self.entries.is_empty() {
            return out;
        }
        let persist = |trigger| {
            block
                .executions
                .iter()
                .enumerate()
                .filter(move |(_, e)| e.trigger == trigger)
        };
        let system = |item: (usize, _), out: &mut Vec<Match>| {
            let base = Item {
                block,
                transaction: None,
                execution: Some(item),
                notification: None,
            };
            self.notifications(base, out);
        };
        for execution in persist(ExecutionTrigger::OnPersist) {
            system(execution, &mut out);
        }
        for transaction in block.transactions.iter().enumerate() {
            let first = transaction.1.executions.iter().enumerate().next();
            let base = Item {
                block,
                transaction: Some(transaction),
                execution: first,
                notification: None,
            };
            self.offer(
                TriggerKind::Transaction,
                base,
                self.index.transaction(transaction.1),
                &mut out,
            );
            for execution in transaction.1.executions.iter().enumerate() {
                let base = Item {
                    execution: Some(execution),
                    ..base
                };
                let halted = execution.1.state == VmState::Halt;
                self.offer(
                    TriggerKind::Execution,
                    base,
                    self.index.execution(transaction.1, halted),
                    &mut out,
                );
                self.notifications(base, &mut out);
            }
        }
        for execution in persist(ExecutionTrigger::PostPersist) {
            system(execution, &mut out);
        }
        let base = Item {
            block,
            transaction: None,
            execution: None,
            notification: None,
        };
        self.offer(
            TriggerKind::Block,
            base,
            self.index.blocks(block.height),
            &mut out,
        );
        out
    }

    fn notifications(&self, base: Item<'_>, out: &mut Vec<Match>) {
        let Some((_, execution)) = base.execution else {
            return;
        };
        for notification in execution.notifications.iter().enumerate() {
            let candidates = self
                .index
                .notification(notification.1.contract, &notification.1.name);
            let item = Item {
                notification: Some(notification),
                ..base
            };
            self.offer(TriggerKind::Notification, item, candidates, out);
        }
    }

    fn intern(&mut self, parameters: Vec<Parameter>) -> usize {
        let known = self.parameters.iter().position(|p| *p == parameters);
        known.unwrap_or_else(|| {
            self.parameters.push(parameters);
            self.parameters.len().saturating_sub(1)
        })
    }

    /// The parameters of an entry's notification, when they are known.
    pub(crate) fn parameters(&self, entry: &Entry) -> Option<&[Parameter]> {
        self.parameters.get(entry.parameters?).map(Vec::as_slice)
    }

    fn offer(&self, kind: TriggerKind, item: Item<'_>, candidates: Vec<usize>, out: &mut Vec<Match>) {
        // converted values and the event are shared by all triggers that know the parameters alike
        let mut views: Vec<View<'_>> = Vec::new();
        for candidate in candidates {
            let Some(entry) = self.entries.get(candidate) else {
                continue;
            };
            if !admits(&entry.spec.on, &item) {
                continue;
            }
            let at = views
                .iter()
                .position(|view| view.of == entry.parameters)
                .unwrap_or_else(|| {
                    views.push(View {
                        of: entry.parameters,
                        env: ItemEnv::new(item, self.parameters(entry)),
                        event: None,
                    });
                    views.len().saturating_sub(1)
                });
            let Some(view) = views.get_mut(at) else { continue };
            if !entry.checked.filter.as_ref().is_none_or(|f| f.matches(&view.env)) {
                continue;
            }
            let event = view.event.get_or_insert_with(|| {
                Arc::new(chain_event(self.network, kind, &item, self.parameters(entry)))
            });
            out.push(Match {
                trigger: Arc::clone(&entry.id),
                event_id: ids::of(self.network, kind, &item),
                event: Arc::clone(event),
                // a key that cannot be computed is a key too: such events keep their order among themselves
                key: entry
                    .checked
                    .key
                    .as_ref()
                    .map(|key| key.of(&view.env).unwrap_or_default()),
            });
        }
    }
}

/// An item as the triggers see it that know its parameters alike.
struct View<'b> {
    of: Option<usize>,
    env: ItemEnv<'b>,
    event: Option<Arc<Value>>,
}

fn parameters(on: &NotificationOn) -> Option<Vec<Parameter>> {
    on.parameters
        .clone()
        .or_else(|| native::event(on.contract?, on.event.as_deref()?))
}

/// Whether the item is of the state and phase that a trigger asks for; what the index decides is not asked again.
fn admits(on: &On, item: &Item<'_>) -> bool {
    let halted = item.execution.is_none_or(|(_, e)| e.state == VmState::Halt);
    match on {
        On::Block(on) => item.block.height.checked_rem(u64::from(on.every)) == Some(0),
        On::Transaction(on) => {
            on.state.admits(halted) && index::transaction_fits(on.sender, on.signer, on.contract, item)
        }
        On::Execution(on) => {
            on.state.admits(halted) && index::transaction_fits(on.sender, None, on.contract, item)
        }
        On::Notification(on) => on.state.admits(halted) && on.phase.admits(item.transaction.is_some()),
        On::Cron(_) | On::Event(_) | On::Http(_) => false,
    }
}
