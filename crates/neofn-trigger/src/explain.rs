//! Why a trigger matched, or which condition failed, with the values that were there.

use crate::chain_event::ids;
use crate::env::{Item, ItemEnv};
use crate::matcher::{Entry, Matcher};
use neofn_chain::model::{Block, VmState};
use neofn_event::filter::{Parameter, Program};
use neofn_event::spec::On;
use neofn_event::{TriggerId, TriggerKind, native};
use neofn_types::{Hash256, ScriptHash};
use serde::{Deserialize, Serialize};

/// Most candidates that are explained.
const CANDIDATES_MAX: usize = 100;

/// What a trigger makes of a block or a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// `project/function/name`
    pub trigger: String,
    /// Its kind.
    pub kind: TriggerKind,
    /// Whether anything matched.
    pub matched: bool,
    /// What there was of its kind, best first: those that meet more conditions stand before others.
    pub candidates: Vec<Candidate>,
    /// How many more there were.
    pub left_out: usize,
}

/// Something of the trigger's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The id that its event has, or would have.
    pub event_id: String,
    /// What it is, in a line.
    pub what: String,
    /// Whether it meets every condition.
    pub matched: bool,
    /// Every condition, in the order that they are asked.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// As the trigger writes it.
    pub text: String,
    /// Whether it holds.
    pub held: bool,
    /// What was there: `amount = 5`.
    pub actual: Vec<String>,
    /// Why it could not be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Matcher {
    /// Explains a trigger on a block, or on one transaction of it. `None` when the matcher has no such trigger.
    #[must_use]
    pub fn explain(
        &self,
        trigger: &TriggerId,
        block: &Block,
        transaction: Option<Hash256>,
    ) -> Option<Explanation> {
        let entry = self.entries.iter().find(|entry| *entry.id == *trigger)?;
        let kind = entry.spec.on.kind();
        let mut candidates: Vec<Candidate> = items(block, kind)
            .into_iter()
            .filter(|item| {
                transaction.is_none_or(|hash| item.transaction.is_some_and(|(_, tx)| tx.hash == hash))
            })
            .map(|item| {
                candidate(
                    entry,
                    self.parameters(entry),
                    ids::of(self.network(), kind, &item),
                    &item,
                )
            })
            .collect();
        candidates.sort_by_key(|c| c.conditions.iter().filter(|condition| !condition.held).count());
        let left_out = candidates.len().saturating_sub(CANDIDATES_MAX);
        candidates.truncate(CANDIDATES_MAX);
        Some(Explanation {
            trigger: trigger.to_string(),
            kind,
            matched: candidates.iter().any(|c| c.matched),
            candidates,
            left_out,
        })
    }
}

/// Everything in the block that is of a kind.
fn items(block: &Block, kind: TriggerKind) -> Vec<Item<'_>> {
    let base = Item {
        block,
        transaction: None,
        execution: None,
        notification: None,
    };
    if kind == TriggerKind::Block {
        return vec![base];
    }
    let mut out = Vec::new();
    for transaction in block.transactions.iter().enumerate() {
        let item = Item {
            transaction: Some(transaction),
            ..base
        };
        if kind == TriggerKind::Transaction {
            let first = transaction.1.executions.iter().enumerate().next();
            out.push(Item {
                execution: first,
                ..item
            });
            continue;
        }
        for execution in transaction.1.executions.iter().enumerate() {
            let item = Item {
                execution: Some(execution),
                ..item
            };
            if kind == TriggerKind::Execution {
                out.push(item);
            } else {
                let all = execution.1.notifications.iter().enumerate();
                out.extend(all.map(|n| Item {
                    notification: Some(n),
                    ..item
                }));
            }
        }
    }
    if kind == TriggerKind::Notification {
        for execution in block.executions.iter().enumerate() {
            let item = Item {
                execution: Some(execution),
                ..base
            };
            let all = execution.1.notifications.iter().enumerate();
            out.extend(all.map(|n| Item {
                notification: Some(n),
                ..item
            }));
        }
    }
    out
}

fn shown(hash: ScriptHash) -> String {
    match native::name(hash) {
        Some(name) => format!("{name} ({hash})"),
        None => hash.to_string(),
    }
}

fn candidate(
    entry: &Entry,
    parameters: Option<&[Parameter]>,
    event_id: String,
    item: &Item<'_>,
) -> Candidate {
    let mut conditions = structural(&entry.spec.on, item);
    let env = ItemEnv::new(*item, parameters);
    // of another event's parameters the filter says nothing
    if conditions.iter().all(|c| c.held)
        && let Some(filter) = &entry.checked.filter
    {
        conditions.extend(filtered(filter, &env));
    }
    let what = match (item.notification, item.transaction) {
        (Some((_, n)), _) => format!("{} of {}", n.name, shown(n.contract)),
        (None, Some((_, tx))) => format!("transaction {}", tx.hash),
        (None, None) => format!("block {}", item.block.height),
    };
    Candidate {
        event_id,
        what,
        matched: conditions.iter().all(|c| c.held),
        conditions,
    }
}

fn filtered(filter: &Program, env: &ItemEnv<'_>) -> Vec<Condition> {
    let results = filter.explain(env).into_iter();
    results
        .map(|result| Condition {
            text: result.text,
            held: result.outcome == Ok(true),
            actual: result
                .actual
                .into_iter()
                .map(|a| format!("{} = {}", a.name, a.value))
                .collect(),
            fault: result.outcome.err().map(|fault| fault.to_string()),
        })
        .collect()
}

/// The conditions that are not in `where`.
fn structural(on: &On, item: &Item<'_>) -> Vec<Condition> {
    let mut out = Vec::new();
    let mut ask = |text: String, held: bool, actual: String| {
        out.push(Condition {
            text,
            held,
            actual: vec![actual],
            fault: None,
        });
    };
    let state = item.execution.map(|(_, e)| e.state);
    let ended = || state.map_or("it did not run".to_owned(), |s| format!("state = {s}"));
    let halted = state.is_none_or(|s| s == VmState::Halt);
    let of_tx = |sender: Option<ScriptHash>, signer: Option<ScriptHash>, contract: Option<ScriptHash>| {
        let mut found = Vec::new();
        let Some((_, tx)) = item.transaction else {
            return found;
        };
        if let Some(sender) = sender {
            let actual = format!("sender = {}", tx.sender.to_address());
            found.push((
                format!("sender = {}", sender.to_address()),
                tx.sender == sender,
                actual,
            ));
        }
        if let Some(signer) = signer {
            let all: Vec<String> = tx.signers.iter().map(|s| s.account.to_address()).collect();
            let held = tx.signers.iter().any(|s| s.account == signer);
            found.push((
                format!("signer = {}", signer.to_address()),
                held,
                format!("signers = {}", all.join(", ")),
            ));
        }
        if let Some(contract) = contract {
            let calls = crate::calls::called_contracts(&tx.script);
            let all: Vec<String> = calls.iter().copied().map(shown).collect();
            let held = calls.contains(&contract);
            found.push((
                format!("contract = {}", shown(contract)),
                held,
                format!("calls {}", all.join(", ")),
            ));
        }
        found
    };
    match on {
        On::Block(on) => {
            let height = item.block.height;
            let held = height.checked_rem(u64::from(on.every)) == Some(0);
            ask(
                format!("every = {}", on.every),
                held,
                format!("height = {height}"),
            );
        }
        On::Transaction(on) => {
            ask(
                format!("state = {}", on.state.as_str()),
                on.state.admits(halted),
                ended(),
            );
            for (text, held, actual) in of_tx(on.sender, on.signer, on.contract) {
                ask(text, held, actual);
            }
        }
        On::Execution(on) => {
            ask(
                format!("state = {}", on.state.as_str()),
                on.state.admits(halted),
                ended(),
            );
            for (text, held, actual) in of_tx(on.sender, None, on.contract) {
                ask(text, held, actual);
            }
        }
        On::Notification(on) => {
            let Some((_, n)) = item.notification else {
                return out;
            };
            if let Some(contract) = on.contract {
                let held = n.contract == contract;
                ask(
                    format!("contract = {}", shown(contract)),
                    held,
                    format!("contract = {}", shown(n.contract)),
                );
            }
            if let Some(event) = &on.event {
                ask(
                    format!("event = {event}"),
                    n.name == *event,
                    format!("event = {}", n.name),
                );
            }
            ask(
                format!("state = {}", on.state.as_str()),
                on.state.admits(halted),
                ended(),
            );
            let of_transaction = item.transaction.is_some();
            let phase = if of_transaction { "application" } else { "system" };
            ask(
                format!("phase = {}", on.phase.as_str()),
                on.phase.admits(of_transaction),
                format!("phase = {phase}"),
            );
        }
        On::Cron(_) | On::Event(_) | On::Http(_) => {}
    }
    out
}
