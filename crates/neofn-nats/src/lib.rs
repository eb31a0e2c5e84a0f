//! The NATS edge: functions invoked by request and by message, CloudEvents taken, the node found and asked how it is.
//!
//! A translation as the HTTP edge is: decode, one use case, encode. Stands on the ports of `neofn-bus`, so it knows no
//! NATS client, and it knows nothing below the use cases.

mod answer;
mod jobs;
mod request;
mod requests;
mod room;
mod service;
mod teller;

pub use requests::{NatsEdge, NatsEdgeOptions};
