//! What the nodes of a cluster say to each other: ports, an in-process implementation, and the suite that every
//! implementation has to pass.
//!
//! The store is the truth and the bus a hint: whatever it delivers may come twice, late or not at all, and nothing that
//! must not be lost is kept here alone. Knows no vendor.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod memory;
mod message;
pub mod port;
pub mod subject;

pub use error::BusError;
pub use message::Message;
pub use port::Bus;
