//! Where a URL leads: read as the web reads it, then held against what may be fetched at all and what is granted.

use neofn_types::{Code, Error, FunctionKey, HostPattern, NetGrant, Scheme};
use std::net::IpAddr;
use url::{Host, Url};

/// Longest URL.
const URL_BYTES_MAX: usize = 8 << 10;
/// Names that mean this machine or its network, whatever a resolver says; and all names below them.
const LOCAL_NAMES: [&str; 8] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "onion",
];
/// Ports of services that would take a request for commands of their own: the Fetch standard's list.
const PORTS_DENIED: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
];

/// A URL that may be fetched, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) scheme: Scheme,
    /// As grants and secrets name it: lower case, ASCII, without a dot at its end.
    pub(crate) host: String,
    /// An address that was written instead of a name.
    pub(crate) literal: Option<IpAddr>,
    pub(crate) port: u16,
}

fn bad(why: impl Into<String>) -> Error {
    Error::new(Code::EgressUrl, why.into())
}

impl Target {
    /// Reads an absolute URL.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        if text.len() > URL_BYTES_MAX {
            return Err(bad(format!("fetch: a URL has at most {URL_BYTES_MAX} bytes")));
        }
        let shown = || text.chars().take(100).collect::<String>();
        let url = Url::parse(text).map_err(|e| bad(format!("fetch: {:?} is no URL: {e}", shown())))?;
        Self::of(url)
    }
    /// What a URL leads to.
    pub(crate) fn of(mut url: Url) -> Result<Self, Error> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => return Err(bad(format!("fetch: nothing is fetched by {other:?}"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("fetch: the URL has a user or password in it"));
        }
        url.set_fragment(None);
        let (host, literal) = match url.host() {
            Some(Host::Domain(name)) => (domain(name)?, None),
            Some(Host::Ipv4(a)) => (a.to_string(), Some(IpAddr::V4(a))),
            Some(Host::Ipv6(a)) => (format!("[{a}]"), Some(IpAddr::V6(a))),
            None => return Err(bad("fetch: the URL names no host")),
        };
        let port = url.port().unwrap_or_else(|| scheme.port());
        if port == 0 || PORTS_DENIED.contains(&port) {
            return Err(bad(format!("fetch: nothing is fetched from port {port}")));
        }
        Ok(Self {
            url,
            scheme,
            host,
            literal,
            port,
        })
    }
    /// Whether a grant allows it, or the line that would.
    pub(crate) fn granted(
        &self,
        method: &str,
        allow: &[NetGrant],
        function: &FunctionKey,
    ) -> Result<(), Error> {
        if allow
            .iter()
            .any(|g| g.allows(method, self.scheme, &self.host, self.port))
        {
            return Ok(());
        }
        let mut wanted: Vec<String> = allow.iter().map(|g| format!("\"{g}\"")).collect();
        wanted.push(format!("\"{}\"", self.origin()));
        let name = &function.function;
        let message = format!(
            "fetch of {} is not granted: add `allow = {{ net = [{}] }}` to [function.{name}] in neofn.toml",
            self.origin(),
            wanted.join(", ")
        );
        Err(Error::new(Code::Denied, message))
    }
    /// Scheme, host and port, as a grant writes them.
    pub(crate) fn origin(&self) -> String {
        let grant = NetGrant {
            methods: Vec::new(),
            scheme: self.scheme,
            host: HostPattern::Exact(self.host.clone()),
            port: self.port,
        };
        grant.to_string()
    }
    /// What goes into the Host header.
    pub(crate) fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.port == other.port
    }
    /// What goes into the request line.
    pub(crate) fn path(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }
}

/// A name that may be asked for. `url` has made it lower case and ASCII already.
fn domain(name: &str) -> Result<String, Error> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.split('.');
    if name.is_empty() || name.len() > 253 || labels.clone().any(|l| l.is_empty() || l.len() > 63) {
        return Err(bad("fetch: the URL's host is no name that DNS has"));
    }
    let below = |local: &str| {
        name.strip_suffix(local)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if LOCAL_NAMES.iter().any(|local| below(local)) {
        return Err(Error::new(
            Code::EgressAddress,
            format!("fetch: {name} is a name of this machine or its network"),
        ));
    }
    Ok(name.to_owned())
}
