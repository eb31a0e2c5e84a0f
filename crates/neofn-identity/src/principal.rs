//! What a caller may do.

use crate::KeyId;
use neofn_types::{ProjectName, UnixMillis};
use serde::{Deserialize, Serialize};

/// What a key reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything on this node.
    Operator,
    /// One project.
    Project(ProjectName),
}

/// A key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its name.
    pub id: KeyId,
    /// Of its secret.
    pub hash: [u8; 32],
    /// What it reaches.
    pub scope: Scope,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

impl KeyRecord {
    /// Whether it is valid at `now`.
    #[must_use]
    pub fn valid_at(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// No credentials.
    Anonymous,
    /// A valid key.
    Key {
        /// Which.
        id: KeyId,
        /// What it reaches.
        scope: Scope,
    },
}

impl Principal {
    /// Whether it may manage and invoke in a project.
    #[must_use]
    pub fn reaches(&self, project: &ProjectName) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key {
                scope: Scope::Operator,
                ..
            } => true,
            Self::Key {
                scope: Scope::Project(own),
                ..
            } => own == project,
        }
    }
    /// Whether it may see the node as a whole.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        matches!(
            self,
            Self::Key {
                scope: Scope::Operator,
                ..
            }
        )
    }
}
