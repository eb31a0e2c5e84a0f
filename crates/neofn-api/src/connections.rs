//! Connections of a listener: how many there are, and how many of them one address may have, so that nobody holds all.

use crate::api::Api;
use crate::remote::Proxies;
use neofn_identity::limit::customer;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections of a listener, by who has them. Proxies that are trusted and programs on this machine stand for many,
/// and are not counted.
#[derive(Debug)]
pub struct Connections {
    free: Arc<Semaphore>,
    each: usize,
    proxies: Proxies,
    open: Open,
    told: AtomicBool,
}

/// How many each address has.
type Open = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The place of an open connection, among all and among those of its address. Drop it when the connection is closed.
#[derive(Debug)]
pub struct Opened {
    _free: OwnedSemaphorePermit,
    _counted: Counted,
}

/// One of its address's; none: of one that is not counted.
#[derive(Debug)]
struct Counted(Option<(Open, IpAddr)>);

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((open, from)) = self.0.take() else { return };
        let mut open = open.lock();
        match open.get_mut(&from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&from);
            }
        }
    }
}

impl Connections {
    fn new(most: usize, proxies: Proxies) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            each: (most / 4).max(1),
            proxies,
            open: Arc::default(),
            told: AtomicBool::new(false),
        }
    }

    /// The next one, once there is a place for it; none when that failed, or when its address has its share.
    pub async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, Opened)> {
        let free = self.free.clone().acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let opened = Opened {
                    _free: free,
                    _counted: self.count(peer.ip())?,
                };
                Some((stream, peer, opened))
            }
            Err(e) => {
                // out of descriptors, most likely: without a pause this would spin until one is free
                tracing::warn!(error = %e, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    /// One more from there; none when it has its share.
    fn count(&self, from: IpAddr) -> Option<Counted> {
        let from = from.to_canonical();
        if from.is_loopback() || self.proxies.trusts(from) {
            return Some(Counted(None));
        }
        let from = customer(from);
        let mut open = self.open.lock();
        let count = open.entry(from).or_default();
        if *count < self.each {
            *count += 1;
            return Some(Counted(Some((Arc::clone(&self.open), from))));
        }
        drop(open);
        if !self.told.swap(true, Ordering::Relaxed) {
            let most = self.each;
            tracing::warn!(%from, most, "more connections than one address may have: if it is a proxy of yours, give --trusted-proxy");
        }
        None
    }
}

impl Api {
    /// For a listener with so many connections, a quarter of which one address may have.
    #[must_use]
    pub fn connections(&self, most: usize) -> Connections {
        Connections::new(most, self.inner.proxies.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_quarter_and_proxies_all() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let connections = Connections::new(8, proxies);
        let open = |from: &str| connections.count(from.parse().unwrap());
        let mut held = vec![open("192.0.2.1").unwrap(), open("::ffff:192.0.2.1").unwrap()];
        assert!(open("192.0.2.1").is_none());
        held.push(open("192.0.2.2").unwrap());
        held.extend([open("2001:db8::1").unwrap(), open("2001:db8::ffff:2").unwrap()]);
        assert!(open("2001:db8::3").is_none(), "one customer");
        held.push(open("2001:db8:0:1::1").unwrap());
        for many in [
            "10.0.0.2",
            "127.0.0.1",
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.2",
        ] {
            held.extend((0..5).map(|_| open(many).unwrap()));
        }
        held.remove(0);
        held.push(open("192.0.2.1").unwrap());
        assert!(open("192.0.2.1").is_none());
        drop(held);
        assert!(connections.open.lock().is_empty(), "nothing is left of them");
        assert!(
            Connections::new(1, Proxies::default())
                .count("192.0.2.1".parse().unwrap())
                .is_some()
        );
    }
}
