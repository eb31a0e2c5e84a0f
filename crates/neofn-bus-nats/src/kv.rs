//! A bucket of keys and values over JetStream.

use crate::failure::unavailable;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use neofn_bus::BusError;
use neofn_bus::port::{Entry, Kv};
use neofn_types::Error;

/// See [`Kv`].
pub(crate) struct NatsKv(Store);

impl NatsKv {
    pub(crate) async fn open(context: &Context, bucket: &str) -> Result<Self, Error> {
        Ok(Self(context.get_key_value(bucket).await.map_err(unavailable)?))
    }
}

#[async_trait]
impl Kv for NatsKv {
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError> {
        let entry = self.0.entry(key).await.map_err(unavailable)?;
        Ok(entry.filter(|e| e.operation == Operation::Put).map(|e| Entry {
            key: e.key,
            value: e.value,
            revision: e.revision,
        }))
    }
    async fn put(&self, key: &str, value: Bytes) -> Result<u64, BusError> {
        self.0.put(key, value).await.map_err(unavailable)
    }
    async fn create(&self, key: &str, value: Bytes) -> Result<u64, BusError> {
        self.0.create(key, value).await.map_err(|e| match e.kind() {
            CreateErrorKind::AlreadyExists => BusError::Conflict(key.to_owned()),
            _ => unavailable(e),
        })
    }
    async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, BusError> {
        self.0
            .update(key, value, revision)
            .await
            .map_err(|e| match e.kind() {
                UpdateErrorKind::WrongLastRevision => BusError::Conflict(key.to_owned()),
                _ => unavailable(e),
            })
    }
    async fn delete(&self, key: &str) -> Result<(), BusError> {
        self.0.purge(key).await.map_err(unavailable)
    }
    async fn entries(&self) -> Result<Vec<Entry>, BusError> {
        let mut keys = self.0.keys().await.map_err(unavailable)?;
        let mut entries = Vec::new();
        while let Some(key) = keys.next().await {
            // one that went meanwhile is not there
            entries.extend(self.get(&key.map_err(unavailable)?).await?);
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }
}
