//! The ports. Results and history are handed to the writers; whatever must be decided by itself is a transaction of
//! its own; a read of what a write may be queued for waits for that write.

use crate::claim::Wanted;
use crate::conn::{Tries, read, transact};
use crate::error::Fault;
use crate::open::PostgresStore;
use crate::queue::{Done, Op, RecordOp};
use crate::{
    admit, backlog, blobs, claim, history, kv, lease, promise, prune, registry, reply, transactions, triggers,
};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_chain::manager::{TxId, TxRecord};
use neofn_chain::port::{Reserved, TxStore, TxStoreError};
use neofn_engine::port::{
    Admitted, Backlog, Begun, Claimed, Finish, InvocationFilter, InvocationRecord, InvocationStore, KvEntry,
    KvStore, Lease, LeaseStore, NamedRequest, Neighbours, NewInvocation, News, Promise, PromiseStore, Record,
    Replayable, Reply, ReplyStore, Retention, Rooms, Start, StoreError, Totals,
};
use neofn_engine::triggers::port::{
    Advance, Advanced, ChainCursor, Deliver, Delivered, Fired, FiredFilter, Placing, Redo, Released,
    TriggerChange, TriggerState, TriggerStore, TriggeredFunction,
};
use neofn_registry::port::{Publish, Published, RegistryStore, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, FunctionRecord, VersionRecord};
use neofn_rows::Encoded;
use neofn_types::{
    Datoshi, Digest, Fence, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis, Version,
};
use std::sync::Arc;
use std::time::Duration;

impl PostgresStore {
    fn record_op(all: &Arc<[Record]>, at: usize, encoded: Encoded) -> (usize, Op) {
        let bytes = all
            .get(at)
            .map_or(0, |record| record.new.event.len() + encoded.bytes(&record.finish));
        let op = RecordOp {
            all: Arc::clone(all),
            at,
            encoded: Arc::new(encoded),
        };
        (bytes, Op::Record(op))
    }
}

#[async_trait]
impl InvocationStore for PostgresStore {
    async fn admit(&self, new: NewInvocation) -> Result<Admitted, StoreError> {
        self.queue.check_open()?;
        let alone = new.idempotency.is_some() || new.start != Start::Queued;
        if alone && new.hold.is_none() {
            let admitted = transact!(self.pool, Tries::new(), |conn, again| admit::one(
                conn, &new, again
            ))?;
            self.waits.notify_one();
            return admitted;
        }
        let (bytes, new) = (new.event.len(), Arc::new(new));
        let op = if alone { Op::AdmitPaid(new) } else { Op::Admit(new) };
        let admitted = self.queue.call(bytes, op).await?;
        self.waits.notify_one();
        match admitted {
            Done::Admitted(admitted) => Ok(admitted),
            Done::Written => Err(Fault::Damaged("answer").into()),
        }
    }
    async fn claim(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
        rooms: &Rooms,
    ) -> Result<Vec<Claimed>, StoreError> {
        let wanted = || Wanted {
            now,
            lease,
            limit,
            rooms,
        };
        Ok(transact!(self.pool, |conn| claim::claim(conn, wanted()))?)
    }
    async fn release(&self, held: &[(InvocationId, Fence)]) -> Result<(), StoreError> {
        Ok(read!(self.pool, |conn| claim::release(conn, held))?)
    }
    async fn renew(
        &self,
        held: &[(InvocationId, Fence)],
        now: UnixMillis,
        lease: Duration,
    ) -> Result<Vec<InvocationId>, StoreError> {
        Ok(read!(self.pool, |conn| claim::renew(conn, held, now, lease))?)
    }
    async fn finish(&self, finish: Finish) -> Result<(), StoreError> {
        let encoded = Encoded::of(&finish).map_err(Fault::from)?;
        let (bytes, emits) = (encoded.bytes(&finish), !finish.emitted.is_empty());
        let done = self
            .queue
            .call(bytes, Op::Finish(Arc::new((finish, encoded))))
            .await;
        if emits {
            self.waits.notify_one();
        }
        done.map(drop)
    }
    async fn record(&self, record: Record) -> Result<(), StoreError> {
        // handed over before the first await: a caller may drop this future after its first poll
        let encoded = Encoded::of(&record.finish).map_err(Fault::from)?;
        let (bytes, op) = Self::record_op(&Arc::from([record]), 0, encoded);
        let answer = self.queue.post(bytes, op)?;
        answer.await.map_err(|_| Fault::Closed)?.map(drop)
    }
    async fn record_all(&self, records: Arc<[Record]>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut answers = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            let encoded = Encoded::of(&record.finish).map_err(Fault::from)?;
            let (bytes, op) = Self::record_op(&records, at, encoded);
            answers.push(self.queue.call(bytes, op));
        }
        let verdicts = futures_util::future::join_all(answers).await;
        Ok(verdicts.into_iter().map(|verdict| verdict.map(drop)).collect())
    }
    async fn requeue_expired(&self, now: UnixMillis) -> Result<u32, StoreError> {
        let (requeued, ahead) = transact!(self.pool, |conn| claim::requeue_expired(conn, now))?;
        self.skew.note(ahead);
        Ok(requeued)
    }
    async fn backlog(&self, now: UnixMillis, limit: u32) -> Result<Vec<Backlog>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| backlog::read(conn, now, limit))?)
    }
    async fn next_due(&self, now: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        self.queue.check_open()?;
        Ok(read!(self.pool, |conn| claim::next_due(conn, now))?)
    }
    async fn invocation(&self, id: InvocationId) -> Result<Option<InvocationRecord>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| history::by_id(conn, id))?)
    }
    async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| history::list(conn, key, filter))?)
    }
    async fn replayable(&self, id: InvocationId) -> Result<Option<Replayable>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| history::replayable(conn, id))?)
    }
    async fn prune(&self, retention: Retention, now: UnixMillis, limit: u32) -> Result<u32, StoreError> {
        self.queue.barrier().await?;
        Ok(transact!(self.pool, |conn| prune::prune(
            conn, retention, now, limit
        ))?)
    }
    async fn totals(&self) -> Result<Totals, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| history::totals(conn))?)
    }
}

#[async_trait]
impl Neighbours for PostgresStore {
    async fn news(&self) -> News {
        match self.news.lock().await.recv().await {
            Some(news) => news,
            // closed: there will be none
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl LeaseStore for PostgresStore {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: UnixMillis,
        until: UnixMillis,
    ) -> Result<Lease, StoreError> {
        Ok(transact!(self.pool, |conn| lease::take(
            conn, name, holder, now, until
        ))?)
    }
    async fn give_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        Ok(read!(self.pool, |conn| lease::give(conn, name, holder))?)
    }
    async fn leases(&self, now: UnixMillis) -> Result<Vec<(String, Lease)>, StoreError> {
        Ok(read!(self.pool, |conn| lease::all(conn, now))?)
    }
    async fn forget_leases(&self, prefix: &str, now: UnixMillis, age: Duration) -> Result<u64, StoreError> {
        Ok(read!(self.pool, |conn| lease::forget(conn, prefix, now, age))?)
    }
}

#[async_trait]
impl ReplyStore for PostgresStore {
    async fn begin_reply(
        &self,
        named: NamedRequest,
        now: UnixMillis,
        until: UnixMillis,
        kept_since: UnixMillis,
    ) -> Result<Begun, StoreError> {
        Ok(transact!(self.pool, |conn| reply::begin(
            conn, named, now, until, kept_since
        ))?)
    }
    async fn end_reply(&self, named: NamedRequest, answer: Option<Reply>) -> Result<(), StoreError> {
        Ok(read!(self.pool, |conn| reply::end(conn, named, answer.as_ref()))?)
    }
}

#[async_trait]
impl PromiseStore for PostgresStore {
    async fn promise(&self, key: &FunctionKey, id: InvocationId, token: &str) -> Result<(), StoreError> {
        transact!(self.pool, |conn| promise::promise(conn, key, id, token))?
    }
    async fn due_promises(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Promise>, StoreError> {
        // one statement; tried again after an answer that was lost, it leaves what it claimed to the end of the lease
        Ok(read!(self.pool, |conn| promise::due(conn, now, lease, limit))?)
    }
    async fn not_kept(&self, promises: &[Promise]) -> Result<(), StoreError> {
        Ok(transact!(self.pool, |conn| promise::not_kept(conn, promises))?)
    }
    async fn kept(&self, promises: &[Promise]) -> Result<(), StoreError> {
        Ok(transact!(self.pool, |conn| promise::kept(conn, promises))?)
    }
}

#[async_trait]
impl TriggerStore for PostgresStore {
    async fn triggered(&self) -> Result<Vec<TriggeredFunction>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| triggers::triggered(conn))?)
    }
    async fn trigger_states(&self) -> Result<Vec<TriggerState>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| triggers::states(conn))?)
    }
    async fn change_triggers(
        &self,
        changes: Vec<TriggerChange>,
        network: Option<u32>,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        Ok(transact!(self.pool, |conn| triggers::change(
            conn, &changes, network, at
        ))?)
    }
    async fn chain_networks(&self) -> Result<Vec<u32>, StoreError> {
        Ok(read!(self.pool, |conn| triggers::networks(conn))?)
    }
    async fn chain_cursor(&self, network: u32) -> Result<Option<ChainCursor>, StoreError> {
        Ok(read!(self.pool, |conn| triggers::cursor(conn, network))?)
    }
    async fn place_chain_cursor(&self, placing: Placing) -> Result<ChainCursor, StoreError> {
        transact!(self.pool, |conn| triggers::place_cursor(conn, placing))?
    }
    async fn advance(&self, advance: Advance) -> Result<Advanced, StoreError> {
        let advanced = transact!(self.pool, |conn| triggers::advance(conn, &advance))?;
        self.waits.notify_one();
        advanced
    }
    async fn deliver(&self, deliver: Deliver) -> Result<Vec<Delivered>, StoreError> {
        let delivered = transact!(self.pool, |conn| triggers::deliver(conn, &deliver))?;
        self.waits.notify_one();
        delivered
    }
    async fn release_due(&self, now: UnixMillis, limit: u32) -> Result<Released, StoreError> {
        Ok(transact!(self.pool, |conn| triggers::release_due(
            conn, now, limit
        ))?)
    }
    async fn fired(&self, project: &ProjectName, filter: FiredFilter) -> Result<Vec<Fired>, StoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| triggers::fired(conn, project, &filter))?)
    }
    async fn redo(&self, id: InvocationId, redo: Redo, at: UnixMillis) -> Result<(), StoreError> {
        transact!(self.pool, Tries::new(), |conn, again| triggers::redo(
            conn, id, redo, at, again
        ))?
    }
}

#[async_trait]
impl KvStore for PostgresStore {
    async fn get(
        &self,
        project: &ProjectName,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<KvEntry>, StoreError> {
        // no barrier: whoever wrote was answered after the commit
        Ok(read!(self.pool, |conn| kv::get(conn, project, key, now))?)
    }
    async fn list(
        &self,
        project: &ProjectName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
        now: UnixMillis,
    ) -> Result<Vec<KvEntry>, StoreError> {
        let page = || kv::Page {
            prefix,
            after,
            limit,
            now,
        };
        Ok(read!(self.pool, |conn| kv::list(conn, project, page()))?)
    }
    async fn sweep(&self, now: UnixMillis, limit: u32) -> Result<u32, StoreError> {
        Ok(transact!(self.pool, |conn| kv::sweep(conn, now, limit))?)
    }
}

#[async_trait]
impl RegistryStore for PostgresStore {
    async fn publish(&self, publish: Publish) -> Result<Published, RegistryStoreError> {
        self.queue.check_open()?;
        transact!(self.pool, |conn| registry::publish(conn, &publish))?
    }
    async fn function(&self, key: &FunctionKey) -> Result<Option<FunctionRecord>, RegistryStoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| registry::function(conn, key))?)
    }
    async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionRecord>, RegistryStoreError> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| registry::functions(
            conn, project, after, limit
        ))?)
    }
    async fn project_exists(&self, project: &ProjectName) -> Result<bool, RegistryStoreError> {
        Ok(read!(self.pool, |conn| registry::project_exists(conn, project))?)
    }
    async fn projects(&self) -> Result<Vec<ProjectName>, RegistryStoreError> {
        Ok(read!(self.pool, |conn| registry::projects(conn))?)
    }
    async fn version(
        &self,
        key: &FunctionKey,
        version: Version,
    ) -> Result<Option<VersionRecord>, RegistryStoreError> {
        Ok(read!(self.pool, |conn| registry::version(conn, key, version))?)
    }
    async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, RegistryStoreError> {
        Ok(read!(self.pool, |conn| registry::versions(
            conn, key, before, limit
        ))?)
    }
    async fn set_live(
        &self,
        key: &FunctionKey,
        version: Version,
        upon: &Upon,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        transact!(self.pool, |conn| registry::set_live(conn, key, version, upon, at))?
    }
    async fn set_active(
        &self,
        key: &FunctionKey,
        active: bool,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        transact!(self.pool, |conn| registry::set_active(conn, key, active, at))?
    }
    async fn delete_function(&self, key: &FunctionKey) -> Result<(), RegistryStoreError> {
        let at = self.clock.now();
        transact!(self.pool, Tries::new(), |conn, again| {
            registry::delete_function(conn, key, at, again)
        })?
    }
    async fn put_blob(&self, bytes: Bytes) -> Result<Digest, RegistryStoreError> {
        self.queue.check_open()?;
        let now = self.clock.now();
        Ok(transact!(self.pool, |conn| blobs::put(conn, &bytes, now))?)
    }
    async fn blob(&self, digest: Digest) -> Result<Bytes, RegistryStoreError> {
        let bytes = read!(self.pool, |conn| blobs::get(conn, digest))??;
        Ok(bytes.into())
    }
    async fn sweep_blobs(&self, unstored_for: Duration) -> Result<u32, RegistryStoreError> {
        let age = i64::try_from(unstored_for.as_millis()).unwrap_or(i64::MAX);
        let before = UnixMillis(self.clock.now().0.saturating_sub(age));
        Ok(transact!(self.pool, |conn| blobs::sweep(conn, before))?)
    }
    async fn set_artifact(
        &self,
        key: &FunctionKey,
        version: Version,
        artifact: ArtifactRef,
    ) -> Result<(), RegistryStoreError> {
        transact!(self.pool, |conn| registry::set_artifact(
            conn, key, version, &artifact
        ))?
    }
}

#[async_trait]
impl TxStore for PostgresStore {
    async fn reserve(&self, record: TxRecord, balance: Datoshi) -> Result<Reserved, TxStoreError> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            transactions::reserve(conn, &record, balance, again)
        })?)
    }
    async fn advance(&self, record: TxRecord) -> Result<bool, TxStoreError> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            transactions::advance_again(conn, &record, again)
        })?)
    }
    async fn abandon(&self, id: TxId, revision: u64) -> Result<bool, TxStoreError> {
        Ok(transact!(self.pool, |conn| transactions::abandon(
            conn, id, revision
        ))?)
    }
    async fn transaction(&self, id: TxId) -> Result<Option<TxRecord>, TxStoreError> {
        Ok(read!(self.pool, |conn| transactions::by_id(conn, id))?)
    }
    async fn open_transactions(&self, limit: u32) -> Result<Vec<TxRecord>, TxStoreError> {
        Ok(read!(self.pool, |conn| transactions::open(conn, limit))?)
    }
    async fn transactions(
        &self,
        project: &ProjectName,
        before: Option<TxId>,
        limit: u32,
    ) -> Result<Vec<TxRecord>, TxStoreError> {
        Ok(read!(self.pool, |conn| transactions::list(
            conn, project, before, limit
        ))?)
    }
}
