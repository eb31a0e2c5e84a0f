//! The chain: a port that a second chain could implement, and Neo N3 behind it.
//!
//! Knows no function, no trigger and no storage. Time is injected; the socket only ever wakes somebody up.

mod error;
pub mod model;
pub mod port;
pub mod stack;

pub use error::{ChainError, Refusal};
