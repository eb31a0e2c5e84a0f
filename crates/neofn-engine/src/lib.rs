//! Deploys, admits, dispatches and settles: the path of a call, without any edge.
//!
//! Knows no HTTP and no storage vendor (see [`port`]).

pub mod port;
pub mod request;
