//! What the node and its sandbox children say to each other, and how it is cut into packets.
//!
//! Knows nothing of engines or pools. The node must survive any bytes a child sends: a child runs tenants' code
//! and is believed only as far as its own calls go.

pub mod control;
pub mod fds;
pub mod frame;
pub mod message;
pub mod socket;

pub use frame::{Frame, Kind, Message, Reassembly};
