//! What identity needs from storage.

use crate::{KeyId, KeyRecord};
use async_trait::async_trait;

/// Why an identity command was not done.
#[derive(Debug, thiserror::Error)]
#[error("store failed")]
pub struct IdentityStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Storage of API keys.
#[async_trait]
pub trait IdentityStore: Send + Sync + 'static {
    /// Adds a key; durable when it returns.
    async fn add_key(&self, key: KeyRecord) -> Result<(), IdentityStoreError>;
    /// A key.
    async fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, IdentityStoreError>;
    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, IdentityStoreError>;
}
