//! The HTTP edge: decodes, calls a use case, encodes.
//!
//! Knows no storage, no runtime and no rules of who may do what: those are `neofn-api`'s.

mod body;
mod docs;
mod encode;
mod extract;
mod gateway;
mod handlers;
mod metrics;
mod once;
pub mod openapi;
mod problem;
mod router;
mod self_wake;
mod server;
mod shield;
mod slow;
mod unread;

pub use router::{ENDPOINTS, Edge, EdgeService, Endpoint};
pub use server::{Bound, ServerOptions};
