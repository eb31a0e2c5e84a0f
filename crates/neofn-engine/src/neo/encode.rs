//! Blocks, transactions and executions as `ctx.neo` answers them: JSON of a bounded size.
//!
//! What does not fit is left out and said to be: `truncated`.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use neofn_chain::model::{
    Block, Execution, ExecutionTrigger, FoundTransaction, Invocation, Notification, TransactionInfo,
};
use neofn_chain::stack::StackItem;
use serde_json::{Value, json};

/// Bytes of one answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Counts what an answer takes.
struct Room {
    left: usize,
    truncated: bool,
}

impl Room {
    fn new() -> Self {
        // the members around the lists
        Self {
            left: ANSWER_BYTES_MAX - (128 << 10),
            truncated: false,
        }
    }
    /// The value, if it fits.
    fn take(&mut self, value: Value) -> Option<Value> {
        let bytes = value.to_string().len() + 1;
        if self.truncated || bytes > self.left {
            self.truncated = true;
            return None;
        }
        self.left -= bytes;
        Some(value)
    }
    /// The values of a list, as far as they fit.
    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T) -> Value) -> Value {
        let mut out = Vec::new();
        for item in items {
            let value = each(self, item);
            match self.take(value) {
                Some(value) => out.push(value),
                None => break,
            }
        }
        Value::Array(out)
    }
}

fn trigger(trigger: ExecutionTrigger) -> &'static str {
    match trigger {
        ExecutionTrigger::OnPersist => "OnPersist",
        ExecutionTrigger::PostPersist => "PostPersist",
        ExecutionTrigger::Application => "Application",
        ExecutionTrigger::Verification => "Verification",
    }
}

fn item(item: &StackItem) -> Value {
    serde_json::to_value(item).unwrap_or_default()
}

fn notification(notification: &Notification) -> Value {
    let state: Vec<Value> = notification.state.iter().map(item).collect();
    json!({ "contract": notification.contract, "name": notification.name, "state": state })
}

fn execution(room: &mut Room, execution: &Execution) -> Value {
    // two lists that were paid for are not paid for again by the list that they are in
    let mut inner = Room {
        left: room.left,
        truncated: room.truncated,
    };
    let stack = inner.list(&execution.stack, |_, i| item(i));
    let notifications = inner.list(&execution.notifications, |_, n| notification(n));
    room.truncated = inner.truncated;
    let value = json!({
        "trigger": trigger(execution.trigger), "state": execution.state.as_str(), "gas": execution.gas,
        "exception": execution.exception, "stack": stack, "notifications": notifications,
    });
    room.left = inner.left;
    value
}

/// Without its script: a block may hold hundreds.
fn summary(transaction: &TransactionInfo) -> Value {
    let ended = transaction.executions.first();
    json!({
        "hash": transaction.hash, "sender": transaction.sender, "systemFee": transaction.system_fee,
        "networkFee": transaction.network_fee, "validUntil": transaction.valid_until, "size": transaction.size,
        "state": ended.map(|e| e.state.as_str()), "gas": ended.map(|e| e.gas),
    })
}

/// A block with what is to be known of each of its transactions.
pub(crate) fn block(block: &Block) -> Value {
    let mut room = Room::new();
    let transactions = room.list(&block.transactions, |_, t| summary(t));
    json!({
        "height": block.height, "hash": block.hash, "previousHash": block.previous, "time": block.time.0,
        "size": block.size, "transactionCount": block.transactions.len(), "transactions": transactions,
        "truncated": room.truncated,
    })
}

/// A transaction with its script, and where it is.
pub(crate) fn transaction(found: &FoundTransaction) -> Value {
    let t = &found.transaction;
    let signers: Vec<Value> = t
        .signers
        .iter()
        .map(|s| json!({ "account": s.account, "scopes": s.scopes }))
        .collect();
    let mut value = summary(t);
    if let Some(members) = value.as_object_mut() {
        members.insert("nonce".into(), t.nonce.into());
        members.insert("signers".into(), signers.into());
        members.insert("attributes".into(), json!(t.attributes));
        members.insert("script".into(), BASE64.encode(&t.script).into());
        members.insert("height".into(), json!(found.included.map(|i| i.height)));
        members.insert("block".into(), json!(found.included.map(|i| i.block)));
        members.insert("time".into(), json!(found.included.map(|i| i.time.0)));
    }
    value
}

/// What a transaction did.
pub(crate) fn log(executions: &[Execution]) -> Value {
    let mut room = Room::new();
    let mut out = Vec::new();
    for each in executions {
        if room.truncated {
            break;
        }
        out.push(execution(&mut room, each));
    }
    json!({ "executions": out, "truncated": room.truncated })
}

/// How a call would end.
pub(crate) fn invocation(invocation: &Invocation) -> Value {
    let mut room = Room::new();
    let stack = room.list(&invocation.stack, |_, i| item(i));
    let notifications = room.list(&invocation.notifications, |_, n| notification(n));
    json!({
        "state": invocation.state.as_str(), "gas": invocation.gas, "exception": invocation.exception,
        "stack": stack, "notifications": notifications, "truncated": room.truncated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_chain::model::VmState;
    use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};

    fn transaction(notifications: usize, bytes: usize) -> TransactionInfo {
        TransactionInfo {
            hash: Hash256([7; 32]),
            sender: ScriptHash([1; 20]),
            signers: vec![],
            script: vec![0x40; 3],
            system_fee: Datoshi(5),
            network_fee: Datoshi(6),
            valid_until: 9,
            nonce: 3,
            size: 250,
            attributes: vec![],
            executions: vec![Execution {
                trigger: ExecutionTrigger::Application,
                state: VmState::Halt,
                gas: Datoshi(5),
                exception: None,
                stack: vec![StackItem::Boolean(true)],
                notifications: vec![
                    Notification {
                        contract: ScriptHash([2; 20]),
                        name: "N".into(),
                        state: vec![StackItem::ByteString(vec![0; bytes])],
                    };
                    notifications
                ],
            }],
        }
    }

    #[test]
    fn answers_are_bounded_and_say_so() {
        let many = Block {
            height: 4,
            hash: Hash256([4; 32]),
            previous: Hash256([3; 32]),
            time: UnixMillis(1_000),
            size: 1,
            transactions: vec![transaction(0, 0); 20_000],
            executions: vec![],
        };
        let shown = block(&many);
        assert!(shown.to_string().len() <= ANSWER_BYTES_MAX);
        assert_eq!(
            (&shown["truncated"], &shown["transactionCount"]),
            (&json!(true), &json!(20_000))
        );
        assert!(shown["transactions"].as_array().unwrap().len() > 1_000);

        let chatty = log(&transaction(500, 30_000).executions);
        assert!(chatty.to_string().len() <= ANSWER_BYTES_MAX);
        assert_eq!(chatty["truncated"], json!(true));
        assert_eq!(log(&transaction(3, 10).executions)["truncated"], json!(false));
    }

    #[test]
    fn a_transaction_is_shown_whole() {
        let found = FoundTransaction {
            transaction: transaction(1, 1),
            included: None,
        };
        let shown = super::transaction(&found);
        assert_eq!(shown["script"], json!("QEBA"));
        assert_eq!(
            (&shown["height"], &shown["systemFee"], &shown["state"]),
            (&Value::Null, &json!("5"), &json!("HALT"))
        );
    }
}
