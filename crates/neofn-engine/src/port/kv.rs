//! What ctx.kv keeps: reads, and the writes that travel with an end. Knows no database.

use super::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{ProjectName, UnixMillis};
use serde::{Deserialize, Serialize};

/// One write of ctx.kv, in the order it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvWrite {
    /// Puts a value.
    Put {
        /// The key.
        key: String,
        /// JSON.
        value: Bytes,
        /// What must hold at the commit.
        expect: KvExpect,
        /// When it goes away.
        expires_at: Option<UnixMillis>,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: String,
        /// What must hold at the commit.
        expect: KvExpect,
    },
    /// Adds to a counter; never conflicts.
    Add {
        /// The key.
        key: String,
        /// Signed.
        by: i64,
    },
}

/// What must hold of a key at the commit. Later writes to the same key within one invocation carry `Any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvExpect {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// Counters stay exact in JavaScript's numbers: at the most this far from zero.
pub const COUNTER_MAX: i64 = 1 << 53;

/// Quotas of a project's key-value namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvQuota {
    /// Most keys.
    pub keys_max: u64,
    /// Most bytes of keys and values.
    pub bytes_max: u64,
}

impl Default for KvQuota {
    fn default() -> Self {
        Self {
            keys_max: 100_000,
            bytes_max: 256 << 20,
        }
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// JSON.
    pub value: Bytes,
    /// Grows with every write of the namespace.
    pub revision: u64,
    /// When it goes away.
    pub expires_at: Option<UnixMillis>,
}

/// Reads of ctx.kv. Writes travel in [`Finish`]. Expired entries are not there.
#[async_trait]
pub trait KvStore: Send + Sync + 'static {
    /// One key.
    async fn get(
        &self,
        project: &ProjectName,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<KvEntry>, StoreError>;
    /// Keys that begin with `prefix`, in byte order, after `after`.
    async fn list(
        &self,
        project: &ProjectName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        now: UnixMillis,
    ) -> Result<Vec<KvEntry>, StoreError>;
    /// Removes up to `limit` expired entries; answers how many.
    async fn sweep(&self, now: UnixMillis, limit: u32) -> Result<u32, StoreError>;
}
