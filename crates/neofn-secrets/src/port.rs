//! What secrets need: storage for envelopes, and something that wraps keys.

use crate::key::Key;
use crate::model::{KekRecord, RootRecord, SecretId, SecretRecord};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{ProjectName, SecretName, UnixMillis};

/// The store failed; nothing of the command was written.
#[derive(Debug, thiserror::Error)]
#[error("store failed")]
pub struct SecretStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What becomes of the stored value of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueChange {
    /// Of which version.
    pub version: u32,
    /// The envelope and the version of the project key it is under; none: it is erased.
    pub envelope: Option<(Bytes, u32)>,
}

/// One change of a secret, all or nothing.
#[derive(Debug, Clone)]
pub struct Change {
    /// As it is to be; its revision is one more than before.
    pub record: SecretRecord,
    /// The revision that it replaces; none: there must be no secret of this name.
    pub expected: Option<u64>,
    /// Values that come and go.
    pub values: Vec<ValueChange>,
    /// Most secrets of the project, for a new one.
    pub secrets_max: u32,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is durable.
    Done,
    /// The secret is another than was expected; nothing was written.
    Conflict,
    /// The project has as many secrets as it may; nothing was written.
    Full,
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// Of which secret.
    pub secret: SecretId,
    /// Of which version.
    pub version: u32,
    /// The envelope.
    pub envelope: Bytes,
}

/// Storage of secrets. Everything that is answered is durable.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// The root, once there is one.
    async fn root(&self) -> Result<Option<RootRecord>, SecretStoreError>;
    /// Replaces the root of generation `expected` (none: there must be none) and the wrapped form of every project
    /// key at once. False, and nothing written, when the root is another by now or `keks` are not all there are.
    async fn set_root(
        &self,
        expected: Option<u32>,
        root: RootRecord,
        keks: Vec<KekRecord>,
    ) -> Result<bool, SecretStoreError>;
    /// Every version of every project's key.
    async fn all_keks(&self) -> Result<Vec<KekRecord>, SecretStoreError>;
    /// The versions of a project's key, oldest first.
    async fn keks(&self, project: &ProjectName) -> Result<Vec<KekRecord>, SecretStoreError>;
    /// Adds a version of a project's key. False when it is there already, or was wrapped by a root that is not of
    /// `generation`.
    async fn add_kek(&self, kek: KekRecord, generation: u32) -> Result<bool, SecretStoreError>;
    /// Removes the versions of a project's key before `version` that no value is under. Answers how many.
    async fn drop_keks(&self, project: &ProjectName, before: u32) -> Result<u32, SecretStoreError>;
    /// A secret.
    async fn secret(
        &self,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<Option<SecretRecord>, SecretStoreError>;
    /// Secrets of a project by name, from after `after`.
    async fn secrets(
        &self,
        project: &ProjectName,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<SecretRecord>, SecretStoreError>;
    /// The stored value of a version.
    async fn value(
        &self,
        project: &ProjectName,
        secret: SecretId,
        version: u32,
    ) -> Result<Option<Bytes>, SecretStoreError>;
    /// Values of a project that are under versions of its key before `kek_version`.
    async fn values_under(
        &self,
        project: &ProjectName,
        kek_version: u32,
        limit: u32,
    ) -> Result<Vec<StoredValue>, SecretStoreError>;
    /// Replaces an envelope by one of the same value. False when it is another by now.
    async fn rewrap(
        &self,
        project: &ProjectName,
        old: StoredValue,
        envelope: Bytes,
        kek_version: u32,
    ) -> Result<bool, SecretStoreError>;
    /// Writes a change.
    async fn change(&self, change: Change) -> Result<Changed, SecretStoreError>;
    /// Removes a secret with all its versions. False when its revision is another.
    async fn remove(
        &self,
        project: &ProjectName,
        name: &SecretName,
        revision: u64,
    ) -> Result<bool, SecretStoreError>;
    /// Removes every secret and every key of a project. Answers how many secrets.
    async fn remove_project(&self, project: &ProjectName) -> Result<u32, SecretStoreError>;
    /// Secrets with something to be done by `now`: a rotation, or a value that has expired; the longest due first.
    async fn due(&self, now: UnixMillis, limit: u32) -> Result<Vec<SecretRecord>, SecretStoreError>;
}

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// Not wrapped by this key, or for something else.
    #[error("not wrapped by this key")]
    Wrong,
    /// The service that holds the key is not set up for this; asking again will be refused again.
    #[error("{0}")]
    Refused(Box<neofn_types::Error>),
    /// The service that holds the key does not answer.
    #[error("key service unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Something that holds a root key and never gives it away: memory, or a key service.
#[async_trait]
pub trait KeyWrap: Send + Sync + 'static {
    /// Names the key, for services that hold several.
    fn name(&self) -> String;
    /// Wraps a key for `context`.
    async fn wrap(&self, key: &Key, context: &[u8]) -> Result<Vec<u8>, WrapError>;
    /// Unwraps a key that was wrapped for the same `context`.
    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Key, WrapError>;
}
