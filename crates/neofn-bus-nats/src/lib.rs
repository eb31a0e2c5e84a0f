//! The bus over a NATS server: requests over core NATS, queues, buckets and objects over JetStream.
//!
//! The only crate that names async-nats. Creates what it needs and refuses what is there with other settings; knows
//! nothing of functions, and nothing of what the messages hold.

mod blobs;
mod connect;
mod dead;
mod failure;
mod headers;
mod kv;
mod queue;
mod results;
mod rpc;
mod streams;

pub use connect::{Login, Nats, NatsSettings};
pub use streams::{MESSAGES_MAX, StreamSettings};
