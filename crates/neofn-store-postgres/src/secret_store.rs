//! The port of secrets.

use crate::conn::{Tries, read, transact};
use crate::open::PostgresStore;
use crate::secrets;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_secrets::port::{Change, Changed, SecretStore, SecretStoreError, StoredValue};
use neofn_secrets::{KekRecord, RootRecord, SecretId, SecretRecord};
use neofn_types::{ProjectName, SecretName, UnixMillis};

type Answer<T> = Result<T, SecretStoreError>;

#[async_trait]
impl SecretStore for PostgresStore {
    async fn root(&self) -> Answer<Option<RootRecord>> {
        Ok(read!(self.pool, |conn| secrets::root(conn))?)
    }
    async fn set_root(&self, expected: Option<u32>, root: RootRecord, keks: Vec<KekRecord>) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| secrets::set_root(
            conn, expected, &root, &keks
        ))?)
    }
    async fn all_keks(&self) -> Answer<Vec<KekRecord>> {
        Ok(read!(self.pool, |conn| secrets::keks(conn, None))?)
    }
    async fn keks(&self, project: &ProjectName) -> Answer<Vec<KekRecord>> {
        Ok(read!(self.pool, |conn| secrets::keks(conn, Some(project)))?)
    }
    async fn add_kek(&self, kek: KekRecord, generation: u32) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| secrets::add_kek(
            conn, &kek, generation
        ))?)
    }
    async fn drop_keks(&self, project: &ProjectName, before: u32) -> Answer<u32> {
        Ok(transact!(self.pool, |conn| secrets::drop_keks(
            conn, project, before
        ))?)
    }
    async fn secret(&self, project: &ProjectName, name: &SecretName) -> Answer<Option<SecretRecord>> {
        Ok(read!(self.pool, |conn| secrets::secret(conn, project, name))?)
    }
    async fn secrets(
        &self,
        project: &ProjectName,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Answer<Vec<SecretRecord>> {
        Ok(read!(self.pool, |conn| secrets::secrets(
            conn, project, after, limit
        ))?)
    }
    async fn value(&self, project: &ProjectName, secret: SecretId, version: u32) -> Answer<Option<Bytes>> {
        Ok(read!(self.pool, |conn| secrets::value(
            conn, project, secret, version
        ))?)
    }
    async fn values_under(&self, project: &ProjectName, kek: u32, limit: u32) -> Answer<Vec<StoredValue>> {
        Ok(read!(self.pool, |conn| secrets::values_under(
            conn, project, kek, limit
        ))?)
    }
    async fn rewrap(
        &self,
        project: &ProjectName,
        old: StoredValue,
        envelope: Bytes,
        kek: u32,
    ) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| secrets::rewrap(
            conn, project, &old, &envelope, kek
        ))?)
    }
    async fn change(&self, change: Change) -> Answer<Changed> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            secrets::change(conn, &change, again)
        })?)
    }
    async fn remove(&self, project: &ProjectName, name: &SecretName, revision: u64) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| secrets::remove(
            conn, project, name, revision
        ))?)
    }
    async fn remove_project(&self, project: &ProjectName) -> Answer<u32> {
        Ok(transact!(self.pool, |conn| secrets::remove_project(
            conn, project
        ))?)
    }
    async fn due(&self, now: UnixMillis, limit: u32) -> Answer<Vec<SecretRecord>> {
        Ok(read!(self.pool, |conn| secrets::due(conn, now, limit))?)
    }
}
