//! gRPC: the same use cases as the HTTP API, for callers that speak protobuf.
//!
//! [`pb`]: the messages of `neofn.v1`. [`server`]: the edge of a node. [`client`]: calls one. Decodes, asks `neofn-api`
//! and encodes; what a caller may do is decided there.

#[cfg(feature = "client")]
pub mod client;
pub mod packed;
pub mod pb;
#[cfg(feature = "server")]
pub mod server;
