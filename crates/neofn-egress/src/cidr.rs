//! Networks, as an operator writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What was written is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network, such as `10.1.0.0/16` or `fd00::/8`")]
pub struct ParseCidrError(String);

/// A network: addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: u128,
    bits: u8,
    v4: bool,
}

impl Cidr {
    pub(crate) const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Self {
        Self {
            base: u32::from_be_bytes([a, b, c, d]) as u128,
            bits,
            v4: true,
        }
    }
    pub(crate) const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Self {
        Self {
            base: ((a as u128) << 112) | ((b as u128) << 96) | ((c as u128) << 80),
            bits,
            v4: false,
        }
    }
    /// Whether the address is in it. A version-6 form of a version-4 address is not in a network of version 4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, width) = match (address, self.v4) {
            (IpAddr::V4(a), true) => (u128::from(a.to_bits()), 32),
            (IpAddr::V6(a), false) => (a.to_bits(), 128),
            _ => return false,
        };
        let shift = width - u32::from(self.bits);
        value.checked_shr(shift).unwrap_or(0) == self.base.checked_shr(shift).unwrap_or(0)
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;
    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let fail = || ParseCidrError(text.chars().take(60).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fail())?;
        let (base, v4, width) = match address {
            IpAddr::V4(a) => (u128::from(a.to_bits()), true, 32),
            IpAddr::V6(a) => (a.to_bits(), false, 128),
        };
        let bits: u8 = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| fail())?,
            Some(_) => return Err(fail()),
        };
        if bits > width {
            return Err(fail());
        }
        let cidr = Self { base, bits, v4 };
        // bits beyond the network are a slip: 10.1.2.3/8 may have been meant as /32
        let shift = u32::from(width - bits);
        let kept = base
            .checked_shr(shift)
            .and_then(|b| b.checked_shl(shift))
            .unwrap_or(0);
        if kept == base { Ok(cidr) } else { Err(fail()) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v4 {
            let address = Ipv4Addr::from_bits(u32::try_from(self.base).unwrap_or(0));
            write!(f, "{address}/{}", self.bits)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.base), self.bits)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly_and_hold_what_they_say() {
        for text in [
            "10.0.0.0/8",
            "127.0.0.1/32",
            "0.0.0.0/0",
            "fd00::/8",
            "::/0",
            "::1/128",
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        assert_eq!("127.0.0.1".parse::<Cidr>().unwrap().to_string(), "127.0.0.1/32");
        for bad in [
            "",
            "10/8",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "::/129",
            "fd00::1/8",
            "x",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        let ten: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(ten.contains("10.255.0.1".parse().unwrap()));
        assert!(!ten.contains("11.0.0.0".parse().unwrap()));
        assert!(!ten.contains("::ffff:10.0.0.1".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }
}
