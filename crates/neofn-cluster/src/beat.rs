//! What a node says of itself, every second, as JSON: any NATS client can read it.

use neofn_runtime::port::RuntimeStatus;
use neofn_types::{Digest, RuntimeKind, UnixMillis};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two of them.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// A node that was not heard of for so long is gone.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(3_500);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Edges, engine, store.
    Gateway,
    /// Sandboxes alone.
    Worker,
}

impl Role {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        }
    }
}

/// What does not change while a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Another one at every start, unless its operator named it.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// The machine's name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Of the binary.
    pub version: String,
    /// The form of the messages between nodes; only equal ones work together.
    pub protocol: u32,
    /// Since when it is there.
    pub started_at: UnixMillis,
    /// How tenants' code is confined there.
    pub jail: String,
    /// Whether it was told to run without confinement.
    pub insecure: bool,
    /// Which runtimes it has, and the engine of each.
    pub engines: Vec<(RuntimeKind, Digest)>,
    /// Cores.
    pub cores: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Most runs at once; beyond it a run is refused.
    pub runs_max: u32,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Who.
    #[serde(flatten)]
    pub seat: Seat,
    /// Runs at the moment.
    pub running: u32,
    /// Runs since the start.
    pub runs: u64,
    /// Whether it takes no new work.
    pub draining: bool,
    /// Its sandboxes.
    pub sandboxes: RuntimeStatus,
}
