//! The node itself.

use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::ToSchema;

/// GET `/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `draining`.
    pub status: String,
    /// Seconds since the start.
    pub uptime: f64,
    /// Ended invocations, ever.
    #[serde(rename = "totalInvocations")]
    pub total_invocations: u64,
    /// With a result.
    #[serde(rename = "successfulInvocations")]
    pub successful_invocations: u64,
    /// Without.
    #[serde(rename = "failedInvocations")]
    pub failed_invocations: u64,
    /// Of the binary.
    pub version: String,
    /// How tenants' code is confined.
    pub jail: JailView,
    /// The chain that this node follows; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHealth>,
}

/// How the chain is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainHealth {
    /// The number of the network.
    pub network: u32,
    /// The newest block.
    pub height: u64,
    /// Blocks that are not matched yet.
    pub lag: u64,
    /// Why blocks are not read at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How tenants' code is confined on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailView {
    /// `namespaces`, `landlock`, `seccomp` or `none`.
    pub tier: String,
    /// Whether the node was told to run without confinement.
    pub insecure: bool,
}

/// GET `/ready`; 503 while not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether it takes work.
    pub ready: bool,
    /// What is missing.
    pub reasons: Vec<String>,
}

/// What `neofn up --json` prints once, on standard output, when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyLine {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// The file that holds the admin key alone.
    pub admin_key_file: String,
    /// `127.0.0.1:PORT`, where gRPC is served; absent when it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// The servers of `[nats]`, without what is secret in their addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<String>,
    /// The chain, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ReadyChain>,
}

/// What `neofn worker --json` prints once, on standard output, when it takes runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReady {
    /// As `neofn cluster status` lists it.
    pub id: String,
    /// The first NATS server.
    pub nats: String,
}

/// The chain of a node that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyChain {
    /// An address of JSON-RPC.
    pub rpc: String,
    /// Of a development chain: a NEP-6 file with a funded account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// `runtime.json`, left by a running node in its data directory and in the user's state directory (0600).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFile {
    /// Where it listens.
    pub url: String,
    /// The file that holds the admin key alone.
    pub admin_key_file: String,
    /// Its process.
    pub pid: u32,
    /// The certificate that it shows; none without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
}

impl RuntimeFile {
    /// Whether the node that left this still runs: the process has files of the data directory open. Its number alone
    /// says little, for it may be another program's by now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let data = Path::new(&self.admin_key_file)
            .parent()
            .and_then(|dir| dir.canonicalize().ok());
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        let (Some(data), Ok(open)) = (data, open) else {
            return false;
        };
        open.flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|file| file.starts_with(&data))
    }
}

/// Answer of POST `/api/v1/functions/{project}/{function}/estimate`: what an event would cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// Measured by a run that was not recorded, charged or committed.
    pub units: crate::UnitsView,
    /// Whether that run succeeded.
    pub success: bool,
    /// Of a failure, from the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The version.
    pub version: u32,
}
