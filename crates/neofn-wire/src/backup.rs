//! Backups that a node makes of itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of POST `/api/v1/backups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Who can read it: an age recipient, `age1…`.
    pub recipient: String,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// Where it is, on the node's machine.
    pub file: String,
    /// When it was made.
    pub at: String,
    /// How many files are in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries of the audit log.
    pub audit_size: u64,
    /// Transfers in the ledger.
    pub transfers: u64,
}
