//! Which runtime executes a function.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The runtimes this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// JavaScript or TypeScript on QuickJS in WebAssembly.
    Js,
    /// A core WebAssembly module, WASI preview 1 command or reactor.
    Wasm,
}

/// A runtime name that this build does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown runtime {0:?}: this build runs \"js\" and \"wasm\"")]
pub struct ParseRuntimeKindError(pub String);

impl RuntimeKind {
    /// Most memory that its engine can give a sandbox, whatever an operator allows.
    #[must_use]
    pub const fn memory_bytes_max(self) -> u64 {
        match self {
            Self::Js => 256 << 20,
            Self::Wasm => 4 << 30,
        }
    }
    /// As written in manifests, paths and subjects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Js => "js",
            Self::Wasm => "wasm",
        }
    }
}
impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for RuntimeKind {
    type Err = ParseRuntimeKindError;
    fn from_str(s: &str) -> Result<Self, ParseRuntimeKindError> {
        match s {
            "js" => Ok(Self::Js),
            "wasm" => Ok(Self::Wasm),
            other => Err(ParseRuntimeKindError(other.chars().take(40).collect())),
        }
    }
}
