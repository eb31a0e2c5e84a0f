//! What the registry needs from storage. Each method is one transaction: all of it or nothing.

use crate::{ArtifactRef, FunctionRecord, VersionRecord, VersionSpec};
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{
    Digest, FunctionKey, FunctionName, Grants, InvocationId, ProjectName, UnixMillis, Version,
};
use std::time::Duration;

/// Why a registry command was not done.
#[derive(Debug, thiserror::Error)]
pub enum RegistryStoreError {
    /// No such function.
    #[error("function not found")]
    FunctionNotFound,
    /// No such version.
    #[error("version not found")]
    VersionNotFound,
    /// The project was deleted; its name is not used again.
    #[error("project ended")]
    ProjectEnded,
    /// What is live is not what the command stands on.
    #[error("another version is live")]
    LiveMoved,
    /// A blob whose digest is not what it was asked for, or is missing.
    #[error("artifact {0} is missing or damaged")]
    ArtifactDamaged(Digest),
    /// The database or the disk.
    #[error("store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What of the live version a command stands on: what was taken away since does not come back with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Upon {
    /// Nothing.
    #[default]
    Anything,
    /// What it may reach; nothing, while there is no function.
    Grants(Grants),
    /// All of it: the version of this digest.
    Version(Digest),
}

impl Upon {
    /// Whether it stands with what is live now.
    #[must_use]
    pub fn holds(&self, live: Option<&VersionRecord>) -> bool {
        match self {
            Self::Anything => true,
            Self::Grants(grants) => {
                live.map_or(*grants == Grants::default(), |live| live.spec.grants == *grants)
            }
            Self::Version(digest) => live.is_some_and(|live| live.digest == *digest),
        }
    }
}

/// A version to be made live.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Whose.
    pub key: FunctionKey,
    /// The id of the function if it does not exist yet.
    pub new_id: InvocationId,
    /// What the version is.
    pub spec: VersionSpec,
    /// `spec.digest(engine)`.
    pub digest: Digest,
    /// Its compiled form; every blob was stored before.
    pub artifact: ArtifactRef,
    /// What has to be live still.
    pub upon: Upon,
    /// Now.
    pub at: UnixMillis,
}

/// What a publication did.
#[derive(Debug, Clone)]
pub struct Published {
    /// The function as it is now.
    pub function: FunctionRecord,
    /// The version that is live now.
    pub version: VersionRecord,
    /// Whether the function is new.
    pub created: bool,
    /// Whether the live version was already this one, so that nothing changed.
    pub unchanged: bool,
}

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; absent at the end.
    pub next: Option<String>,
}

/// Storage of functions, versions and artifacts.
#[async_trait]
pub trait RegistryStore: Send + Sync + 'static {
    /// Makes project, function and version as needed and moves `live`; `ProjectEnded` in one that was deleted. When a version with the same digest
    /// exists, `live` moves to that one and no version is made; when it is live already, nothing changes. `LiveMoved`, and nothing
    /// made, when it would change and `upon` does not hold.
    async fn publish(&self, publish: Publish) -> Result<Published, RegistryStoreError>;
    /// A function.
    async fn function(&self, key: &FunctionKey) -> Result<Option<FunctionRecord>, RegistryStoreError>;
    /// The functions of a project by name, `after` that name, `limit` at the most.
    async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionRecord>, RegistryStoreError>;
    /// Whether the project exists; one that ended does not.
    async fn project_exists(&self, project: &ProjectName) -> Result<bool, RegistryStoreError>;
    /// The projects by name.
    async fn projects(&self) -> Result<Vec<ProjectName>, RegistryStoreError>;
    /// A version.
    async fn version(
        &self,
        key: &FunctionKey,
        version: Version,
    ) -> Result<Option<VersionRecord>, RegistryStoreError>;
    /// All versions, newest first, `limit` at the most, older than `before`.
    async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, RegistryStoreError>;
    /// Moves `live`; `LiveMoved` when it is elsewhere and `upon` does not hold.
    async fn set_live(
        &self,
        key: &FunctionKey,
        version: Version,
        upon: &Upon,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError>;
    /// Switches on or off.
    async fn set_active(
        &self,
        key: &FunctionKey,
        active: bool,
        at: UnixMillis,
    ) -> Result<FunctionRecord, RegistryStoreError>;
    /// Removes a function, its versions, its history and its queued invocations, whose money goes back. What is running runs on,
    /// and is paid for.
    async fn delete_function(&self, key: &FunctionKey) -> Result<(), RegistryStoreError>;
    /// Stores bytes under their digest; durable when it returns; the same bytes twice are stored once.
    async fn put_blob(&self, bytes: Bytes) -> Result<Digest, RegistryStoreError>;
    /// Reads bytes back and checks their digest.
    async fn blob(&self, digest: Digest) -> Result<Bytes, RegistryStoreError>;
    /// Removes bytes that no version names and that nobody has stored for that long; answers how many.
    async fn sweep_blobs(&self, unstored_for: Duration) -> Result<u32, RegistryStoreError>;
    /// Replaces the compiled form of a version after the engine changed.
    async fn set_artifact(
        &self,
        key: &FunctionKey,
        version: Version,
        artifact: ArtifactRef,
    ) -> Result<(), RegistryStoreError>;
}
