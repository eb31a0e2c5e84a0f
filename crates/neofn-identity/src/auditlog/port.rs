//! What the log needs: a place where it is kept, and a chain to write its root to.

use super::merkle::Hash;
use crate::audit::AuditEntry;
use async_trait::async_trait;
use neofn_types::{Hash256, ProjectName, UnixMillis};

/// Storage of the log failed; nothing was written, or at least nothing was promised.
#[derive(Debug, thiserror::Error)]
#[error("audit store")]
pub struct AuditStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A stored entry: its number and the bytes that are hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// From 0.
    pub seq: u64,
    /// JSON of a [`super::LoggedEntry`].
    pub bytes: Vec<u8>,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFilter {
    /// Of this project alone; none: all of them, also those of none.
    pub project: Option<ProjectName>,
    /// Older than this one.
    pub before: Option<u64>,
    /// At most; newest first.
    pub limit: u32,
}

/// A root that is to be on chain, or is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorRow {
    /// How many entries it is of.
    pub size: u64,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// When it was decided on.
    pub at: UnixMillis,
    /// Where it is; none: on its way.
    pub tx: Option<(Hash256, u64)>,
}

/// Where the log is kept. Every change is on disk when it is answered; entries and subtrees are never changed.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Appends entries in order; answers the number of the first one.
    async fn append(&self, entries: Vec<AuditEntry>) -> Result<u64, AuditStoreError>;
    /// How many there are.
    async fn size(&self) -> Result<u64, AuditStoreError>;
    /// Entries, newest first.
    async fn entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, AuditStoreError>;
    /// Entries from a number on, oldest first: for exports.
    async fn entries_from(&self, seq: u64, limit: u32) -> Result<Vec<StoredEntry>, AuditStoreError>;
    /// Complete subtrees, in the order asked for; none where one is not complete.
    async fn nodes(&self, wanted: Vec<(u32, u64)>) -> Result<Vec<Option<Hash>>, AuditStoreError>;
    /// Keeps a signed checkpoint; of the same size there is one, the first.
    async fn add_checkpoint(&self, size: u64, note: String) -> Result<(), AuditStoreError>;
    /// The newest checkpoints, newest first.
    async fn checkpoints(&self, limit: u32) -> Result<Vec<(u64, String)>, AuditStoreError>;
    /// Decides that a root is to be on chain; of the same size there is one, the first.
    async fn add_anchor(&self, anchor: AnchorRow) -> Result<(), AuditStoreError>;
    /// Says where it is.
    async fn anchored(&self, size: u64, tx: Hash256, height: u64) -> Result<(), AuditStoreError>;
    /// An anchor that can never be on chain is given up, so that another one is made.
    async fn drop_anchor(&self, size: u64) -> Result<(), AuditStoreError>;
    /// Anchors, newest first.
    async fn anchors(&self, limit: u32) -> Result<Vec<AnchorRow>, AuditStoreError>;
}

/// How far a root came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorState {
    /// It may be on chain one day.
    Waiting,
    /// It is, in this transaction and block.
    OnChain(Hash256, u64),
    /// It never will be.
    Never,
}

/// A chain that keeps what a transaction says.
#[async_trait]
pub trait AnchorChain: Send + Sync + 'static {
    /// Sees to it that there is one transaction that carries these bytes ([`super::Head::anchor_bytes`]) under a name
    /// made of them; answers how far it came.
    async fn anchor(&self, bytes: Vec<u8>) -> Result<AnchorState, Box<dyn std::error::Error + Send + Sync>>;
}
