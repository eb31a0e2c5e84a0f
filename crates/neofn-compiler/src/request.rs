//! What is asked of the compiler and what it answers. Knows nothing of processes.

use neofn_types::{Diagnostic, Grants};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How much source one function may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLimits {
    /// The bundled module.
    pub bundle_bytes_max: u64,
    /// The function's own files together: those that are no package's.
    pub own_bytes_max: u64,
    /// All uploaded files together, paths included.
    pub upload_bytes_max: u64,
    /// Uploaded files.
    pub files_max: u32,
    /// One path.
    pub path_bytes_max: u32,
    /// Nested nodes of a syntax tree.
    pub depth_max: u32,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            bundle_bytes_max: 1 << 20,
            own_bytes_max: 4 << 20,
            upload_bytes_max: 16 << 20,
            files_max: 20_000,
            path_bytes_max: 512,
            depth_max: 3_000,
        }
    }
}

/// The sources of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileRequest {
    /// Path relative to the project, with `/`, to text. npm packages lie under `node_modules/`.
    pub files: BTreeMap<String, String>,
    /// Which of them holds the handler.
    pub main: String,
    /// What the function may reach; unused and missing grants are warned of.
    pub grants: Grants,
    /// Sizes.
    pub limits: SourceLimits,
}

impl CompileRequest {
    /// One file, as `source` of a deployment is: TypeScript, which JavaScript is a subset of.
    #[must_use]
    pub fn single(source: impl Into<String>, grants: Grants) -> Self {
        Self {
            files: BTreeMap::from([("index.ts".to_owned(), source.into())]),
            main: "index.ts".to_owned(),
            grants,
            limits: SourceLimits::default(),
        }
    }
}

/// Where the time went, measured in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Parsing and the rules.
    pub validate: Duration,
    /// Transforming, bundling, minifying.
    pub compile: Duration,
}

/// One ES module, ready for a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The module. It exports at least one of `handler`, `default` and `main`, unless it sets a global `main` itself.
    pub code: String,
    /// Source map v3 without contents; `sources` are paths of the request.
    pub source_map: String,
    /// Names that the module exports, sorted.
    pub exports: Vec<String>,
    /// What `ctx.invoke` is given where that is written in the source, sorted. A computed name is not seen.
    pub calls: Vec<String>,
    /// Findings that do not stop a deployment.
    pub warnings: Vec<Diagnostic>,
    /// Where the time went.
    pub timings: Timings,
}

/// Which stage refused a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The rules.
    Validate,
    /// Bundling.
    Compile,
}

impl Stage {
    /// `validate` or `compile`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Compile => "compile",
        }
    }
}
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no module.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The source is at fault; at least one diagnostic is an error.
    #[error("refused by {stage}: {} findings", diagnostics.len())]
    Refused {
        /// Who refused it.
        stage: Stage,
        /// What was found, errors and warnings.
        diagnostics: Vec<Diagnostic>,
    },
    /// The child could not be started or was lost. Trying again can help.
    #[error("compiler not available: {0}")]
    Unavailable(String),
    /// The compiler itself failed on this source: a defect of ours, the same again next time.
    #[error("compiler failed: {0}")]
    Failed(String),
}
