//! One Neo N3 node: JSON-RPC over HTTP, and the socket on which it announces blocks.

mod blocks;
mod client;
mod endpoint;
mod node;
mod socket;
mod wire;

pub(crate) use node::{Node, Version};
pub(crate) use socket::announcements;
