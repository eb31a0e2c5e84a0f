//! Where a request comes from: the other end of the connection, or whom a proxy that is trusted names. Knows no HTTP; the
//! header is handed in as text.

use neofn_egress::Cidr;
use std::net::{IpAddr, SocketAddr};

/// Hops of a header that are looked at; nobody has so many proxies.
const HOPS_MAX: usize = 32;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// The address whose requests are counted.
    pub address: IpAddr,
    /// Whether a program on this machine calls on its own behalf: nothing between it and us says that it forwards.
    pub here: bool,
}

/// What proxies said about a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forwarded<'a> {
    /// `X-Forwarded-For`: all of its values, joined by commas, the nearest proxy's last.
    pub x_forwarded_for: Option<&'a str>,
    /// Whether there is any header by which proxies say that they forward.
    pub by_anyone: bool,
}

/// Networks of proxies whose word is taken.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<Cidr>);

impl Proxies {
    /// Those in these networks.
    #[must_use]
    pub fn new(networks: Vec<Cidr>) -> Self {
        Self(networks)
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// From the nearest hop outwards, as far as each one is trusted: the first that is not is who calls. What stands
    /// before that was written by the caller.
    #[must_use]
    pub fn remote(&self, connected: IpAddr, forwarded: Forwarded<'_>) -> Remote {
        let mut address = connected.to_canonical();
        let here = address.is_loopback() && !forwarded.by_anyone;
        let hops = forwarded.x_forwarded_for.unwrap_or_default();
        for hop in hops.rsplit(',').take(HOPS_MAX) {
            if !self.trusts(address) {
                break;
            }
            let Some(next) = hop_address(hop.trim()) else {
                break;
            };
            address = next.to_canonical();
        }
        Remote { address, here }
    }
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let plain = bare.unwrap_or(text).parse().ok();
    plain.or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(networks: &[&str], connected: &str, header: Option<&str>) -> (String, bool) {
        let proxies = Proxies::new(networks.iter().map(|n| n.parse().unwrap()).collect());
        let forwarded = Forwarded {
            x_forwarded_for: header,
            by_anyone: header.is_some(),
        };
        let remote = proxies.remote(connected.parse().unwrap(), forwarded);
        (remote.address.to_string(), remote.here)
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_calls() {
        let (proxies, own) = (&["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"][..], &[][..]);
        for (networks, connected, header, address, here) in [
            (own, "127.0.0.1", None, "127.0.0.1", true),
            (own, "::ffff:127.0.0.1", None, "127.0.0.1", true),
            (own, "203.0.113.9", None, "203.0.113.9", false),
            // nobody is trusted: the header is the caller's own invention, but it takes the privilege of being here
            (own, "127.0.0.1", Some("198.51.100.1"), "127.0.0.1", false),
            (own, "203.0.113.9", Some("198.51.100.1"), "203.0.113.9", false),
            (proxies, "127.0.0.1", None, "127.0.0.1", true),
            (proxies, "127.0.0.1", Some("198.51.100.1"), "198.51.100.1", false),
            (proxies, "127.0.0.1", Some("127.0.0.1"), "127.0.0.1", false),
            // what stands left of it was said by the caller
            (
                proxies,
                "10.0.0.2",
                Some("1.1.1.1, 198.51.100.1, 10.0.0.9"),
                "198.51.100.1",
                false,
            ),
            (proxies, "203.0.113.9", Some("198.51.100.1"), "203.0.113.9", false),
            (proxies, "10.0.0.2", Some("10.0.0.7,10.0.0.9"), "10.0.0.7", false),
            (
                proxies,
                "10.0.0.2",
                Some("198.51.100.1:4711"),
                "198.51.100.1",
                false,
            ),
            (
                proxies,
                "fd00::2",
                Some("[2001:db8::1]:443"),
                "2001:db8::1",
                false,
            ),
            (proxies, "fd00::2", Some("[2001:db8::1]"), "2001:db8::1", false),
            (
                proxies,
                "10.0.0.2",
                Some("198.51.100.1, unknown"),
                "10.0.0.2",
                false,
            ),
            (proxies, "10.0.0.2", Some(""), "10.0.0.2", false),
        ] {
            assert_eq!(
                seen(networks, connected, header),
                (address.to_owned(), here),
                "{connected} {header:?}"
            );
        }
    }
}
