//! One file per resource; each handler decodes, calls a use case and encodes.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod books;
pub(crate) mod chain;
pub(crate) mod docs;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod functions;
pub(crate) mod gas;
pub(crate) mod invocations;
pub(crate) mod invoke;
pub(crate) mod logs;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod projects;
pub(crate) mod secrets;
pub(crate) mod signer;
pub(crate) mod transactions;
pub(crate) mod triggers;
