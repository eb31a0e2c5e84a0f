//! Which addresses may be connected to: public unicast, and what an operator opened.
//!
//! The list is IANA's special-purpose registries, both of them, as of 2025, and what clouds put on public-looking
//! addresses. For version 6 it is the other way round: only global unicast is allowed at all.

use crate::cidr::Cidr;
use std::net::IpAddr;

/// Version 4: not globally reachable, or not a single host.
const DENIED_V4: [(Cidr, &str); 20] = [
    (Cidr::v4(0, 0, 0, 0, 8), "of this network"),
    (Cidr::v4(10, 0, 0, 0, 8), "of a private network"),
    (Cidr::v4(100, 64, 0, 0, 10), "of a provider's own network"),
    (Cidr::v4(127, 0, 0, 0, 8), "of this machine"),
    (Cidr::v4(168, 63, 129, 16, 32), "of a cloud's own services"),
    (
        Cidr::v4(169, 254, 0, 0, 16),
        "of the local link or a cloud's metadata",
    ),
    (Cidr::v4(172, 16, 0, 0, 12), "of a private network"),
    (Cidr::v4(192, 0, 0, 0, 24), "of special use"),
    (Cidr::v4(192, 0, 2, 0, 24), "for documentation"),
    (Cidr::v4(192, 31, 196, 0, 24), "of special use"),
    (Cidr::v4(192, 52, 193, 0, 24), "of special use"),
    (Cidr::v4(192, 88, 99, 0, 24), "of a 6to4 relay"),
    (Cidr::v4(192, 168, 0, 0, 16), "of a private network"),
    (Cidr::v4(192, 175, 48, 0, 24), "of special use"),
    (Cidr::v4(198, 18, 0, 0, 15), "for benchmarks"),
    (Cidr::v4(198, 51, 100, 0, 24), "for documentation"),
    (Cidr::v4(203, 0, 113, 0, 24), "for documentation"),
    (Cidr::v4(224, 0, 0, 0, 4), "of a multicast group"),
    (Cidr::v4(240, 0, 0, 0, 4), "reserved"),
    (Cidr::v4(255, 255, 255, 255, 32), "of everybody"),
];

/// Version 6: what may be reached at all.
const GLOBAL_V6: Cidr = Cidr::v6(0x2000, 0, 0, 3);
/// Within it: translations into version 4, documentation and special use.
const DENIED_V6: [(Cidr, &str); 7] = [
    (Cidr::v6(0x2001, 0, 0, 23), "of special use, such as Teredo"),
    (Cidr::v6(0x2001, 0x0db8, 0, 32), "for documentation"),
    (Cidr::v6(0x2002, 0, 0, 16), "of 6to4"),
    (Cidr::v6(0x2620, 0x004f, 0x8000, 48), "of special use"),
    (Cidr::v6(0x3fff, 0, 0, 20), "for documentation"),
    (Cidr::v6(0x3ffe, 0, 0, 16), "of an ended experiment"),
    (Cidr::v6(0x2d00, 0, 0, 8), "reserved"),
];

/// What may be reached beside public addresses.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    opened: Vec<Cidr>,
}

impl Reach {
    /// Public addresses, and these networks.
    #[must_use]
    pub fn with(opened: Vec<Cidr>) -> Self {
        Self { opened }
    }
    /// Whether the address may be connected to, or what it is instead.
    pub fn check(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.opened.iter().any(|c| c.contains(address)) {
            return Ok(());
        }
        let denied: &[(Cidr, &'static str)] = match address {
            IpAddr::V4(_) => &DENIED_V4,
            IpAddr::V6(_) if !GLOBAL_V6.contains(address) => {
                return Err("no public address of version 6, or another form of one of version 4");
            }
            IpAddr::V6(_) => &DENIED_V6,
        };
        match denied.iter().find(|(c, _)| c.contains(address)) {
            Some((_, what)) => Err(what),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_not_public_is_reached() {
        let reach = Reach::default();
        for denied in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::ffff:0:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "3ffe::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(reach.check(denied.parse().unwrap()).is_err(), "{denied}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(reach.check(public.parse().unwrap()), Ok(()), "{public}");
        }
    }

    #[test]
    fn an_operator_opens_exactly_what_is_named() {
        let reach = Reach::with(vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert_eq!(reach.check("10.1.2.3".parse().unwrap()), Ok(()));
        assert_eq!(reach.check("::1".parse().unwrap()), Ok(()));
        for still in ["10.2.0.1", "::ffff:10.1.2.3", "127.0.0.1", "::2"] {
            assert!(reach.check(still.parse().unwrap()).is_err(), "{still}");
        }
    }
}
