//! The real store behind switches: what happens when a command fails, or takes long?

use async_trait::async_trait;
use bytes::Bytes;
use neofn_engine::port::{
    Admitted, Backlog, Claimed, Finish, InvocationFilter, InvocationRecord, InvocationStore, NewInvocation,
    Record, Replayable, Retention, Rooms, StoreError, Totals,
};
use neofn_registry::port::{Publish, Published, RegistryStore, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, FunctionRecord, VersionRecord};
use neofn_store_sqlite::Store;
use neofn_types::{Digest, Fence, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

pub struct Switched {
    pub store: Arc<Store>,
    pub fail_publish: AtomicBool,
    pub fail_blobs: AtomicBool,
    /// Finishes that fail before one succeeds.
    pub fail_finish: AtomicU32,
    /// Reads of functions, versions and blobs.
    pub reads: AtomicU32,
    /// `record` waits for a permit while this is set.
    pub hold_records: AtomicBool,
    pub fail_records: AtomicBool,
    pub records: Semaphore,
}

impl Switched {
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            fail_publish: AtomicBool::new(false),
            fail_blobs: AtomicBool::new(false),
            fail_finish: AtomicU32::new(0),
            reads: AtomicU32::new(0),
            hold_records: AtomicBool::new(false),
            fail_records: AtomicBool::new(false),
            records: Semaphore::new(0),
        }
    }
    fn read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }
}

fn broken() -> RegistryStoreError {
    RegistryStoreError::Backend("disk full".into())
}

#[async_trait]
impl RegistryStore for Switched {
    async fn publish(&self, publish: Publish) -> Result<Published, RegistryStoreError> {
        if self.fail_publish.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.store.publish(publish).await
    }
    async fn function(&self, key: &FunctionKey) -> Result<Option<FunctionRecord>, RegistryStoreError> {
        self.read();
        self.store.function(key).await
    }
    async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionRecord>, RegistryStoreError> {
        self.store.functions(project, after, limit).await
    }
    async fn project_exists(&self, project: &ProjectName) -> Result<bool, RegistryStoreError> {
        self.store.project_exists(project).await
    }
    async fn projects(&self) -> Result<Vec<ProjectName>, RegistryStoreError> {
        self.store.projects().await
    }
    async fn version(
        &self,
        key: &FunctionKey,
        version: Version,
    ) -> Result<Option<VersionRecord>, RegistryStoreError> {
        self.read();
        self.store.version(key, version).await
    }
    async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, RegistryStoreError> {
        self.store.versions(key, before, limit).await
    }
    async fn set_live(
        &self,
        key: &FunctionKey,
        version: Version,
        upon: &Upon,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        self.store.set_live(key, version, upon, at).await
    }
    async fn set_active(
        &self,
        key: &FunctionKey,
        active: bool,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError> {
        RegistryStore::set_active(&*self.store, key, active, at).await
    }
    async fn delete_function(&self, key: &FunctionKey) -> Result<(), RegistryStoreError> {
        self.store.delete_function(key).await
    }
    async fn put_blob(&self, bytes: Bytes) -> Result<Digest, RegistryStoreError> {
        if self.fail_blobs.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.store.put_blob(bytes).await
    }
    async fn blob(&self, digest: Digest) -> Result<Bytes, RegistryStoreError> {
        self.read();
        self.store.blob(digest).await
    }
    async fn sweep_blobs(&self, unstored_for: Duration) -> Result<u32, RegistryStoreError> {
        self.store.sweep_blobs(unstored_for).await
    }
    async fn set_artifact(
        &self,
        key: &FunctionKey,
        version: Version,
        artifact: ArtifactRef,
    ) -> Result<(), RegistryStoreError> {
        self.store.set_artifact(key, version, artifact).await
    }
}

#[async_trait]
impl InvocationStore for Switched {
    async fn admit(&self, new: NewInvocation) -> Result<Admitted, StoreError> {
        self.store.admit(new).await
    }
    async fn claim(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
        rooms: &Rooms,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.store.claim(now, lease, limit, rooms).await
    }
    async fn release(&self, held: &[(InvocationId, Fence)]) -> Result<(), StoreError> {
        self.store.release(held).await
    }
    async fn renew(
        &self,
        held: &[(InvocationId, Fence)],
        now: UnixMillis,
        lease: Duration,
    ) -> Result<Vec<InvocationId>, StoreError> {
        self.store.renew(held, now, lease).await
    }
    async fn finish(&self, finish: Finish) -> Result<(), StoreError> {
        let failing = |n: u32| n.checked_sub(1);
        if self
            .fail_finish
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing)
            .is_ok()
        {
            return Err(StoreError::Backend("disk full".into()));
        }
        self.store.finish(finish).await
    }
    async fn record(&self, record: Record) -> Result<(), StoreError> {
        if self.hold_records.load(Ordering::SeqCst) {
            self.records.acquire().await.unwrap().forget();
        }
        self.store.record(record).await
    }
    async fn record_all(&self, records: Arc<[Record]>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if self.hold_records.load(Ordering::SeqCst) {
            let n = u32::try_from(records.len()).unwrap();
            self.records.acquire_many(n).await.unwrap().forget();
        }
        if self.fail_records.load(Ordering::SeqCst) {
            return Err(StoreError::Backend("one of them".into()));
        }
        self.store.record_all(records).await
    }
    async fn requeue_expired(&self, now: UnixMillis) -> Result<u32, StoreError> {
        self.store.requeue_expired(now).await
    }
    async fn backlog(&self, now: UnixMillis, limit: u32) -> Result<Vec<Backlog>, StoreError> {
        self.store.backlog(now, limit).await
    }
    async fn next_due(&self, now: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        self.store.next_due(now).await
    }
    async fn invocation(&self, id: InvocationId) -> Result<Option<InvocationRecord>, StoreError> {
        self.store.invocation(id).await
    }
    async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, StoreError> {
        self.store.invocations(key, filter).await
    }
    async fn replayable(&self, id: InvocationId) -> Result<Option<Replayable>, StoreError> {
        self.store.replayable(id).await
    }
    async fn prune(&self, retention: Retention, now: UnixMillis, limit: u32) -> Result<u32, StoreError> {
        self.store.prune(retention, now, limit).await
    }
    async fn totals(&self) -> Result<Totals, StoreError> {
        self.store.totals().await
    }
}
