//! The chain: a port that a second chain could implement, and Neo N3 behind it.
//!
//! Knows no function, no trigger and no storage. Time is injected; the socket only ever wakes somebody up.

pub mod contract;
pub mod decode;
pub mod dev;
mod error;
pub mod fee;
pub mod key;
pub mod listing;
pub mod manager;
pub mod model;
pub mod pool;
pub mod port;
mod rpc;
pub mod script;
pub mod sign_in;
pub mod signer;
pub mod stack;
pub mod tx;
pub mod wallet;

pub use error::{ChainError, Refusal};
