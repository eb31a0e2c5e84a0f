//! The CloudEvents that functions get for what happens on chain, and for time.

use crate::decode::parameter_json;
use crate::env::Item;
use neofn_chain::model::{ExecutionTrigger, NetworkId, VmState};
use neofn_event::filter::{Parameter, ParameterType};
use neofn_event::{TriggerId, TriggerKind, native};
use neofn_types::UnixMillis;
use serde_json::{Map, Value, json};

/// Ids of events: the same thing on the same chain has the same id for ever.
pub mod ids {
    use super::{Item, NetworkId, TriggerId, TriggerKind, UnixMillis};

    /// `{network}:{height}[:{transaction|persist}[:{execution}[:{notification}]]]`
    #[must_use]
    pub(crate) fn of(network: NetworkId, kind: TriggerKind, item: &Item<'_>) -> String {
        let mut id = format!("{network}:{}", item.block.height);
        if kind == TriggerKind::Block {
            return id;
        }
        match item.transaction {
            Some((index, _)) => id.push_str(&format!(":{index}")),
            None => id.push_str(":persist"),
        }
        if kind == TriggerKind::Transaction {
            return id;
        }
        if let Some((index, _)) = item.execution {
            id.push_str(&format!(":{index}"));
        }
        if let (TriggerKind::Notification, Some((index, _))) = (kind, item.notification) {
            id.push_str(&format!(":{index}"));
        }
        id
    }

    /// `cron:{milliseconds}`: the run that was due at that time.
    #[must_use]
    pub fn cron(at: UnixMillis) -> String {
        format!("cron:{}", at.0)
    }

    /// Whether an id is one of a chain's: `Some(height)`.
    #[must_use]
    pub fn height(id: &str) -> Option<u64> {
        let mut parts = id.split(':');
        parts.next()?.parse::<u32>().ok()?;
        parts.next()?.parse().ok()
    }

    /// The id of a cron event belongs to its trigger alone, so the trigger is its source.
    #[must_use]
    pub fn cron_source(trigger: &TriggerId) -> String {
        format!("/triggers/{trigger}")
    }
}

/// The event of a cron trigger that was due at `at`.
#[must_use]
pub fn cron_event(trigger: &TriggerId, at: UnixMillis, data: Option<&Value>) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": ids::cron(at),
        "source": ids::cron_source(trigger),
        "type": "neofn.cron",
        "time": at.to_iso8601(),
    });
    if let (Some(data), Some(members)) = (data, event.as_object_mut()) {
        members.insert("data".to_owned(), data.clone());
    }
    event
}

/// The event of a chain trigger.
pub(crate) fn chain_event(
    network: NetworkId,
    kind: TriggerKind,
    item: &Item<'_>,
    parameters: Option<&[Parameter]>,
) -> Value {
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    let block = item.block;
    put("network", json!(network.0));
    put(
        "block",
        json!({
            "height": block.height,
            "hash": block.hash,
            "time": block.time.0,
            "transactions": block.transactions.len(),
        }),
    );
    let mut subject = block.hash.to_string();
    if kind != TriggerKind::Block {
        put("transaction", transaction(item));
        if let Some((_, tx)) = item.transaction {
            subject = tx.hash.to_string();
        }
    }
    if let (true, Some((index, execution))) = (kind != TriggerKind::Block, item.execution) {
        put("execution", execution_json(index, execution, kind));
    }
    if let (TriggerKind::Notification, Some((index, notification))) = (kind, item.notification) {
        subject = notification.contract.to_string();
        put("contract", json!(notification.contract));
        if let Some(name) = native::name(notification.contract) {
            put("contractName", json!(name));
        }
        put("event", json!(notification.name));
        put("index", json!(index));
        put("args", arguments(&notification.state, parameters));
        if parameters.is_none() {
            // nothing says what the bytes mean, so they come along as they are
            put("state", json!(notification.state));
        }
    }
    json!({
        "specversion": "1.0",
        "id": ids::of(network, kind, item),
        "source": format!("/neo/{network}"),
        "type": format!("neo.{kind}"),
        "subject": subject,
        "time": block.time.to_iso8601(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

fn transaction(item: &Item<'_>) -> Value {
    let Some((index, tx)) = item.transaction else {
        return Value::Null;
    };
    json!({
        "hash": tx.hash,
        "index": index,
        "sender": tx.sender.to_address(),
        "signers": tx.signers.iter().map(|s| s.account.to_address()).collect::<Vec<_>>(),
        "systemFee": tx.system_fee,
        "networkFee": tx.network_fee,
    })
}

fn execution_json(index: usize, execution: &neofn_chain::model::Execution, kind: TriggerKind) -> Value {
    let trigger = match execution.trigger {
        ExecutionTrigger::OnPersist => "OnPersist",
        ExecutionTrigger::PostPersist => "PostPersist",
        ExecutionTrigger::Application => "Application",
        ExecutionTrigger::Verification => "Verification",
    };
    let mut out = json!({
        "index": index,
        "trigger": trigger,
        "state": execution.state.as_str(),
        "gas": execution.gas,
    });
    if let Some(members) = out.as_object_mut() {
        if execution.state == VmState::Fault {
            members.insert("exception".to_owned(), json!(execution.exception));
        }
        if kind != TriggerKind::Notification {
            let result = execution
                .stack
                .iter()
                .map(|i| parameter_json(i, ParameterType::Any));
            members.insert("result".to_owned(), Value::Array(result.collect()));
        }
    }
    out
}

/// By name; what has no name is `arg3`.
fn arguments(state: &[neofn_chain::stack::StackItem], parameters: Option<&[Parameter]>) -> Value {
    let mut out = Map::new();
    for (index, item) in state.iter().enumerate() {
        match parameters.and_then(|p| p.get(index)) {
            Some(parameter) => out.insert(parameter.name.clone(), parameter_json(item, parameter.ty)),
            None => out.insert(format!("arg{index}"), parameter_json(item, ParameterType::Any)),
        };
    }
    Value::Object(out)
}
