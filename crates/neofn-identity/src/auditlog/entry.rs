//! An entry as it is hashed: its bytes are made once, kept, and never made again, so that no change of a serializer can
//! change a leaf.

use super::merkle::{Hash, leaf_hash};
use crate::audit::AuditEntry;
use neofn_types::{ProjectName, UnixMillis};
use serde::{Deserialize, Serialize};

/// Longest text of one member; longer ones are cut, because an act must be logged whatever its words are.
const TEXT_BYTES_MAX: usize = 1_024;

/// The form of an entry that is hashed: JSON, members in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedEntry {
    /// Its number, from 0.
    pub seq: u64,
    /// When, milliseconds.
    pub at: UnixMillis,
    /// In which project.
    pub project: Option<ProjectName>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// More of it.
    pub detail: String,
}

/// An entry and its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The bytes that are hashed.
    pub bytes: Vec<u8>,
    /// Their hash.
    pub hash: Hash,
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

impl LoggedEntry {
    /// An act under its number.
    #[must_use]
    pub fn new(seq: u64, entry: &AuditEntry) -> Self {
        Self {
            seq,
            at: entry.at,
            project: entry.project.clone(),
            actor: cut(&entry.actor),
            action: cut(&entry.action),
            target: cut(&entry.target),
            detail: cut(&entry.detail),
        }
    }
    /// As it is hashed.
    pub fn leaf(&self) -> Result<Leaf, serde_json::Error> {
        let bytes = serde_json::to_vec(self)?;
        let hash = leaf_hash(&bytes);
        Ok(Leaf { bytes, hash })
    }
}
