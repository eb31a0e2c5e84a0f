//! Storage for several nodes: one PostgreSQL database behind the ports of registry, engine,
//! chain, identity, secrets and ledger.
//!
//! Results and history are written by a few writers that commit whatever waits in one transaction; what must be
//! decided by itself is a transaction of its own. Knows no scheduling, no policy and no runtime.

mod admit;
mod auditlog;
mod backlog;
mod batch;
mod blobs;
mod claim;
mod conn;
mod error;
mod finish;
mod history;
mod identity;
mod import;
mod keys;
mod kv;
mod lease;
mod ledger;
mod migrate;
mod news;
mod open;
mod promise;
mod prune;
mod queue;
mod record;
mod registry;
mod reply;
mod rows;
mod secret_store;
mod secrets;
mod store;
mod time;
mod transactions;
mod triggers;

pub use error::Fault;
pub use import::Import;
pub use open::{PostgresStore, StoreOptions};
pub use time::TimeOf;
