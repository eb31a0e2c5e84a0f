//! What the engine needs from storage and from a compiler. Each method of a store is one transaction: all of it
//! or nothing.
//!
//! The store is the truth: an accepted asynchronous invocation is on disk when `admit` returns, and whatever an
//! invocation did is on disk when `finish` returns, guarded by its fence.

mod chain;
mod compile;
mod invocations;
mod kv;
mod leases;
mod replies;

pub use chain::*;
pub use compile::*;
pub use invocations::*;
pub use kv::*;
pub use leases::*;
pub use replies::*;

use async_trait::async_trait;
use neofn_gas::ledger::Refused;
use neofn_types::{Error, ProjectName};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another attempt owns the invocation, or it has ended.
    #[error("stale fence")]
    Fenced,
    /// No such row.
    #[error("not found")]
    NotFound,
    /// The same idempotency key came with another request.
    #[error("idempotency key used for another request")]
    IdempotencyMismatch,
    /// The function's queue is full.
    #[error("queue full")]
    QueueFull,
    /// A compare-and-set was no longer true at the commit; nothing was written.
    #[error("key {0:?} changed meanwhile")]
    KvConflict(String),
    /// A counter's key holds something else, or its sum would leave ±[`COUNTER_MAX`]; nothing was written.
    #[error("key {0:?} is not a counter, or would leave ±2^53")]
    KvNotCounter(String),
    /// The project's quota; nothing was written.
    #[error("key-value quota exceeded")]
    KvQuota,
    /// The ledger set nothing aside; nothing was written.
    #[error(transparent)]
    Unpaid(Refused),
    /// The database or the disk.
    #[error("store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An act of a function, or of the node itself, that matters to security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Whose; none: of the node as a whole.
    pub project: Option<ProjectName>,
    /// `function hello`, or `node`.
    pub actor: String,
    /// `secret.set`
    pub action: &'static str,
    /// On what.
    pub target: String,
    /// More of it.
    pub detail: String,
}

/// Where such acts are written down, before they are done.
#[async_trait]
pub trait ActLog: Send + Sync + 'static {
    /// Writes one down; it is on disk when this returns.
    async fn write(&self, act: Act) -> Result<(), Error>;
}
