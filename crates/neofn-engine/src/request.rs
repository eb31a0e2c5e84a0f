//! What the use cases ask of the engine, and what it answers.

use crate::port::{InvocationRecord, Origin, Status};
use bytes::Bytes;
use neofn_event::Triggers;
use neofn_registry::port::Upon;
use neofn_registry::{FunctionRecord, SmokeTest, VersionRecord};
use neofn_types::{
    Caller, Diagnostic, Digest, Error, FunctionKey, Grants, InvocationId, Limits, RuntimeKind, TraceContext,
    UnitsBill, Version,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What of a function that others call, when it is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// It stays.
    Refuse,
    /// It goes all the same.
    Ignore,
}

/// What is deployed.
#[derive(Debug, Clone)]
pub enum Bundle {
    /// Text files by path relative to the project, npm packages under `node_modules/` included.
    Files(BTreeMap<String, String>),
    /// A WebAssembly module.
    Module(Bytes),
}

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// Which function.
    pub key: FunctionKey,
    /// Its code.
    pub bundle: Bundle,
    /// The file with the handler; for modules a name to show.
    pub main: String,
    /// Which runtime.
    pub runtime: RuntimeKind,
    /// Whether anybody may invoke it.
    pub public: bool,
    /// Already checked against the operator's.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// Events that run it, beside requests.
    pub on: Triggers,
    /// Smoke test.
    pub test: Option<SmokeTest>,
    /// What of the live version whoever deploys was judged by, or keeps.
    pub upon: Upon,
}

/// The stages of a deployment, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Parse and rules.
    Validate,
    /// Transform, bundle, minify; compile WebAssembly.
    Compile,
    /// Evaluate the module and keep its memory.
    Snapshot,
    /// The smoke test.
    Test,
    /// Move `live`.
    Publish,
}

/// What a deployment did.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The function as it is now.
    pub function: FunctionRecord,
    /// The version that is live now.
    pub version: VersionRecord,
    /// Whether the function is new.
    pub created: bool,
    /// Whether the content was live already.
    pub unchanged: bool,
    /// Findings that did not stop it.
    pub warnings: Vec<Diagnostic>,
    /// How long each stage took.
    pub timings: Vec<(Stage, Duration)>,
}

/// Why a deployment did not happen. The version that was live still is.
#[derive(Debug)]
pub struct DeployError {
    /// Where it stopped.
    pub stage: Stage,
    /// Why.
    pub error: Error,
    /// Findings, errors first.
    pub diagnostics: Vec<Diagnostic>,
    /// Console lines of the top level or of the smoke test.
    pub logs: Vec<String>,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Invoke {
    /// Which function; its live version runs.
    pub key: FunctionKey,
    /// JSON, already bounded and checked to be well formed.
    pub event: Bytes,
    /// `Idempotency-Key`.
    pub idempotency: Option<String>,
    /// What makes two calls with one key the same; nothing for the event.
    pub fingerprint: Option<Digest>,
    /// The caller's trace, or a new one.
    pub trace: TraceContext,
    /// What brought it about.
    pub origin: Origin,
    /// Who.
    pub caller: Option<Caller>,
}

/// The end of a synchronous call.
#[derive(Debug, Clone)]
pub struct Invoked {
    /// Its id.
    pub id: InvocationId,
    /// The version that ran.
    pub version: Version,
    /// JSON of the result, or why there is none.
    pub outcome: Result<Bytes, RunFailure>,
    /// One string per console call.
    pub logs: Vec<String>,
    /// What it was charged.
    pub units: UnitsBill,
    /// From admission to the end.
    pub duration: Duration,
    /// Whether this is the stored end of an earlier call with the same Idempotency-Key.
    pub replayed: bool,
}

/// Why a run has no result, in the user's own terms.
#[derive(Debug, Clone)]
pub struct RunFailure {
    /// From the catalogue.
    pub code: neofn_types::Code,
    /// `ReferenceError: x is not defined`.
    pub message: String,
    /// More exact than the catalogue's cure; empty for that.
    pub hint: String,
    /// `at handler (index.ts:3:10)`, in the user's own source.
    pub stack: Vec<String>,
    /// The source around the place that threw; empty for none.
    pub frame: String,
}

/// An accepted asynchronous call.
#[derive(Debug, Clone)]
pub struct Enqueued {
    /// Its id.
    pub id: InvocationId,
    /// `Queued`, or where the earlier one with the same Idempotency-Key is.
    pub status: Status,
}

/// What a replay showed.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// As it was.
    pub recorded: InvocationRecord,
    /// The version it ran on now.
    pub version: Version,
    /// As it is now.
    pub outcome: Result<Bytes, RunFailure>,
    /// One string per console call.
    pub logs: Vec<String>,
    /// What it would be charged.
    pub units: UnitsBill,
    /// The first host call that the recording does not hold.
    pub diverged: Option<String>,
}
