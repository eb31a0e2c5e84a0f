//! Several nodes as one: workers that host sandboxes, and the runtime through which a gateway uses them.
//!
//! Stands on the ports of `neofn-bus`; knows no NATS, no storage and no edge. What is here may be lost at any moment
//! without losing an invocation: those are in the store, and a run whose worker went away is tried again.

#[cfg(test)]
mod affinity;
mod beat;
mod bounds;
mod host;
mod kept;
mod members;
mod remote;
mod warm;
mod watch;
mod wire;
mod worker;

pub use beat::{Beat, NODE_NAME_BYTES_MAX, Role, Seat, is_node_name};
pub use members::Member;
pub use remote::{RemoteOptions, RemoteRuntime};
pub use warm::warm_name;
pub use wire::PROTOCOL;
pub use worker::{Worker, WorkerOptions};
