//! What the broker needs: names resolved.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

/// Turns names into addresses. What it answers is checked, every address of it.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, in the order in which they are to be tried. Blocks a thread until it knows, which may be
    /// long after nobody waits for it any more: the broker bounds how many it has under way.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        // the port is not used; the call wants one
        let found = (host, 0).to_socket_addrs()?;
        Ok(found.map(|a| a.ip()).collect())
    }
}
