//! The port of the audit log.

use super::rows;
use crate::conn::{read, transact};
use crate::error::Fault;
use crate::open::PostgresStore;
use async_trait::async_trait;
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::Hash;
use neofn_identity::auditlog::port::{AnchorRow, AuditStore, AuditStoreError, EntryFilter, StoredEntry};
use neofn_types::Hash256;

type Answer<T> = Result<T, AuditStoreError>;

impl From<Fault> for AuditStoreError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append(&self, entries: Vec<AuditEntry>) -> Answer<u64> {
        Ok(transact!(self.pool, |conn| rows::append_all(conn, &entries))?)
    }
    async fn size(&self) -> Answer<u64> {
        Ok(read!(self.pool, |conn| rows::size(conn))?)
    }
    async fn entries(&self, filter: EntryFilter) -> Answer<Vec<StoredEntry>> {
        Ok(read!(self.pool, |conn| rows::entries(conn, &filter))?)
    }
    async fn entries_from(&self, seq: u64, limit: u32) -> Answer<Vec<StoredEntry>> {
        Ok(read!(self.pool, |conn| rows::entries_from(conn, seq, limit))?)
    }
    async fn nodes(&self, wanted: Vec<(u32, u64)>) -> Answer<Vec<Option<Hash>>> {
        Ok(read!(self.pool, |conn| rows::nodes(conn, &wanted))?)
    }
    async fn add_checkpoint(&self, size: u64, note: String) -> Answer<()> {
        Ok(read!(self.pool, |conn| rows::add_checkpoint(conn, size, &note))?)
    }
    async fn checkpoints(&self, limit: u32) -> Answer<Vec<(u64, String)>> {
        Ok(read!(self.pool, |conn| rows::checkpoints(conn, limit))?)
    }
    async fn add_anchor(&self, anchor: AnchorRow) -> Answer<()> {
        Ok(read!(self.pool, |conn| rows::add_anchor(conn, &anchor))?)
    }
    async fn anchored(&self, size: u64, tx: Hash256, height: u64) -> Answer<()> {
        Ok(read!(self.pool, |conn| rows::anchored(conn, size, tx, height))?)
    }
    async fn drop_anchor(&self, size: u64) -> Answer<()> {
        Ok(read!(self.pool, |conn| rows::drop_anchor(conn, size))?)
    }
    async fn anchors(&self, limit: u32) -> Answer<Vec<AnchorRow>> {
        Ok(read!(self.pool, |conn| rows::anchors(conn, limit))?)
    }
}
