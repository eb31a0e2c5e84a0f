//! The port. Appends go through the writer, reads beside it.

use super::rows;
use crate::error::Fault;
use crate::open::Store;
use crate::writer::Work;
use async_trait::async_trait;
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::Hash;
use neofn_identity::auditlog::port::{AnchorRow, AuditStore, AuditStoreError, EntryFilter, StoredEntry};
use neofn_types::Hash256;

impl From<Fault> for AuditStoreError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}

#[async_trait]
impl AuditStore for Store {
    async fn append(&self, entries: Vec<AuditEntry>) -> Result<u64, AuditStoreError> {
        let bytes = entries.len().saturating_mul(512);
        let work = move |work: &mut Work<'_>| {
            let first = rows::size(work.conn)?;
            for entry in &entries {
                rows::append(work.conn, entry)?;
            }
            Ok(first)
        };
        Ok(self.queue.call(bytes, work).await?)
    }
    async fn size(&self) -> Result<u64, AuditStoreError> {
        Ok(self.readers.read(rows::size).await?)
    }
    async fn entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, AuditStoreError> {
        Ok(self
            .readers
            .read(move |conn| rows::entries(conn, &filter))
            .await?)
    }
    async fn entries_from(&self, seq: u64, limit: u32) -> Result<Vec<StoredEntry>, AuditStoreError> {
        let read = self
            .readers
            .read(move |conn| rows::entries_from(conn, seq, limit));
        Ok(read.await?)
    }
    async fn nodes(&self, wanted: Vec<(u32, u64)>) -> Result<Vec<Option<Hash>>, AuditStoreError> {
        let read = self.readers.read(move |conn| {
            let found = wanted
                .iter()
                .map(|(level, index)| rows::node(conn, *level, *index));
            found.collect()
        });
        Ok(read.await?)
    }
    async fn add_checkpoint(&self, size: u64, note: String) -> Result<(), AuditStoreError> {
        let work = move |work: &mut Work<'_>| rows::add_checkpoint(work.conn, size, &note);
        Ok(self.queue.call(0, work).await?)
    }
    async fn checkpoints(&self, limit: u32) -> Result<Vec<(u64, String)>, AuditStoreError> {
        Ok(self
            .readers
            .read(move |conn| rows::checkpoints(conn, limit))
            .await?)
    }
    async fn add_anchor(&self, anchor: AnchorRow) -> Result<(), AuditStoreError> {
        let work = move |work: &mut Work<'_>| rows::add_anchor(work.conn, &anchor);
        Ok(self.queue.call(0, work).await?)
    }
    async fn anchored(&self, size: u64, tx: Hash256, height: u64) -> Result<(), AuditStoreError> {
        let work = move |work: &mut Work<'_>| rows::anchored(work.conn, size, tx, height);
        Ok(self.queue.call(0, work).await?)
    }
    async fn drop_anchor(&self, size: u64) -> Result<(), AuditStoreError> {
        let work = move |work: &mut Work<'_>| rows::drop_anchor(work.conn, size);
        Ok(self.queue.call(0, work).await?)
    }
    async fn anchors(&self, limit: u32) -> Result<Vec<AnchorRow>, AuditStoreError> {
        Ok(self.readers.read(move |conn| rows::anchors(conn, limit)).await?)
    }
}
