//! A finding about a user's file: what, where, and what to do.

use crate::Code;
use serde::{Deserialize, Serialize};

/// Whether a finding stops the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Stops it.
    Error,
    /// Is shown.
    Warning,
}

/// A finding, pointing into the user's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The rule.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// The user's file, relative to the project; empty when the finding is about no file.
    pub file: String,
    /// From 1; 0 when there is no place.
    pub line: u32,
    /// From 1, in characters; 0 when there is no place.
    pub column: u32,
    /// How many characters the finding spans on its line, 1 at the least.
    pub length: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The lines around the place with a marker, plain text; empty when there is no place.
    pub frame: String,
}
