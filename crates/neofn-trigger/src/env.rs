//! What filters see of a block, and of a CloudEvent.

use crate::calls::called_contracts;
use crate::decode::stack_value;
use neofn_chain::model::{Block, Execution, Notification, TransactionInfo};
use neofn_event::filter::{Env, Field, Parameter, ParameterType, Value};
use neofn_event::{CloudEvent, Data};
use neofn_types::{Hash256, ScriptHash};
use std::borrow::Cow;
use std::cell::OnceCell;

/// Something in a block, with all that stands around it.
#[derive(Clone, Copy)]
pub(crate) struct Item<'b> {
    pub(crate) block: &'b Block,
    /// Its transaction and the position of that; none for what the block does itself.
    pub(crate) transaction: Option<(usize, &'b TransactionInfo)>,
    /// The execution and its position.
    pub(crate) execution: Option<(usize, &'b Execution)>,
    /// The notification and its position.
    pub(crate) notification: Option<(usize, &'b Notification)>,
}

/// An item for the filters of all triggers that know its parameters alike: they are converted once, when asked for.
pub(crate) struct ItemEnv<'b> {
    item: Item<'b>,
    parameters: Option<&'b [Parameter]>,
    args: OnceCell<Vec<Value>>,
}

fn hash(hash: ScriptHash) -> Value {
    Value::Bytes(hash.0.to_vec())
}
fn hash256(hash: Hash256) -> Value {
    Value::Bytes(hash.0.to_vec())
}
fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

impl<'b> ItemEnv<'b> {
    pub(crate) fn new(item: Item<'b>, parameters: Option<&'b [Parameter]>) -> Self {
        Self {
            item,
            parameters,
            args: OnceCell::new(),
        }
    }

    fn args(&self) -> &[Value] {
        self.args.get_or_init(|| {
            let state = self
                .item
                .notification
                .map_or(&[][..], |(_, n)| n.state.as_slice());
            let named = |index: usize| self.parameters.and_then(|p| p.get(index));
            let typed = |(index, item)| stack_value(item, named(index).map_or(ParameterType::Any, |p| p.ty));
            state.iter().enumerate().map(typed).collect()
        })
    }

    fn find(&self, field: Field) -> Option<Value> {
        let Item {
            block,
            transaction,
            execution,
            notification,
        } = self.item;
        let tx = transaction.map(|(_, tx)| tx);
        let execution = execution.map(|(_, execution)| execution);
        let notification = notification.map(|(_, notification)| notification);
        Some(match field {
            Field::BlockHeight => Value::int(block.height),
            Field::BlockHash => hash256(block.hash),
            Field::BlockTime => Value::int(block.time.0),
            Field::BlockTransactions => Value::int(block.transactions.len()),
            Field::TxHash => hash256(tx?.hash),
            Field::TxIndex => Value::int(transaction?.0),
            Field::TxSender => hash(tx?.sender),
            Field::TxSigners => Value::Array(tx?.signers.iter().map(|s| hash(s.account)).collect()),
            Field::TxCalls => Value::Array(called_contracts(&tx?.script).into_iter().map(hash).collect()),
            Field::TxSystemFee => Value::int(tx?.system_fee.0),
            Field::TxNetworkFee => Value::int(tx?.network_fee.0),
            Field::State => text(execution?.state.as_str()),
            Field::GasConsumed => Value::int(execution?.gas.0),
            Field::Exception => text(execution?.exception.as_deref()?),
            Field::Result => {
                let stack = &execution?.stack;
                Value::Array(stack.iter().map(|i| stack_value(i, ParameterType::Any)).collect())
            }
            Field::Contract => hash(notification?.contract),
            Field::EventName => text(&notification?.name),
            Field::Args => Value::Array(self.args().to_vec()),
            Field::Id
            | Field::Type
            | Field::Source
            | Field::Subject
            | Field::Time
            | Field::Extensions
            | Field::Data => return None,
        })
    }
}

impl Env for ItemEnv<'_> {
    fn arg(&self, index: usize) -> Cow<'_, Value> {
        self.args()
            .get(index)
            .map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }
    fn field(&self, field: Field) -> Cow<'_, Value> {
        Cow::Owned(self.find(field).unwrap_or(Value::Null))
    }
}

/// A CloudEvent; its data is converted once, however many filters look at it.
pub(crate) struct EventEnv<'e> {
    event: &'e CloudEvent,
    data: OnceCell<Value>,
}

impl<'e> EventEnv<'e> {
    pub(crate) fn new(event: &'e CloudEvent) -> Self {
        Self {
            event,
            data: OnceCell::new(),
        }
    }
}

impl Env for EventEnv<'_> {
    fn arg(&self, _: usize) -> Cow<'_, Value> {
        Cow::Owned(Value::Null)
    }
    fn field(&self, field: Field) -> Cow<'_, Value> {
        let optional = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        Cow::Owned(match field {
            Field::Id => text(&self.event.id),
            Field::Type => text(&self.event.ty),
            Field::Source => text(&self.event.source),
            Field::Subject => optional(&self.event.subject),
            Field::Time => optional(&self.event.time),
            Field::Extensions => Value::Map(
                self.event
                    .extensions
                    .iter()
                    .map(|(name, value)| (text(name), Value::from_json(value)))
                    .collect(),
            ),
            Field::Data => {
                return Cow::Borrowed(self.data.get_or_init(|| match &self.event.data {
                    Data::None => Value::Null,
                    Data::Json(json) => Value::from_json(json),
                    Data::Binary(bytes) => Value::Bytes(bytes.clone()),
                }));
            }
            _ => Value::Null,
        })
    }
}
