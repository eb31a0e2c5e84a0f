//! What a manifest says, once it is known to be right.

use neofn_event::Triggers;
use neofn_types::{FunctionName, Grants, Limits, ProjectName, RuntimeKind, Units};
use std::collections::BTreeMap;

/// A whole `neofn.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The project; `default` when the file does not say.
    pub project: ProjectName,
    /// Its functions by name.
    pub functions: BTreeMap<FunctionName, FunctionConfig>,
}

/// One `[function.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionConfig {
    /// The file with the handler, relative to the manifest, with `/` between its parts and no `..`.
    pub main: String,
    /// Which runtime executes it.
    pub runtime: RuntimeKind,
    /// Whether it may be invoked without credentials.
    pub public: bool,
    /// Limits that differ from the defaults.
    pub limits: FunctionLimits,
    /// Services that it may use.
    pub allow: Grants,
    /// Events that run it, beside requests.
    pub on: Triggers,
    /// A run that must succeed before a version goes live.
    pub test: Option<SmokeTest>,
}

/// Limits; what is absent has the node's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FunctionLimits {
    /// Units a run may be charged.
    pub units: Option<Units>,
    /// Wall clock.
    pub time_ms: Option<u64>,
    /// Memory of the sandbox.
    pub memory_bytes: Option<u64>,
    /// Runs at the same time.
    pub concurrency: Option<u32>,
}

impl FunctionLimits {
    /// These limits with the defaults filled in.
    #[must_use]
    pub fn or_default(&self) -> Limits {
        let default = Limits::default();
        Limits {
            units: self.units.unwrap_or(default.units),
            time_ms: self.time_ms.unwrap_or(default.time_ms),
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            concurrency: self.concurrency.unwrap_or(default.concurrency),
        }
    }
}

/// `[function.NAME.test]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SmokeTest {
    /// The event to send.
    pub event: serde_json::Value,
    /// Members that the result must have; absent: any success will do.
    pub expect: Option<serde_json::Value>,
}
