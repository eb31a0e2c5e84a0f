//! The nodes of a cluster, and what waits between them.

use crate::WaitView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// GET `/api/v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ServiceList {
    /// The nodes that this one knows to be there, itself among them.
    pub nodes: Vec<NodeView>,
    /// Messages on their way into the store; none without NATS.
    pub queues: Vec<QueueView>,
    /// What only one node does at a time, and which one that is.
    #[serde(default)]
    pub leases: Vec<LeaseView>,
    /// Functions with accepted work, those first whose work has waited longest; at most fifty.
    #[serde(default)]
    pub lanes: Vec<LaneView>,
    /// How far behind all of it is; absent from a node that cannot read its store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<LagView>,
    /// The first NATS server; absent on a node without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<String>,
    /// Whether it is connected at the moment; absent on a node without NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// What an operator has to mend: a stream that is another one, two nodes under one name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Another one at every start.
    pub id: String,
    /// `gateway` or `worker`.
    pub role: String,
    /// The machine's name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Of the binary.
    pub version: String,
    /// Since when it is there.
    pub started_at: String,
    /// Why this gateway never gives it a run; absent where it does, and for gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
    /// Why this gateway gives it no runs for the moment; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<String>,
    /// Whether it takes no new work.
    pub draining: bool,
    /// Runs at the moment.
    pub running: u32,
    /// Most runs at once.
    pub runs_max: u32,
    /// Runs since the start.
    pub runs: u64,
    /// Functions that are kept warm there.
    pub warm: u32,
    /// Sandbox processes.
    pub sandboxes: u32,
    /// Which runtimes it has.
    pub runtimes: Vec<String>,
    /// Cores.
    pub cores: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// How tenants' code is confined there.
    pub jail: String,
    /// Whether it was told to run without confinement.
    pub insecure: bool,
    /// The confidential hardware it says that it runs in: `sev-snp`, `tdx`, `sgx` or `nitro`. Absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enclave: Option<String>,
}

/// What only one node does at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseView {
    /// `triggers` (reads the chain, makes the runs of time), `transactions` (follows them), `bank`, `audit`.
    pub name: String,
    /// The id of the node that does it.
    pub holder: String,
    /// Until when, unless it is renewed; another node takes it then.
    pub until: String,
    /// How long that is, in milliseconds.
    pub left_ms: u64,
    /// Grows each time that it changes hands.
    pub fence: u64,
}

/// A function's accepted work. Its lane is the order in which its name's hash has the workers: its home gets a run while a
/// core is free there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneView {
    /// Its project.
    pub project: String,
    /// Its name.
    pub function: String,
    /// Due, and not begun.
    pub waiting: u64,
    /// To be tried again at a later time.
    pub later: u64,
    /// Being run, whichever gateway had it.
    pub running: u64,
    /// How long the oldest of those that wait has waited, in milliseconds; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// The worker that gets its runs first; absent where the gateway runs functions itself, and without a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// What holds those that wait back on the gateway that was asked; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitView>,
}

/// How far behind everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LagView {
    /// Accepted work that has not begun, that which is to be tried again later too.
    pub queued: u64,
    /// Work that is being run.
    pub running: u64,
    /// How long the work that has waited longest has waited, in milliseconds; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// Blocks of the chain that no trigger was matched against yet; absent without a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
}

/// Messages that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// `jobs` or `events`.
    pub name: String,
    /// Nobody has them yet.
    pub waiting: u64,
    /// A gateway works on them.
    pub taken: u64,
    /// How long the oldest of all these has been there, in milliseconds; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
}

/// GET `/api/v1/services/{project}`: a page of its functions, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Catalogue {
    /// Where to call each, and how ready it is; `nodes` is left out.
    pub functions: Vec<FunctionService>,
    /// Names the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// GET `/api/v1/services/{project}/{function}`: a function as something to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FunctionService {
    /// Its project.
    pub project: String,
    /// Its name.
    pub function: String,
    /// `js` or `wasm`.
    pub runtime: String,
    /// The live version.
    pub version: u32,
    /// Whether it may be invoked.
    pub is_active: bool,
    /// Whether anybody may invoke it.
    pub public: bool,
    /// Where it is invoked over HTTP.
    pub http: String,
    /// Where it is invoked over NATS; absent on a node without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<String>,
    /// Nodes that run it, as far as this one knows.
    pub able: u32,
    /// Of these, those that have the live version ready.
    pub warm: u32,
    /// These nodes, the warm ones first; one function at a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<PlaceView>,
}

/// A node that runs a function. What it is beyond that, operators see under `/api/v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// Its id.
    pub id: String,
    /// Whether it has the live version ready.
    pub warm: bool,
    /// Whether it takes no run at the moment: it is full, or goes.
    pub busy: bool,
}
