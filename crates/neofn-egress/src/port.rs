//! What the broker needs: names resolved.

use async_trait::async_trait;
use std::io;
use std::net::IpAddr;

/// Turns names into addresses. What it answers is checked, every address of it.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, in the order in which they are to be tried.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        // the port is not used; the call wants one
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|a| a.ip()).collect())
    }
}
