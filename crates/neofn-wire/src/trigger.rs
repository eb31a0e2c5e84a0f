//! Triggers, the events that reached them, and those that failed for good.

use crate::InvocationView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A trigger of a live version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriggerView {
    /// `project/function/name`
    pub id: String,
    /// Its function.
    pub function: String,
    /// Its name within the function.
    pub name: String,
    /// `block`, `transaction`, `notification`, `execution`, `cron`, `event` or `http`.
    pub kind: String,
    /// As a deployment writes it.
    #[schema(value_type = Object)]
    pub on: serde_json::Value,
    /// The version that it belongs to.
    pub version: u32,
    /// `running` or `paused`.
    pub status: String,
    /// Why it is paused, when nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Blocks behind the newest one; absent for kinds that wait for no block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// The next block, when it stands elsewhere than the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Events that matched, ever.
    pub matched: u64,
    /// Blocks that were left out because it lagged.
    pub skipped: u64,
    /// ISO 8601, when the last event matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_at: Option<String>,
}

/// Answer of GET `/api/v1/triggers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriggerList {
    /// By function and name.
    pub triggers: Vec<TriggerView>,
}

/// Body of PATCH `/api/v1/triggers/{project}/{function}/{trigger}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerPatch {
    /// `paused` or `running`.
    pub status: String,
    /// With `running`: `latest` goes on with the next block; absent: where it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A condition of a trigger on something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConditionView {
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

/// Something of the trigger's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateView {
    /// The id that its event has, or would have.
    pub event_id: String,
    /// What it is, in a line.
    pub what: String,
    /// Whether it meets every condition.
    pub matched: bool,
    /// Every condition.
    pub conditions: Vec<ConditionView>,
}

/// Why a trigger takes a transaction or a block, or which condition fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriggerTest {
    /// `project/function/name`
    pub trigger: String,
    /// Its kind.
    pub kind: String,
    /// Whether anything matched.
    pub matched: bool,
    /// What there was of its kind, best first.
    pub candidates: Vec<CandidateView>,
    /// How many more there were.
    pub left_out: u64,
}

/// Body of POST `…/backtest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestRequest {
    /// The first block.
    pub from: u64,
    /// The last block.
    pub to: u64,
}

/// What would have fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BacktestView {
    /// `project/function/name`
    pub trigger: String,
    /// The first block.
    pub from: u64,
    /// The last block that was read.
    pub to: u64,
    /// How often it would have fired.
    pub matched: u64,
    /// The first events.
    #[schema(value_type = Vec<Object>)]
    pub samples: Vec<serde_json::Value>,
    /// Units of one invocation, measured on the first events; absent when nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_each: Option<u64>,
    /// Units of all of them together, estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// Fees of the transactions that one invocation would send, datoshi; absent as `units_each` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fees_each: Option<String>,
    /// Fees of all of them together, datoshi, estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fees: Option<String>,
    /// How many events were run to measure it.
    pub measured: u32,
    /// Why the first run that failed did, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What became of one published event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedEvent {
    /// The event's id.
    pub id: String,
    /// The triggers that it reached.
    pub deliveries: Vec<PublishedDelivery>,
}

/// An event at a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedDelivery {
    /// `project/function/name`
    pub trigger: String,
    /// The invocation that it is, or will be part of.
    #[serde(rename = "invocationId")]
    pub invocation_id: String,
    /// Whether the same event had come before.
    pub duplicate: bool,
}

/// 202 of POST `/api/v1/events`: the events are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishAnswer {
    /// In the order that they were sent.
    pub events: Vec<PublishedEvent>,
}

/// An invocation and the event that caused it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FiredView {
    /// The trigger's name within the function; absent for dead letters that no trigger caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The block that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The event; of a batch, all of them.
    #[schema(value_type = Object)]
    pub event: Box<serde_json::value::RawValue>,
    /// How it went.
    pub invocation: InvocationView,
}

/// Answer of GET `/api/v1/events` and GET `/api/v1/deadletters`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FiredList {
    /// Newest first.
    pub events: Vec<FiredView>,
    /// Of dead letters: messages of NATS that could never work, on the first page alone, and no more than `limit` of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<DeadMessage>,
    /// Cursor of the next page; null at the end.
    pub next: Option<String>,
}

/// A message of NATS that could never work. There is nothing to retry: its sender has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadMessage {
    /// What the request is called; `function.result.ID` has its refusal, too.
    pub id: String,
    /// Where it was sent to.
    pub subject: String,
    /// A code and a sentence.
    pub reason: String,
    /// When it was refused.
    pub at: String,
    /// Its `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The beginning of what was sent.
    pub payload: String,
}

/// Body of POST `/api/v1/deadletters/retry` and `…/drop`: one of them by `id`, or all of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterRequest {
    /// One invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All of a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// All of a trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// All from this block on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// All up to this block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Really all of the project.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// What was done to dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterAnswer {
    /// The invocations.
    pub ids: Vec<String>,
    /// Whether there are more of them; ask again.
    pub more: bool,
}
