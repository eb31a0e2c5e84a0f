//! Embedded storage: one SQLite database and a directory of artifacts, behind the ports of registry, engine,
//! secrets and identity.
//!
//! Every write goes through one thread that commits whatever is waiting in one transaction; reads use
//! connections of their own beside it. Knows no scheduling, no policy and no runtime.

mod auditlog;
mod backlog;
mod blobs;
mod codec;
mod error;
mod export;
mod history;
mod identity;
mod invocations;
mod kv;
mod lease;
mod ledger;
mod lock;
mod memory;
mod migrate;
mod open;
mod promise;
mod prune;
mod reader;
mod registry;
mod reply;
mod secret_store;
mod secrets;
mod snapshot;
mod store;
mod submit;
mod transactions;
mod triggers;
mod writer;

pub use error::Fault;
pub use export::{Export, NamedArtifacts};
pub use lock::DirLock;
pub use migrate::layout;
pub use open::{Store, StoreOptions};
