//! What the engine asks of a runtime, and what a running function asks of the engine.
//!
//! Knows nothing of registries, storage or projects: a job carries all it needs.

use async_trait::async_trait;
use bytes::Bytes;
use neofn_gas::HostCharge;
use neofn_types::{Code, Digest, RuntimeKind, UnitsBill, UnixMillis};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Code to be made ready: evaluated once (JavaScript) or compiled (WebAssembly).
#[derive(Debug, Clone)]
pub struct Prepare {
    /// Which runtime.
    pub kind: RuntimeKind,
    /// JavaScript: the bundled, minified ES module. WebAssembly: the module's bytes.
    pub code: Bytes,
    /// Memory of the sandbox; the snapshot is made for exactly this size.
    pub memory_bytes: u64,
    /// Wall clock for evaluating the top level.
    pub time: Duration,
    /// Fuel for evaluating the top level.
    pub fuel: u64,
}

/// The compiled form of a version. Its bytes are stored by digest and given back as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// Which engine made it and can run it: the hash of the guest, of its configuration and of the compiler.
    pub engine: Digest,
    /// Opaque; a format of the runtime with its own magic and version.
    pub bytes: Bytes,
}

/// One run.
pub struct Job {
    /// What to run. Its bytes may be left out while a [`Held`] of it is kept.
    pub artifact: Arc<Artifact>,
    /// JSON of the event.
    pub event: Bytes,
    /// What `ctx` says of this run.
    pub context: JobContext,
    /// Seeds Math.random and crypto randomness. Recorded.
    pub seed: [u8; 32],
    /// What Date.now answers until the first host call comes back. Recorded.
    pub started_at: UnixMillis,
    /// Wall clock, parked time included.
    pub time: Duration,
    /// Most units, base included.
    pub units: u64,
    /// Sizes and counts.
    pub limits: JobLimits,
    /// Answers host calls.
    pub host: Arc<dyn HostCalls>,
    /// When it is cancelled the run is ended as at its time limit: it answers what it used.
    pub given_up: CancellationToken,
}

/// What `ctx` says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobContext {
    /// `ctx.functionName`
    pub function: String,
    /// `ctx.projectId`
    pub project: String,
    /// `ctx.invocationId`
    pub invocation: String,
    /// `ctx.version`
    pub version: u32,
    /// `ctx.attempt`
    pub attempt: u32,
    /// Names of granted services, such as `kv`. The node checks again; this is for a good message.
    pub grants: Vec<String>,
}

/// Bounds of a run beside units and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLimits {
    /// Bytes of log text kept; beyond it one line says how many were cut.
    pub logs_bytes: u32,
    /// Bytes of the result's JSON.
    pub result_bytes: u32,
    /// Host calls, logging not counted.
    pub host_calls: u32,
    /// Bytes of input of one host call.
    pub host_input_bytes: u32,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            logs_bytes: 64 << 10,
            result_bytes: 1 << 20,
            host_calls: 1_000,
            host_input_bytes: 1 << 20,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// JSON of the result, or why there is none.
    pub outcome: Result<Bytes, Failure>,
    /// One string per console call, `[LOG] …`.
    pub logs: Vec<String>,
    /// What it is charged.
    pub units: UnitsBill,
    /// Fuel that instructions used.
    pub fuel: u64,
    /// High-water mark of memory above the snapshot's.
    pub memory_bytes: u64,
    /// Time from being handed to a sandbox to the answer.
    pub duration: Duration,
    /// Which memory layout served it: `r1cow`, `d3` or `wasm`. For metrics.
    pub layout: Layout,
}

/// Which memory layout served a run. Never changes a result or a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A live instance; dirtied pages were copied back.
    R1cow,
    /// A pooled instance of the shared engine; the function's pages were copied in.
    D3,
    /// A pooled instance of the user's own module.
    Wasm,
}

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// From the catalogue (NF02, NF05).
    pub code: Code,
    /// Public: `ReferenceError: x is not defined`.
    pub message: String,
    /// Raw stack in generated positions: `at handler (fn.js:1:162)`; empty for none.
    pub stack: Vec<Frame>,
}

/// One line of a stack, in the generated code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Function name, may be empty.
    pub function: String,
    /// File as the engine names it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// Why code could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The code's own fault; goes to the user.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Failure),
    /// Ours: the child died or could not be started.
    #[error("sandbox unavailable: {0}")]
    Unavailable(String),
    /// Nobody could be asked; the code says why, and what an operator does about it.
    #[error("{}: {}", .0.code, .0.message)]
    Nobody(Failure),
}

/// Runs functions.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// The identity of the engine for a kind.
    fn engine(&self, kind: RuntimeKind) -> Digest;
    /// Evaluates or compiles code in a jailed child. Answers the artifact and the console lines of the top level.
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError>;
    /// Runs a job in a fresh sandbox. Never fails otherwise than in `Completed::outcome`;
    /// a lost child is `Code::SandboxLost`, an artifact of another engine `Code::EngineMismatch`.
    async fn invoke(&self, job: Job) -> Completed;
    /// Keeps an artifact that the runtime still has from being forgotten; none: it needs the bytes again.
    fn hold(&self, artifact: &Digest) -> Option<Held>;
    /// Whether the runtime has an artifact at the moment. Looking does not keep it.
    fn is_warm(&self, artifact: &Digest) -> bool;
    /// How it is doing, for /health, /metrics and doctor.
    fn status(&self) -> RuntimeStatus;
    /// Runs under way, for lists of nodes.
    fn running(&self) -> u32 {
        0
    }
    /// Whether a run would begin at once. Queued work waits while it would not.
    fn has_room(&self) -> bool {
        true
    }
}

/// An artifact that the runtime has, and does not forget while this is kept.
pub struct Held(#[expect(dead_code, reason = "it is kept, not read")] Box<dyn Any + Send + Sync>);

impl Held {
    /// Whatever stands for the claim; its drop ends it.
    #[must_use]
    pub fn new(claim: impl Any + Send + Sync) -> Self {
        Self(Box::new(claim))
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// Counters and gauges of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuntimeStatus {
    /// Sandbox children alive.
    pub children: u32,
    /// Children replaced after they died.
    pub restarts: u64,
    /// Runs served by a live instance.
    pub hot_calls: u64,
    /// Runs served by a pooled instance.
    pub cold_calls: u64,
    /// Versions that have live instances.
    pub hot_versions: u32,
    /// Resident memory of the children, bytes.
    pub resident_bytes: u64,
}

impl RuntimeStatus {
    /// Runs served by either.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.hot_calls.saturating_add(self.cold_calls)
    }
}

/// A host call that leaves the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCall {
    /// Counts from 0 within the run.
    pub seq: u32,
    /// What to do.
    pub op: HostOp,
    /// JSON of the arguments; shape by `op`, see docs/reference/host-calls.
    pub input: Bytes,
    /// Units that this run had left when it asked; calls under way may use up some of them.
    pub units_left: u64,
    /// Calls of ctx.invoke that were made together and are still to be served, this one included: they share.
    pub sharing: u32,
}

/// The services behind host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostOp {
    /// `{key}` -> `{value, revision}` or null
    KvGet,
    /// `{key, value, ifRevision?: number | null, ttlMs?}` -> `{revision: null}`; null means "must be absent"
    KvPut,
    /// `{key, ifRevision?}` -> `{deleted}`
    KvDelete,
    /// `{prefix, cursor?, limit?}` -> `{entries: [{key, value, revision}], cursor}`
    KvList,
    /// `{key, by}` -> `{value}`
    KvCounter,
    /// `{function, event}` -> the callee's result
    Invoke,
    /// `{}` -> `{height, hash, time, network}`
    NeoHead,
    /// `{height}` -> a block, bounded
    NeoBlock,
    /// `{hash}` -> a transaction, and where it is
    NeoTransaction,
    /// `{hash}` -> what a transaction did, bounded
    NeoLog,
    /// `{token, account}` -> `{amount}`
    NeoBalance,
    /// `{account, token?, from?, to?}` -> `{transfers, from, to}`
    NeoTransfers,
    /// `{contract, method, args}` -> `{value}`: the result by the manifest's type
    NeoRead,
    /// `{contract, method, args}` -> how the call would end
    NeoCall,
    /// `{script}` -> `{instructions}`
    NeoDecode,
    /// `{contract, method, args, gas?, confirm?}` -> the transaction
    NeoInvoke,
    /// `{type, data?, subject?, ...}` -> `{id}`
    Emit,
    /// `{name}` -> `{handle}`, or `{value, version}` where the value itself is granted
    SecretGet,
    /// `{name, value}` -> `{version}`
    SecretRotate,
    /// `{url, method, headers, body?, bodyBase64?, redirect?, timeoutMs?}` ->
    /// `{url, redirected, status, statusText, headers, body}` or with `bodyBase64`
    Fetch,
}

impl HostOp {
    /// What it is charged as.
    #[must_use]
    pub const fn charge(self) -> HostCharge {
        match self {
            Self::KvGet => HostCharge::KvGet,
            Self::KvPut => HostCharge::KvPut,
            Self::KvDelete => HostCharge::KvDelete,
            Self::KvList => HostCharge::KvList,
            Self::KvCounter => HostCharge::KvCounter,
            Self::Invoke => HostCharge::Invoke,
            Self::NeoHead
            | Self::NeoBlock
            | Self::NeoTransaction
            | Self::NeoLog
            | Self::NeoBalance
            | Self::NeoTransfers
            | Self::NeoRead
            | Self::NeoCall
            | Self::NeoDecode => HostCharge::ChainRead,
            Self::NeoInvoke => HostCharge::ChainWrite,
            Self::Emit => HostCharge::Emit,
            Self::SecretGet | Self::SecretRotate => HostCharge::Secret,
            Self::Fetch => HostCharge::Fetch,
        }
    }
    /// The grant that it needs, by its name in [`JobContext::grants`].
    #[must_use]
    pub const fn grant(self) -> Option<&'static str> {
        match self {
            Self::KvGet | Self::KvPut | Self::KvDelete | Self::KvList | Self::KvCounter => Some("kv"),
            // calling a function of one's own project, or telling it something, can do nothing that its own grants forbid
            Self::Invoke | Self::Emit => None,
            Self::NeoHead
            | Self::NeoBlock
            | Self::NeoTransaction
            | Self::NeoLog
            | Self::NeoBalance
            | Self::NeoTransfers
            | Self::NeoRead
            | Self::NeoCall
            | Self::NeoDecode => Some("chain"),
            Self::NeoInvoke => Some("chain-write"),
            Self::SecretGet | Self::SecretRotate => Some("secrets"),
            Self::Fetch => Some("net"),
        }
    }
    /// By its number in prelude.js.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::KvGet,
            1 => Self::KvPut,
            2 => Self::KvDelete,
            3 => Self::KvList,
            4 => Self::KvCounter,
            5 => Self::Invoke,
            6 => Self::NeoHead,
            7 => Self::NeoBlock,
            8 => Self::NeoTransaction,
            9 => Self::NeoLog,
            10 => Self::NeoBalance,
            11 => Self::NeoTransfers,
            12 => Self::NeoRead,
            13 => Self::NeoCall,
            14 => Self::NeoDecode,
            15 => Self::NeoInvoke,
            16 => Self::Emit,
            17 => Self::SecretGet,
            18 => Self::SecretRotate,
            19 => Self::Fetch,
            _ => return None,
        })
    }
}

/// The answer to a host call. Recorded, in the order of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReply {
    /// JSON that the promise resolves with, or the error that it rejects with.
    pub result: Result<Bytes, HostError>,
    /// What Date.now answers from here on.
    pub now: UnixMillis,
    /// Units to charge on top of the schedule's price: a callee's own.
    pub units: u64,
}

/// The error that a host call's promise rejects with; `error.code` in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostError {
    /// From the catalogue.
    pub code: Code,
    /// Public.
    pub message: String,
}

/// Does what a running function asks for, after checking its grants.
#[async_trait]
pub trait HostCalls: Send + Sync {
    /// Must not block. Dropped when the run ends before the answer.
    async fn call(&self, call: HostCall) -> HostReply;
}
