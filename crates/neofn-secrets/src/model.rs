//! What is kept of a secret beside its values. All of it may be shown to those who manage the secret.

use crate::key::WRAPPED_BYTES;
use neofn_types::{FunctionName, HostPattern, ProjectName, SecretName, UnixMillis};
use serde::{Deserialize, Serialize};

/// A secret for as long as it exists; a later one of the same name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretId(#[serde(with = "hex::serde")] pub [u8; 16]);

/// A keyed hash of a value: equal values of a project have equal ones, and nothing else can be learnt from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(#[serde(with = "hex::serde")] pub [u8; 16]);

/// A secret without its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The tenant.
    pub project: ProjectName,
    /// Its name.
    pub name: SecretName,
    /// Of this secret alone.
    pub id: SecretId,
    /// Grows with every change; what compare-and-set compares inside.
    pub revision: u64,
    /// The highest version that was ever given out.
    pub latest: u32,
    /// Hosts that the value may be sent to by handle; none: to no host.
    pub hosts: Vec<HostPattern>,
    /// Functions that may use it; empty: every one of the project whose manifest asks for it.
    pub functions: Vec<FunctionName>,
    /// Versions that are kept.
    pub versions_max: u32,
    /// How long a version may be read after it was set.
    pub ttl_ms: Option<u64>,
    /// When the value is to be replaced.
    pub rotation: Option<Rotation>,
    /// First set.
    pub created_at: UnixMillis,
    /// Last change.
    pub updated_at: UnixMillis,
    /// Oldest first.
    pub versions: Vec<VersionRecord>,
}

impl SecretRecord {
    /// A version of it.
    #[must_use]
    pub fn version(&self, version: u32) -> Option<&VersionRecord> {
        self.versions.iter().find(|v| v.version == version)
    }
    /// The version that is given out: the newest, if it can be read.
    #[must_use]
    pub fn current(&self, now: UnixMillis) -> Option<&VersionRecord> {
        self.version(self.latest).filter(|v| v.readable(now))
    }
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// From 1, never used again.
    pub version: u32,
    /// When it was set.
    pub created_at: UnixMillis,
    /// Who set it, as the caller names itself.
    pub by: String,
    /// From then on it cannot be read.
    pub expires_at: Option<UnixMillis>,
    /// Deleted, and can be had back.
    pub deleted_at: Option<UnixMillis>,
    /// Its value is gone.
    pub destroyed_at: Option<UnixMillis>,
    /// Of its value.
    pub fingerprint: Fingerprint,
}

impl VersionRecord {
    /// Whether its value may be given out.
    #[must_use]
    pub fn readable(&self, now: UnixMillis) -> bool {
        self.deleted_at.is_none() && self.destroyed_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// When a value is to be replaced, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// After this long.
    pub every_ms: u64,
    /// What happens then.
    pub action: Action,
}

/// What happens when a value is due to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Somebody is told, once a day until it is done.
    Remind,
    /// A function of the project is called, and sets a new value.
    Function(FunctionName),
}

/// A policy and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The policy.
    pub policy: RotationPolicy,
    /// When the value is to be replaced.
    pub due_at: UnixMillis,
    /// When to act next: at `due_at`, then again until it is done.
    pub act_at: UnixMillis,
}

/// How the root key comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootKind {
    /// 32 bytes from a file.
    Key,
    /// By Argon2id from a passphrase.
    Passphrase {
        /// Of this root alone.
        #[serde(with = "hex::serde")]
        salt: [u8; 16],
        /// Memory that deriving takes.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
    },
    /// Kept elsewhere; the name is what its adapter answers.
    External {
        /// Which key there.
        name: String,
    },
}

/// The root as it is stored: how to get it, and how to tell whether it is the right one. Never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// Grows with every new root.
    pub generation: u32,
    /// How it comes about.
    pub kind: RootKind,
    /// A key that nobody uses, wrapped by the root: it unwraps under the right one alone.
    #[serde(with = "hex::serde")]
    pub check: Vec<u8>,
}

/// A project's key, wrapped by the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekRecord {
    /// The tenant.
    pub project: ProjectName,
    /// Of all versions of this project's key.
    pub id: [u8; 16],
    /// From 1.
    pub version: u32,
    /// What the root made of it; a local one makes [`WRAPPED_BYTES`] of it.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Longest wrapped key that is stored; services wrap into more bytes than we do.
pub(crate) const WRAPPED_BYTES_MAX: usize = 4096;
const _: () = assert!(WRAPPED_BYTES <= WRAPPED_BYTES_MAX);
