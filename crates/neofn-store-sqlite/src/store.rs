//! The ports. A write is handed to the writer; a read of what a write may be queued for waits for that write.

use crate::blobs::BlobError;
use crate::codec::Encoded;
use crate::error::Fault;
use crate::invocations;
use crate::open::Store;
use crate::{backlog, history, kv, lease, prune, registry, transactions, triggers};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_chain::manager::{TxId, TxRecord};
use neofn_chain::port::{Reserved, TxStore, TxStoreError};
use neofn_engine::port::{
    Admitted, Backlog, Claimed, Finish, InvocationFilter, InvocationRecord, InvocationStore, KvEntry,
    KvStore, Lease, LeaseStore, NewInvocation, Record, Replayable, Retention, Rooms, StoreError, Totals,
};
use neofn_engine::triggers::port::{
    Advance, Advanced, ChainCursor, Deliver, Delivered, Fired, FiredFilter, Placing, Redo, Released,
    TriggerChange, TriggerState, TriggerStore, TriggeredFunction,
};
use neofn_registry::port::{Publish, Published, RegistryStore, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, FunctionRecord, VersionRecord};
use neofn_types::{
    Datoshi, Digest, Fence, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis, Version,
};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

impl Store {
    /// Queries that were begun so far. What must not be told apart by its time is held to the same number of them.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.readers.begun()
    }
    /// The clock's time as files carry it.
    fn system_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.clock.now().0).unwrap_or(0))
    }
    /// A read that sees whatever was handed to the writer before.
    pub(crate) async fn read_after<T, F>(&self, query: F) -> Result<T, Fault>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        self.queue.barrier().await?;
        self.readers.read(query).await
    }
}

#[async_trait]
impl InvocationStore for Store {
    async fn admit(&self, new: NewInvocation) -> Result<Admitted, StoreError> {
        let bytes = new.event.len();
        self.queue
            .call(bytes, move |work| invocations::admit(work, &new))
            .await?
    }
    async fn claim(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
        rooms: &Rooms,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rooms = rooms.clone();
        self.queue
            .call(0, move |work| invocations::claim(work, now, lease, limit, &rooms))
            .await?
    }
    async fn release(&self, held: &[(InvocationId, Fence)]) -> Result<(), StoreError> {
        let held = held.to_vec();
        self.queue
            .call(0, move |work| invocations::release(work, &held))
            .await?
    }
    async fn renew(
        &self,
        held: &[(InvocationId, Fence)],
        now: UnixMillis,
        lease: Duration,
    ) -> Result<Vec<InvocationId>, StoreError> {
        let (held, until) = (held.to_vec(), now.plus(lease));
        self.queue
            .call(0, move |work| invocations::renew(work, &held, until))
            .await?
    }
    async fn finish(&self, finish: Finish) -> Result<(), StoreError> {
        let encoded = Encoded::of(&finish).map_err(Fault::from)?;
        self.queue
            .call(encoded.bytes(&finish), move |work| {
                invocations::finish(work, &finish, &encoded)
            })
            .await?
    }
    async fn record(&self, record: Record) -> Result<(), StoreError> {
        // handed over before the first await: a caller may drop this future after its first poll
        let encoded = Encoded::of(&record.finish).map_err(Fault::from)?;
        let bytes = record.new.event.len() + encoded.bytes(&record.finish);
        let answer = self
            .queue
            .post(bytes, move |work| invocations::record(work, &record, &encoded))?;
        answer.await.unwrap_or(Err(Fault::Closed))?
    }
    async fn record_all(&self, records: Arc<[Record]>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut encoded = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for record in &*records {
            let e = Encoded::of(&record.finish).map_err(Fault::from)?;
            bytes += record.new.event.len() + e.bytes(&record.finish);
            encoded.push(e);
        }
        let answers = self
            .queue
            .call(bytes, move |work| {
                let pairs = records.iter().zip(&encoded);
                pairs
                    .map(|(record, encoded)| invocations::record(work, record, encoded))
                    .collect::<Result<Vec<_>, Fault>>()
            })
            .await?;
        Ok(answers)
    }
    async fn requeue_expired(&self, now: UnixMillis) -> Result<u32, StoreError> {
        let expired = move |lease_until| lease_until <= now;
        let count = self
            .queue
            .call(0, move |work| {
                invocations::give_up(work, now, invocations::Lost::Lease, expired)
            })
            .await?;
        Ok(count)
    }
    async fn backlog(&self, now: UnixMillis, limit: u32) -> Result<Vec<Backlog>, StoreError> {
        Ok(self
            .read_after(move |conn| backlog::read(conn, now, limit))
            .await?)
    }
    async fn next_due(&self, _: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        // no barrier: whatever changes the queue is answered after the board is, and a dispatcher that asks often
        // must not wait for the history of others
        self.queue.check_open()?;
        Ok(self.queue.board(|board| board.next_due))
    }
    async fn invocation(&self, id: InvocationId) -> Result<Option<InvocationRecord>, StoreError> {
        Ok(self.read_after(move |conn| history::by_id(conn, id)).await?)
    }
    async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, StoreError> {
        let key = key.clone();
        Ok(self
            .read_after(move |conn| history::list(conn, &key, filter))
            .await?)
    }
    async fn replayable(&self, id: InvocationId) -> Result<Option<Replayable>, StoreError> {
        Ok(self.read_after(move |conn| history::replayable(conn, id)).await?)
    }
    async fn prune(&self, retention: Retention, now: UnixMillis, limit: u32) -> Result<u32, StoreError> {
        self.queue
            .call(0, move |work| prune::prune(work, retention, now, limit))
            .await?
    }
    async fn totals(&self) -> Result<Totals, StoreError> {
        self.queue.barrier().await?;
        Ok(self.queue.board(|board| board.totals))
    }
}

#[async_trait]
impl LeaseStore for Store {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Lease, StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        Ok(self
            .queue
            .call(0, move |work| lease::take(work.conn, &name, &holder, now, until))
            .await?)
    }
    async fn give_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        Ok(self
            .queue
            .call(0, move |work| lease::give(work.conn, &name, &holder))
            .await?)
    }
    async fn leases(&self, now: UnixMillis) -> Result<Vec<(String, Lease)>, StoreError> {
        Ok(self.read_after(move |conn| lease::all(conn, now)).await?)
    }
    async fn forget_leases(&self, prefix: &str, now: UnixMillis, age: Duration) -> Result<u64, StoreError> {
        let (prefix, before) = (prefix.to_owned(), now.minus(age));
        Ok(self
            .queue
            .call(0, move |work| lease::forget(work.conn, &prefix, before))
            .await?)
    }
}

#[async_trait]
impl TriggerStore for Store {
    async fn triggered(&self) -> Result<Vec<TriggeredFunction>, StoreError> {
        Ok(self.read_after(triggers::triggered).await?)
    }
    async fn trigger_states(&self) -> Result<Vec<TriggerState>, StoreError> {
        Ok(self.read_after(triggers::states).await?)
    }
    async fn change_triggers(
        &self,
        changes: Vec<TriggerChange>,
        network: Option<u32>,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.queue
            .call(0, move |work| triggers::change(work, &changes, network, at))
            .await?
    }
    async fn chain_networks(&self) -> Result<Vec<u32>, StoreError> {
        Ok(self.read_after(triggers::networks).await?)
    }
    async fn chain_cursor(&self, network: u32) -> Result<Option<ChainCursor>, StoreError> {
        Ok(self
            .read_after(move |conn| triggers::cursor(conn, network))
            .await?)
    }
    async fn place_chain_cursor(&self, placing: Placing) -> Result<ChainCursor, StoreError> {
        self.queue
            .call(0, move |work| triggers::place_cursor(work, placing))
            .await?
    }
    async fn advance(&self, advance: Advance) -> Result<Advanced, StoreError> {
        let bytes = advance.deliveries.iter().map(|d| d.event.len()).sum();
        self.queue
            .call(bytes, move |work| triggers::advance(work, &advance))
            .await?
    }
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Delivered>, StoreError> {
        let bytes = deliver.deliveries.iter().map(|d| d.event.len()).sum();
        self.queue
            .call(bytes, move |work| triggers::deliver(work, &deliver))
            .await?
    }
    async fn release_due(&self, now: UnixMillis, limit: u32) -> Result<Released, StoreError> {
        self.queue
            .call(0, move |work| triggers::release_due(work, now, limit))
            .await?
    }
    async fn fired(&self, project: &ProjectName, filter: FiredFilter) -> Result<Vec<Fired>, StoreError> {
        let project = project.clone();
        Ok(self
            .read_after(move |conn| triggers::fired(conn, &project, &filter))
            .await?)
    }
    async fn redo(&self, id: InvocationId, redo: Redo, at: UnixMillis) -> Result<(), StoreError> {
        self.queue
            .call(0, move |work| triggers::redo(work, id, redo, at))
            .await?
    }
}

#[async_trait]
impl KvStore for Store {
    async fn get(
        &self,
        project: &ProjectName,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<KvEntry>, StoreError> {
        // no barrier: whoever wrote was answered after the commit
        let (project, key) = (project.clone(), key.to_owned());
        Ok(self
            .readers
            .read(move |conn| kv::get(conn, &project, &key, now))
            .await?)
    }
    async fn list(
        &self,
        project: &ProjectName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        now: UnixMillis,
    ) -> Result<Vec<KvEntry>, StoreError> {
        let (project, prefix, after) = (project.clone(), prefix.to_owned(), after.map(str::to_owned));
        Ok(self
            .readers
            .read(move |conn| kv::list(conn, &project, &prefix, after.as_deref(), limit, now))
            .await?)
    }
    async fn sweep(&self, now: UnixMillis, limit: u32) -> Result<u32, StoreError> {
        self.queue
            .call(0, move |work| kv::sweep(work, now, limit))
            .await?
    }
}

#[async_trait]
impl RegistryStore for Store {
    async fn publish(&self, publish: Publish) -> Result<Published, RegistryStoreError> {
        self.queue
            .call(0, move |work| registry::publish(work, &publish))
            .await?
    }
    async fn function(&self, key: &FunctionKey) -> Result<Option<FunctionRecord>, RegistryStoreError> {
        let key = key.clone();
        Ok(self
            .read_after(move |conn| registry::function(conn, &key))
            .await?)
    }
    async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionRecord>, RegistryStoreError> {
        let (project, after) = (project.clone(), after.cloned());
        Ok(self
            .read_after(move |conn| registry::functions(conn, &project, after.as_ref(), limit))
            .await?)
    }
    async fn project_exists(&self, project: &ProjectName) -> Result<bool, RegistryStoreError> {
        let project = project.clone();
        Ok(self
            .readers
            .read(move |conn| registry::project_exists(conn, &project))
            .await?)
    }
    async fn projects(&self) -> Result<Vec<ProjectName>, RegistryStoreError> {
        Ok(self.readers.read(registry::projects).await?)
    }
    async fn version(
        &self,
        key: &FunctionKey,
        version: Version,
    ) -> Result<Option<VersionRecord>, RegistryStoreError> {
        let key = key.clone();
        Ok(self
            .readers
            .read(move |conn| registry::version(conn, &key, version))
            .await?)
    }
    async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, RegistryStoreError> {
        let key = key.clone();
        Ok(self
            .readers
            .read(move |conn| registry::versions(conn, &key, before, limit))
            .await?)
    }
    async fn set_live(
        &self,
        key: &FunctionKey,
        version: Version,
        upon: &Upon,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        let (key, upon) = (key.clone(), upon.clone());
        self.queue
            .call(0, move |work| registry::set_live(work, &key, version, &upon, at))
            .await?
    }
    async fn set_active(
        &self,
        key: &FunctionKey,
        active: bool,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        let key = key.clone();
        self.queue
            .call(0, move |work| registry::set_active(work, &key, active, at))
            .await?
    }
    async fn delete_function(&self, key: &FunctionKey) -> Result<(), RegistryStoreError> {
        let (key, at) = (key.clone(), self.clock.now());
        self.queue
            .call(0, move |work| registry::delete_function(work, &key, at))
            .await?
    }
    async fn put_blob(&self, bytes: Bytes) -> Result<Digest, RegistryStoreError> {
        self.queue.check_open()?;
        let blobs = Arc::clone(&self.blobs);
        let now = self.system_time();
        let put = tokio::task::spawn_blocking(move || blobs.put(&bytes, now));
        Ok(put.await.unwrap_or(Err(Fault::Panicked))?)
    }
    async fn sweep_blobs(&self, unstored_for: Duration) -> Result<u32, RegistryStoreError> {
        let before = self.system_time() - unstored_for;
        // what is named later than this was stored later than `before`
        let named = self.read_after(registry::named_blobs).await?;
        let blobs = Arc::clone(&self.blobs);
        let swept = tokio::task::spawn_blocking(move || blobs.sweep(&named, before));
        Ok(swept.await.unwrap_or(Err(Fault::Panicked))?)
    }
    async fn blob(&self, digest: Digest) -> Result<Bytes, RegistryStoreError> {
        let blobs = Arc::clone(&self.blobs);
        let got = tokio::task::spawn_blocking(move || blobs.get(digest))
            .await
            .unwrap_or(Err(BlobError::Fault(Fault::Panicked)));
        match got {
            Ok(bytes) => Ok(bytes.into()),
            Err(BlobError::Damaged) => Err(RegistryStoreError::ArtifactDamaged(digest)),
            Err(BlobError::Fault(fault)) => Err(fault.into()),
        }
    }
    async fn set_artifact(
        &self,
        key: &FunctionKey,
        version: Version,
        artifact: ArtifactRef,
    ) -> Result<(), RegistryStoreError> {
        let key = key.clone();
        self.queue
            .call(0, move |work| {
                registry::set_artifact(work, &key, version, &artifact)
            })
            .await?
    }
}

#[async_trait]
impl TxStore for Store {
    async fn reserve(&self, record: TxRecord, balance: Datoshi) -> Result<Reserved, TxStoreError> {
        let bytes = record.unsigned.len();
        Ok(self
            .queue
            .call(bytes, move |work| {
                transactions::reserve(work.conn, &record, balance)
            })
            .await?)
    }
    async fn advance(&self, record: TxRecord) -> Result<bool, TxStoreError> {
        let bytes = record.unsigned.len();
        Ok(self
            .queue
            .call(bytes, move |work| transactions::advance(work.conn, &record))
            .await?)
    }
    async fn abandon(&self, id: TxId, revision: u64) -> Result<bool, TxStoreError> {
        Ok(self
            .queue
            .call(0, move |work| transactions::abandon(work.conn, id, revision))
            .await?)
    }
    async fn transaction(&self, id: TxId) -> Result<Option<TxRecord>, TxStoreError> {
        // no barrier: whoever wrote was answered after the commit
        Ok(self
            .readers
            .read(move |conn| transactions::by_id(conn, id))
            .await?)
    }
    async fn open_transactions(&self, limit: u32) -> Result<Vec<TxRecord>, TxStoreError> {
        Ok(self
            .readers
            .read(move |conn| transactions::open(conn, limit))
            .await?)
    }
    async fn transactions(
        &self,
        project: &ProjectName,
        before: Option<TxId>,
        limit: u32,
    ) -> Result<Vec<TxRecord>, TxStoreError> {
        let project = project.clone();
        Ok(self
            .readers
            .read(move |conn| transactions::list(conn, &project, before, limit))
            .await?)
    }
}
