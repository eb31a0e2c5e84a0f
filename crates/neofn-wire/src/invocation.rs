//! Invoking, and what is known of an invocation afterwards.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Units by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
pub struct UnitsView {
    /// All together.
    pub total: u64,
    /// For being run at all.
    pub base: u64,
    /// Executed instructions.
    pub compute: u64,
    /// Memory above the snapshot's.
    pub memory: u64,
    /// Host calls and logging.
    pub host: u64,
    /// Version of the price list.
    pub schedule: u32,
}

/// 200 of an invocation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InvokeAnswer {
    /// Always true.
    pub success: bool,
    /// What the handler returned; null for undefined.
    #[schema(value_type = Object)]
    pub result: Box<serde_json::value::RawValue>,
    /// Milliseconds.
    pub duration: f64,
    /// One string per console call.
    pub logs: Vec<String>,
    /// Its id.
    #[serde(rename = "invocationId")]
    pub invocation_id: String,
    /// The version that ran.
    pub version: u32,
    /// What it was charged.
    pub units: UnitsView,
}

/// 202 of an asynchronous invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// Its id; GET `/api/v1/invocations/{id}` tells how it goes.
    #[serde(rename = "invocationId")]
    pub invocation_id: String,
    /// `queued`, or where an earlier one with the same Idempotency-Key is.
    pub status: String,
}

/// An invocation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InvocationView {
    /// Its id.
    pub id: String,
    /// `queued`, `running`, `succeeded`, `failed` or `dead`.
    pub status: String,
    /// Project and function.
    pub project: String,
    /// Project and function.
    pub function: String,
    /// The version.
    pub version: u32,
    /// Tries so far.
    pub attempt: u32,
    /// `sync`, `async`, `chain` (another function), `http`, `replay`, `block`, `cron` or `event`.
    pub origin: String,
    /// Who: as in a statement of charges. Only where one invocation is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Whether it succeeded; absent while it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Of a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<serde_json::value::RawValue>>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Vec<String>>,
    /// Milliseconds, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// One string per console call.
    pub logs: Vec<String>,
    /// What it was charged.
    pub units: UnitsView,
    /// W3C trace id, hex.
    #[serde(rename = "traceId")]
    pub trace_id: String,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// ISO 8601, while it waits for its next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// What it waits for, while it is queued; only when one invocation is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitView>,
}

/// Why a queued invocation does not run yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitView {
    /// `not_before`, `disabled`, `turn`, `function_limit`, `project_limit`, `queue_limit`, `node_limit`,
    /// `paused` or `draining`.
    pub reason: String,
    /// The same in words, with what to do.
    pub message: String,
    /// ISO 8601, with `not_before` and `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Claimed invocations before it, with `turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Runs that count towards the limit, with a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u32>,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// Invocations of a function, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InvocationList {
    /// Newest first.
    pub invocations: Vec<InvocationView>,
    /// Cursor of the next page; null at the end.
    pub next: Option<String>,
}

/// One ended invocation in a log: an item of GET `…/logs`, the `data` of its server-sent events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEvent {
    /// Its id.
    #[serde(rename = "invocationId")]
    pub invocation_id: String,
    /// When it ended, ISO 8601.
    pub time: String,
    /// The version.
    pub version: u32,
    /// `succeeded`, `failed`, `dead`, or `queued` when it will be tried again.
    pub status: String,
    /// One string per console call.
    pub logs: Vec<String>,
    /// Milliseconds.
    pub duration: f64,
    /// Units in all.
    pub units: u64,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Vec<String>>,
}

/// Answer of GET `…/logs` without `?follow`: ended invocations, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogList {
    /// The newest `limit` of them, oldest first.
    pub logs: Vec<LogEvent>,
    /// Give this as `after` to see what came later; absent when there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// Body of POST `/api/v1/invocations/{id}/replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The version to run it on; absent: the one that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// One side of a replay.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplaySide {
    /// The version.
    pub version: u32,
    /// Of a success.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<serde_json::value::RawValue>>,
    /// Of a failure: `NF0201: Error: no`.
    pub error: Option<String>,
    /// One string per console call.
    pub logs: Vec<String>,
    /// What it was charged.
    pub units: UnitsView,
}

/// What a replay showed. Nothing is written: no charge, no kv, no call to another function.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplayResponse {
    /// Whether result, logs and units are the same.
    pub identical: bool,
    /// Host calls that the recording does not hold, if the code now asks for other things.
    pub diverged: Option<String>,
    /// As it was.
    pub recorded: ReplaySide,
    /// As it is now.
    pub replayed: ReplaySide,
}
