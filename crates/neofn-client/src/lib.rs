//! A blocking client of the HTTP API, and how to find a node on this machine.
//!
//! Knows the wire types and nothing of servers, manifests or terminals.

mod api;
mod chain;
mod discover;
mod error;
mod follow;
mod gas;
mod identity;
mod secrets;
mod transport;
mod triggers;

pub use api::Page;
pub use chain::{FiredFilter, Notifications};
pub use discover::{Environment, Found, find};
pub use error::Error;
pub use follow::Follow;
pub use transport::{Client, Options};
