//! Requests of functions to other hosts: the one way out.
//!
//! A request goes where a grant allows, to addresses that were checked and to exactly those, within limits, and carries
//! values of secrets that its sender never saw. Each redirect is a request like the first. Knows no function's code,
//! no storage and no engine, so that it builds and is tested without any of them.

mod address;
mod body;
mod breaker;
mod broker;
mod cidr;
mod connect;
mod decode;
mod handles;
mod headers;
mod hop;
mod limits;
pub mod port;
mod request;
mod room;
mod shares;
mod target;
mod tls;

pub use address::Reach;
pub use broker::{Broker, BrokerOptions};
pub use cidr::{Cidr, ParseCidrError};
pub use handles::{Handle, handle_names};
pub use limits::EgressLimits;
pub use request::{Fetch, Fetched, Redirects};
pub use tls::{TlsRoots, read_ca_file};
