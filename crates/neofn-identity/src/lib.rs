//! Who calls: API keys and what they may.
//!
//! Knows no transport and no storage (see [`port`]).

pub mod audit;
pub mod auditlog;
mod key;
pub mod port;
mod principal;

pub use key::{ApiKey, KeyId, KeyParseError};
pub use principal::{KeyRecord, Principal, Scope};
