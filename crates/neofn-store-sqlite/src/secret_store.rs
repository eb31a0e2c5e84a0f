//! The port of secrets. Whoever wrote was answered after the commit, so that no read waits for the writer.

use crate::error::Fault;
use crate::open::Store;
use crate::secrets;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_secrets::port::{Change, Changed, SecretStore, SecretStoreError, StoredValue};
use neofn_secrets::{KekRecord, RootRecord, SecretId, SecretRecord};
use neofn_types::{ProjectName, SecretName, UnixMillis};
use rusqlite::Connection;

type Answer<T> = Result<T, SecretStoreError>;

impl Store {
    async fn look<T, F>(&self, query: F) -> Answer<T>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        Ok(self.readers.read(query).await?)
    }
}

#[async_trait]
impl SecretStore for Store {
    async fn root(&self) -> Answer<Option<RootRecord>> {
        self.look(secrets::root).await
    }
    async fn set_root(&self, expected: Option<u32>, root: RootRecord, keks: Vec<KekRecord>) -> Answer<bool> {
        let bytes = keks.iter().map(|k| k.wrapped.len()).sum();
        Ok(self
            .queue
            .call(bytes, move |work| {
                secrets::set_root(work.conn, expected, &root, &keks)
            })
            .await?)
    }
    async fn all_keks(&self) -> Answer<Vec<KekRecord>> {
        self.look(|conn| secrets::keks(conn, None)).await
    }
    async fn keks(&self, project: &ProjectName) -> Answer<Vec<KekRecord>> {
        let project = project.clone();
        self.look(move |conn| secrets::keks(conn, Some(&project))).await
    }
    async fn add_kek(&self, kek: KekRecord, generation: u32) -> Answer<bool> {
        Ok(self
            .queue
            .call(0, move |work| secrets::add_kek(work.conn, &kek, generation))
            .await?)
    }
    async fn drop_keks(&self, project: &ProjectName, before: u32) -> Answer<u32> {
        let project = project.clone();
        Ok(self
            .queue
            .call(0, move |work| secrets::drop_keks(work.conn, &project, before))
            .await?)
    }
    async fn secret(&self, project: &ProjectName, name: &SecretName) -> Answer<Option<SecretRecord>> {
        let (project, name) = (project.clone(), name.clone());
        self.look(move |conn| secrets::secret(conn, &project, &name))
            .await
    }
    async fn secrets(
        &self,
        project: &ProjectName,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Answer<Vec<SecretRecord>> {
        let (project, after) = (project.clone(), after.cloned());
        self.look(move |conn| secrets::secrets(conn, &project, after.as_ref(), limit))
            .await
    }
    async fn value(&self, project: &ProjectName, secret: SecretId, version: u32) -> Answer<Option<Bytes>> {
        let project = project.clone();
        self.look(move |conn| secrets::value(conn, &project, secret, version))
            .await
    }
    async fn values_under(&self, project: &ProjectName, kek: u32, limit: u32) -> Answer<Vec<StoredValue>> {
        let project = project.clone();
        self.look(move |conn| secrets::values_under(conn, &project, kek, limit))
            .await
    }
    async fn rewrap(
        &self,
        project: &ProjectName,
        old: StoredValue,
        envelope: Bytes,
        kek: u32,
    ) -> Answer<bool> {
        let project = project.clone();
        Ok(self
            .queue
            .call(envelope.len(), move |work| {
                secrets::rewrap(work.conn, &project, &old, &envelope, kek)
            })
            .await?)
    }
    async fn change(&self, change: Change) -> Answer<Changed> {
        let values = change.values.iter().filter_map(|v| v.envelope.as_ref());
        let bytes = values.map(|(envelope, _)| envelope.len()).sum();
        Ok(self
            .queue
            .call(bytes, move |work| secrets::change(work.conn, &change))
            .await?)
    }
    async fn remove(&self, project: &ProjectName, name: &SecretName, revision: u64) -> Answer<bool> {
        let (project, name) = (project.clone(), name.clone());
        Ok(self
            .queue
            .call(0, move |work| {
                secrets::remove(work.conn, &project, &name, revision)
            })
            .await?)
    }
    async fn remove_project(&self, project: &ProjectName) -> Answer<u32> {
        let project = project.clone();
        Ok(self
            .queue
            .call(0, move |work| secrets::remove_project(work.conn, &project))
            .await?)
    }
    async fn due(&self, now: UnixMillis, limit: u32) -> Answer<Vec<SecretRecord>> {
        self.look(move |conn| secrets::due(conn, now, limit)).await
    }
}
