//! Messages of the control socket: one packet each, with the descriptors that they speak of.
//!
//! What the node gives is in sealed memory files (see [`super::fds`]); what a child gives comes in pieces, because its
//! jail lets it write no file.

use crate::port::Failure;
use neofn_types::{Digest, RuntimeKind};
use serde::{Deserialize, Serialize};

/// The child's first packet: whether it is confined and listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hello {
    /// Confined as asked for; the text names the tier, for doctor and /health.
    Ready {
        /// Strength of the confinement.
        tier: String,
    },
    /// It could not be confined as asked for and has ended.
    Refused {
        /// Which part is missing.
        reason: String,
    },
}

/// What the node wants. Descriptors come in the order named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Map the engine and begin to serve calls: module, base image.
    LoadEngine {
        /// Instances that the pool of the shared engine holds.
        slots: u32,
        /// Live instances, idle, running and waiting, over all versions.
        live_max: u32,
        /// Idle live instances kept, over all versions.
        live_idle_max: u32,
        /// Memory of all runs together; above it the largest run ends.
        run_bytes_max: u64,
    },
    /// Make a version callable under this number: its artifact.
    Load {
        /// Number for calls, unique within the node's life.
        version: u32,
        /// Which engine runs it.
        kind: RuntimeKind,
    },
    /// Serve a version from live instances: its full memory image.
    Promote {
        /// Which.
        version: u32,
    },
    /// Drop a version's live instances.
    Demote {
        /// Which.
        version: u32,
    },
    /// Forget a version. No call of it may be under way.
    Unload {
        /// Which.
        version: u32,
    },
    /// Evaluate a module once: its code. Gives the artifact and a [`PrepareReport`].
    Prepare {
        /// Memory of the sandbox.
        memory_bytes: u64,
        /// Fuel for the top level.
        fuel: u64,
        /// Wall clock for the top level.
        time_us: u64,
    },
    /// Compile the engine. Gives module and base image.
    BuildEngine,
    /// Compile a user's WebAssembly: its bytes. Gives the artifact and a [`PrepareReport`].
    CompileWasm {
        /// Memory of the sandbox.
        memory_bytes: u64,
    },
}

/// A packet of an answer: pieces of files, then the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope<'a> {
    /// The next bytes of a file.
    Piece {
        /// Which file.
        file: u8,
        /// Its next bytes.
        #[serde(borrow)]
        bytes: &'a [u8],
    },
    /// Nothing follows.
    End(Reply),
}

/// The compiled engine.
pub const FILE_MODULE: u8 = 0;
/// The image of the initialised engine.
pub const FILE_BASE: u8 = 1;
/// A version's artifact.
pub const FILE_ARTIFACT: u8 = 2;
/// A [`PrepareReport`].
pub const FILE_REPORT: u8 = 3;
/// How many there are.
pub const FILES: usize = 4;
/// Largest of them.
pub const FILE_BYTES_MAX: usize = 96 << 20;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done as asked.
    Done,
    /// The engine was given.
    Built {
        /// What it is.
        identity: Digest,
    },
    /// Not done. For the log.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A request or reply with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// A reply carries its request's.
    pub number: u32,
    /// What is said.
    pub body: T,
}

/// What became of a preparation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PrepareReport {
    /// Why there is no artifact.
    pub failure: Option<Failure>,
    /// Console lines of the top level.
    pub logs: Vec<String>,
}
