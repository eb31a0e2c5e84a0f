//! The edge: listens, decodes, asks the use cases, encodes.

mod call;
mod convert;
mod deadline;
mod edge;
mod listen;
mod receiving;
mod service;
mod status;

pub use edge::Edge;
pub use listen::{Bound, ServerOptions};
