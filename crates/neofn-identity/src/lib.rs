//! Who calls, and what they may: sign-in with a wallet, tokens, API keys, roles, policies, rate limits.
//!
//! Knows no transport and no storage (see [`port`]). Takes time and randomness from outside.

pub mod audit;
pub mod auditlog;
pub mod challenge;
mod checksum;
mod key;
pub mod limit;
pub mod policy;
pub mod port;
mod principal;
mod role;
mod service;
pub mod sign_in;
pub mod token;

pub use key::{ApiKey, KeyId, KeyParseError};
pub use principal::{KeyRecord, Membership, Principal, Scope, SignedIn};
pub use role::{Power, PowerParseError, Powers, Role, RoleParseError};
pub use service::{Identity, IdentityOptions, SignInSettings, Tokens};
pub use token::{RefreshToken, SessionId};
