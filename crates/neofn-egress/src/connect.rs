//! From a target to a stream: every address is checked, and only what was checked is connected to.

use crate::address::Reach;
use crate::limits::EgressLimits;
use crate::port::Resolve;
use crate::shares::Share;
use crate::target::Target;
use neofn_types::{Code, Error, Scheme};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A stream to a host, plain or encrypted.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

fn unreachable(target: &Target, why: &str) -> Error {
    Error::new(
        Code::EgressUnreachable,
        format!("fetch: {} cannot be reached: {why}", target.origin()),
    )
}

/// How a target becomes addresses.
pub(crate) enum Lookup {
    Literal(IpAddr),
    /// The place is the thread's, which works on when nobody waits for it any more.
    Name(Arc<dyn Resolve>, Share),
}

/// The addresses of a target, all of them allowed. A name that has a single one that is not is refused whole: such an
/// answer is made by somebody who wants us to try it.
pub(crate) async fn addresses(
    target: &Target,
    lookup: Lookup,
    reach: &Reach,
    limits: &EgressLimits,
) -> Result<Vec<SocketAddr>, Error> {
    let mut found = match lookup {
        Lookup::Literal(address) => vec![address],
        Lookup::Name(resolver, place) => {
            // with the dot at its end no search list of the system's makes another name of it
            let name = format!("{}.", target.host);
            let looked = tokio::task::spawn_blocking(move || {
                let found = resolver.resolve(&name);
                drop(place);
                found
            });
            let found = looked.await.map_err(Error::internal)?;
            found.map_err(|e| unreachable(target, "the name does not resolve").because(e))?
        }
    };
    if found.is_empty() {
        return Err(unreachable(target, "the name has no address"));
    }
    for address in &found {
        if let Err(what) = reach.check(*address) {
            // which address it is, is nobody's business: it may tell of a network that only we see
            let message = format!("fetch: {} has an address {what}", target.host);
            return Err(Error::new(Code::EgressAddress, message));
        }
    }
    found.dedup();
    found.truncate(limits.addresses);
    Ok(found
        .into_iter()
        .map(|a| SocketAddr::new(a, target.port))
        .collect())
}

/// A stream to one of the addresses, in their order.
pub(crate) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    tls: &Arc<ClientConfig>,
    limits: &EgressLimits,
) -> Result<Box<dyn Io>, Error> {
    let mut last = unreachable(target, "it has no address");
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    // a dead address must not use up the time of the others
    let each = (limits.connect_time / count).max(limits.connect_time / 4);
    for address in addresses {
        match tokio::time::timeout(each, open(target, *address, tls)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = unreachable(target, "no connection in time"),
        }
    }
    Err(last)
}

async fn open(target: &Target, address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Box<dyn Io>, Error> {
    let refused = |e: std::io::Error| {
        let why = match e.kind() {
            std::io::ErrorKind::ConnectionRefused => "the connection was refused",
            _ => "no connection",
        };
        unreachable(target, why).because(e)
    };
    let tcp = TcpStream::connect(address).await.map_err(refused)?;
    // cheap, and it would show that something between us and the socket connects elsewhere
    if tcp.peer_addr().map_err(refused)? != address {
        return Err(Error::internal("connected to another address than asked"));
    }
    tcp.set_nodelay(true).map_err(refused)?;
    if target.scheme == Scheme::Http {
        return Ok(Box::new(tcp));
    }
    let name = match target.literal {
        Some(address) => ServerName::from(address),
        None => ServerName::try_from(target.host.clone())
            .map_err(|e| unreachable(target, "its name fits no certificate").because(e))?,
    };
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, tcp)
        .await
        .map_err(|e| {
            let why = match e.get_ref().and_then(|r| r.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => "its certificate is not valid",
                _ => "no encrypted connection",
            };
            unreachable(target, why).because(e)
        })?;
    Ok(Box::new(stream))
}
