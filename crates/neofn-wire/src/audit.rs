//! The audit log: entries, signed checkpoints, proofs. Hashes are hexadecimal; how they are made is RFC 6962.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryView {
    /// Its number, from 0.
    pub seq: u64,
    /// When.
    pub at: String,
    /// In which project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// More of it.
    pub detail: String,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// They.
    pub entries: Vec<AuditEntryView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// The tree as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditCheckpoint {
    /// How many entries.
    pub size: u64,
    /// Its root.
    pub root: String,
    /// The signed checkpoint (c2sp.org/tlog-checkpoint).
    pub note: String,
    /// The log's public key, as notes write it.
    pub key: String,
    /// Roots that are on chain, or on their way; newest first.
    pub anchors: Vec<AuditAnchor>,
}

/// A root on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditAnchor {
    /// Of so many entries.
    pub size: u64,
    /// In this transaction; absent while it is on its way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction: Option<String>,
    /// In this block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u64>,
}

/// A proof: of an entry in a tree, or of a tree in a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditProof {
    /// Of the tree that it leads to.
    pub size: u64,
    /// That tree's root.
    pub root: String,
    /// Of an inclusion: the leaf's hash. Of a consistency: the older root.
    pub of: String,
    /// The path, from below.
    pub path: Vec<String>,
}
