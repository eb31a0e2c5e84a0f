//! The nodes of a cluster, for operators.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use async_trait::async_trait;
use neofn_identity::Principal;
use neofn_types::{Error, ProjectName};
use neofn_wire::{DeadMessage, ServiceList};
use std::sync::Arc;

/// Knows which nodes are there.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// All of them, and what waits between them.
    async fn list(&self) -> Result<ServiceList, Error>;
    /// Whether workers run everything that this node is asked for.
    fn needs_workers(&self) -> bool;
    /// Whether it has lost the others at the moment.
    fn is_cut_off(&self) -> bool;
    /// Messages of a project that could never work, newest first.
    async fn dead_messages(&self, project: &ProjectName, most: usize) -> Result<Vec<DeadMessage>, Error>;
}

impl Api {
    /// Tells the use cases who knows the other nodes; once, before anybody asks.
    pub fn know_services(&self, services: Arc<dyn Services>) {
        if self.inner.services.set(services).is_err() {
            tracing::error!("the services are known already");
        }
    }

    /// The nodes that are there.
    pub async fn services(&self, who: &Principal) -> Result<ServiceList, ApiError> {
        self.authorise(who, Action::ListServices, Target::Node { loopback: false })?;
        match self.inner.services.get() {
            Some(services) => Ok(services.list().await?),
            None => Ok(ServiceList {
                nodes: Vec::new(),
                queues: Vec::new(),
                nats: None,
                connected: None,
            }),
        }
    }
}
