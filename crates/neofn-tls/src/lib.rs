//! TLS of the listeners: a certificate and its key from files, the authorities whose clients are let in, and both read
//! anew while the node runs. Knows no HTTP, no gRPC, and no timer: whoever owns it says when to look again.

mod certificates;
mod pem;
mod validity;

pub use certificates::{Acceptor, Certificates, Protocol, TlsFiles};
pub use tokio_rustls::server::TlsStream;
pub use validity::{Concern, Matter, concerns_of};
