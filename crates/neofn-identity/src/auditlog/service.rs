//! The log as others use it: append, prove, sign, anchor. Holds no entries of its own.

use super::checkpoint::{CheckpointError, LogKey, LogVerifier};
use super::merkle::{self, Hash, MerkleError};
use super::port::{
    AnchorChain, AnchorRow, AnchorState, AuditStore, AuditStoreError, EntryFilter, StoredEntry,
};
use crate::audit::AuditEntry;
use neofn_types::{Clock, Code, Error};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What an anchor begins with, so that it is found among other data.
const MARK: &[u8] = b"neofn/audit/v1";
/// Anchors that may be on their way at once.
const OPEN_MAX: u32 = 16;

/// What the log stands on.
pub struct AuditLogOptions {
    /// Where it is kept.
    pub store: Arc<dyn AuditStore>,
    /// Who signs.
    pub key: LogKey,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The chain; none: nothing is anchored.
    pub chain: Option<Arc<dyn AnchorChain>>,
    /// How often, when there is something new.
    pub anchor_every: Duration,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct AuditLog(Arc<AuditLogOptions>);

/// The tree as it is, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed checkpoint.
    pub note: String,
}
impl Head {
    /// What is written on chain: a mark, the size (big-endian), the root.
    #[must_use]
    pub fn anchor_bytes(size: u64, root: &Hash) -> Vec<u8> {
        [MARK, &size.to_be_bytes(), root].concat()
    }
    /// Size and root of such bytes; none of any others.
    #[must_use]
    pub fn read_anchor(bytes: &[u8]) -> Option<(u64, Hash)> {
        let (size, root) = bytes.strip_prefix(MARK)?.split_first_chunk()?;
        Some((u64::from_be_bytes(*size), root.try_into().ok()?))
    }
}

/// The log cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum AuditLogError {
    /// The store.
    #[error(transparent)]
    Store(#[from] AuditStoreError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] MerkleError),
    /// A stored checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
impl From<AuditLogError> for Error {
    fn from(error: AuditLogError) -> Self {
        match error {
            AuditLogError::Store(e) => Self::new(Code::StoreFailed, "storage unavailable").because(e),
            AuditLogError::Tree(e @ MerkleError::Range { .. }) => {
                Self::new(Code::AuditProofMissing, e.to_string())
            }
            AuditLogError::Tree(e) => Self::new(Code::AuditBroken, e.to_string()),
            AuditLogError::Checkpoint(e) => Self::new(Code::AuditBroken, e.to_string()),
        }
    }
}

impl AuditLog {
    /// Starts nothing: whoever has it calls [`AuditLog::activate`] now and then.
    #[must_use]
    pub fn new(options: AuditLogOptions) -> Self {
        Self(Arc::new(options))
    }
    /// What checks its signatures.
    #[must_use]
    pub fn verifier(&self) -> LogVerifier {
        self.0.key.verifier()
    }
    /// Writes an act down; it is on disk when this returns.
    pub async fn append(&self, entry: AuditEntry) -> Result<u64, AuditLogError> {
        Ok(self.0.store.append(vec![entry]).await?)
    }
    /// Entries, newest first.
    pub async fn entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, AuditLogError> {
        Ok(self.0.store.entries(filter).await?)
    }
    /// Entries from a number on.
    pub async fn entries_from(&self, seq: u64, limit: u32) -> Result<Vec<StoredEntry>, AuditLogError> {
        Ok(self.0.store.entries_from(seq, limit).await?)
    }
    /// Signed checkpoints, newest first.
    pub async fn checkpoints(&self, limit: u32) -> Result<Vec<(u64, String)>, AuditLogError> {
        Ok(self.0.store.checkpoints(limit).await?)
    }
    /// Anchors, newest first.
    pub async fn anchors(&self, limit: u32) -> Result<Vec<AnchorRow>, AuditLogError> {
        Ok(self.0.store.anchors(limit).await?)
    }

    /// Signs the tree as it is; the signature is kept.
    pub async fn head(&self) -> Result<Head, AuditLogError> {
        let size = self.0.store.size().await?;
        if let Some((newest, note)) = self.0.store.checkpoints(1).await?.pop()
            && newest == size
        {
            let root = self.verifier().open(&note)?.root;
            return Ok(Head { size, root, note });
        }
        let root = self.root(size).await?;
        let note = self.0.key.sign(size, root, self.0.clock.now());
        self.0.store.add_checkpoint(size, note.clone()).await?;
        Ok(Head { size, root, note })
    }
    /// The root of the first `size` entries.
    pub async fn root(&self, size: u64) -> Result<Hash, AuditLogError> {
        self.ask(|nodes| merkle::root(nodes, size)).await
    }
    /// That an entry is among the first `size`.
    pub async fn inclusion(&self, seq: u64, size: u64) -> Result<Vec<Hash>, AuditLogError> {
        self.within(size).await?;
        self.ask(|nodes| merkle::inclusion_proof(nodes, seq, size)).await
    }
    /// That the first `old` entries of the first `new` are what they were.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, AuditLogError> {
        self.within(new).await?;
        self.ask(|nodes| merkle::consistency_proof(nodes, old, new)).await
    }
    async fn within(&self, size: u64) -> Result<(), AuditLogError> {
        let there = self.0.store.size().await?;
        if size > there {
            return Err(MerkleError::Range {
                index: size,
                size: there,
            }
            .into());
        }
        Ok(())
    }

    /// Runs a question twice: once to learn which subtrees it needs, once with them.
    async fn ask<T>(
        &self,
        question: impl Fn(&dyn Fn(u32, u64) -> Option<Hash>) -> Result<T, MerkleError>,
    ) -> Result<T, AuditLogError> {
        let wanted: BTreeSet<(u32, u64)> = {
            let seen = RefCell::new(BTreeSet::new());
            // the shape does not depend on the hashes, and any hash will do for it
            let learn = |level, index| {
                seen.borrow_mut().insert((level, index));
                Some([0; 32])
            };
            question(&learn)?;
            seen.into_inner()
        };
        let wanted: Vec<_> = wanted.into_iter().collect();
        let found = self.0.store.nodes(wanted.clone()).await?;
        let nodes: HashMap<_, _> = wanted
            .into_iter()
            .zip(found)
            .filter_map(|(at, hash)| Some((at, hash?)))
            .collect();
        Ok(question(&|level, index| nodes.get(&(level, index)).copied())?)
    }

    /// Signs what is new, and moves anchors on. Harmless to repeat, at any time.
    pub async fn activate(&self) -> Result<(), AuditLogError> {
        let head = self.head().await?;
        let Some(chain) = &self.0.chain else {
            return Ok(());
        };
        let now = self.0.clock.now();
        let anchors = self.0.store.anchors(OPEN_MAX).await?;
        let due = match anchors.first() {
            Some(last) => last.size < head.size && now.since(last.at) >= self.0.anchor_every,
            None => head.size > 0,
        };
        let mut open: Vec<AnchorRow> = anchors.into_iter().filter(|a| a.tx.is_none()).collect();
        if due && open.is_empty() {
            let row = AnchorRow {
                size: head.size,
                checkpoint: head.note,
                at: now,
                tx: None,
            };
            // on disk before it is sent: whatever dies in between, the same bytes are sent again
            self.0.store.add_anchor(row.clone()).await?;
            open.push(row);
        }
        for row in open {
            let checkpoint = self.verifier().open(&row.checkpoint)?;
            let bytes = Head::anchor_bytes(checkpoint.size, &checkpoint.root);
            match chain.anchor(bytes).await {
                Ok(AnchorState::Waiting) => {}
                Ok(AnchorState::OnChain(tx, height)) => {
                    self.0.store.anchored(row.size, tx, height).await?;
                    tracing::info!(size = row.size, %tx, height, "audit root on chain");
                }
                Ok(AnchorState::Never) => self.0.store.drop_anchor(row.size).await?,
                Err(error) => tracing::warn!(size = row.size, %error, "audit root not anchored"),
            }
        }
        Ok(())
    }
}
