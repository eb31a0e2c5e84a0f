//! Which hosts may be talked to: the pattern of a host, and the grant of a function.
//!
//! Text only: nothing here resolves a name or knows an address' meaning. A pattern is written in ASCII, as it stands
//! in a URL (`xn--…` for other alphabets), so that what is compared is what is connected to.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest name of a host.
const HOST_BYTES_MAX: usize = 253;
/// Methods that a grant may name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A pattern that says nothing sensible, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NetGrantError(pub String);

fn refuse<T>(text: &str, why: &str) -> Result<T, NetGrantError> {
    let shown: String = text.chars().take(80).collect();
    Err(NetGrantError(format!("{shown:?} {why}")))
}

/// One host, all hosts below a name, or every host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// `api.example.org`, `192.0.2.1`, `[2001:db8::1]`
    Exact(String),
    /// `*.example.org`: any name that ends so, at any depth, and not `example.org` itself.
    Below(String),
    /// `*`
    Any,
}

impl HostPattern {
    /// Whether a host, as a URL has it after parsing (lower case, ASCII), is meant. A dot at its end is ignored.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Exact(name) => name == host,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            Self::Any => !host.is_empty(),
        }
    }
}

impl FromStr for HostPattern {
    type Err = NetGrantError;
    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(v6) = lower.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return match v6.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Exact(format!("[{address}]"))),
                Err(_) => refuse(text, "is no IPv6 address"),
            };
        }
        if let Some(name) = lower.strip_prefix("*.") {
            if !name.contains('.') {
                return refuse(
                    text,
                    "is too wide: name at least two labels after `*.`, or `*` alone",
                );
            }
            return Ok(Self::Below(host_name(text, name)?));
        }
        host_name(text, &lower).map(Self::Exact)
    }
}

/// A DNS name or an IPv4 address in its usual form.
fn host_name(text: &str, name: &str) -> Result<String, NetGrantError> {
    if !text.is_ascii() {
        return refuse(text, "is not ASCII: write the name as DNS has it (xn--…)");
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(label) {
        return refuse(text, "is no host, such as `api.example.org` or `*.example.org`");
    }
    // what ends in a number is read as an address by URL parsers
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if numeric && !name.parse::<Ipv4Addr>().is_ok_and(|a| a.to_string() == name) {
        return refuse(text, "is no IPv4 address in its usual form");
    }
    Ok(name.to_owned())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// How a host is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Encrypted.
    Https,
    /// In the clear; only where a grant says so.
    Http,
}

impl Scheme {
    /// As URLs write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
    /// The port of a URL without one.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// An entry of `allow.net`: `https://api.example.org`, `https://*.example.org:8443`, `GET,HEAD https://*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetGrant {
    /// The methods meant; none named: every one.
    pub methods: Vec<&'static str>,
    /// Only this scheme.
    pub scheme: Scheme,
    /// These hosts.
    pub host: HostPattern,
    /// Only this port.
    pub port: u16,
}

impl NetGrant {
    /// Whether a request is meant. The method is in capitals, the host as a URL has it after parsing.
    #[must_use]
    pub fn allows(&self, method: &str, scheme: Scheme, host: &str, port: u16) -> bool {
        (self.methods.is_empty() || self.methods.contains(&method))
            && self.scheme == scheme
            && self.port == port
            && self.host.matches(host)
    }
}

impl FromStr for NetGrant {
    type Err = NetGrantError;
    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        let (methods, origin) = match text.split_once(' ') {
            Some((methods, origin)) => (read_methods(text, methods)?, origin.trim_start()),
            None => (Vec::new(), text),
        };
        let (scheme, rest) = if let Some(rest) = origin.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = origin.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return refuse(text, "is no origin, such as `https://api.example.org`");
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return refuse(text, "is more than an origin: write scheme, host and port alone");
        }
        // a colon within brackets belongs to the address
        let after_host = rest.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match rest.get(after_host..).and_then(|t| t.rfind(':')) {
            Some(at) => {
                let (host, port) = rest.split_at(after_host + at);
                match port.get(1..).unwrap_or_default().parse::<u16>() {
                    Ok(port) if port > 0 => (host, port),
                    _ => return refuse(text, "has no valid port"),
                }
            }
            None => (rest, scheme.port()),
        };
        Ok(Self {
            methods,
            scheme,
            host: host.parse()?,
            port,
        })
    }
}

fn read_methods(text: &str, methods: &str) -> Result<Vec<&'static str>, NetGrantError> {
    let mut found = Vec::new();
    for name in methods.split(',') {
        match METHODS.iter().find(|m| **m == name) {
            Some(method) => found.push(*method),
            None => {
                return refuse(
                    text,
                    "names a method that is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
                );
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

impl fmt::Display for NetGrant {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

macro_rules! as_text {
    ($ty:ident) => {
        impl Serialize for $ty {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}
as_text!(HostPattern);
as_text!(NetGrant);

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> NetGrant {
        text.parse().unwrap()
    }

    #[test]
    fn origins_read_back_as_they_are_written() {
        for text in [
            "https://api.example.org",
            "http://localhost:8080",
            "https://*.example.org:8443",
            "https://*",
            "GET,HEAD https://*.a.b",
            "https://[2606:4700::1111]",
            "http://10.0.0.1:81",
        ] {
            assert_eq!(grant(text).to_string(), text);
        }
        assert_eq!(
            grant("https://API.example.org:443/").to_string(),
            "https://api.example.org"
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "",
            "*",
            "api.example.org",
            "ftp://a.b",
            "https://",
            "https://a.b/path",
            "https://a.b?x",
            "https://me@a.b",
            "https://a.b:0",
            "https://a.b:99999",
            "https://a.b:",
            "https://*.org",
            "https://a.*.org",
            "https://a..b",
            "https://-a.b",
            "https://bücher.example",
            "https://127.1",
            "https://0x7f.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://[::1",
            "https://[zz]",
            "TRACE https://a.b",
            "get https://a.b",
            "https://a.b:80:80",
        ] {
            assert!(bad.parse::<NetGrant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_match_whole_labels_only() {
        let below: HostPattern = "*.example.org".parse().unwrap();
        for yes in ["a.example.org", "a.b.example.org", "a.example.org."] {
            assert!(below.matches(yes), "{yes}");
        }
        for no in [
            "example.org",
            ".example.org",
            "evilexample.org",
            "a.example.org.evil.com",
            "",
        ] {
            assert!(!below.matches(no), "{no}");
        }
        let https = grant("GET https://example.org");
        assert!(https.allows("GET", Scheme::Https, "example.org", 443));
        assert!(!https.allows("POST", Scheme::Https, "example.org", 443));
        assert!(!https.allows("GET", Scheme::Http, "example.org", 443));
        assert!(!https.allows("GET", Scheme::Https, "example.org", 8443));
        assert!(!https.allows("GET", Scheme::Https, "www.example.org", 443));
    }
}
