//! One address of a node: connections, TLS, and requests whose answers are bounded in size and time.

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// Connections that wait for the next request.
const IDLE_MAX: usize = 8;
/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A stream to a node, plain or encrypted.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Larger than is read.
    TooLarge,
    /// In words.
    Other(String),
}

/// An address.
pub(super) struct Endpoint {
    address: String,
    origin: String,
    /// Path and query.
    target: String,
    path: String,
    query: Option<String>,
    host: String,
    port: u16,
    tls: bool,
    credentials: Option<String>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Endpoint {
    /// Reads `http://host:port/path` or `https://…`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|e| format!("{text:?} is no URL: {e}"))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                return Err(format!(
                    "{text:?} begins with {other:?}: a node is reached by http or https"
                ));
            }
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let credentials = credentials(&url);
        // what is shown in messages and logs
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        if host.is_empty() || cleared.is_err() {
            return Err(format!("{text:?} names no host"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let query = url.query().map(str::to_owned);
        let after = query.as_ref().map_or_else(String::new, |q| format!("?{q}"));
        let standard = url.port().is_none();
        let origin = if standard {
            format!("{}://{host}", url.scheme())
        } else {
            format!("{}://{host}:{port}", url.scheme())
        };
        Ok(Self {
            address: format!("{origin}{path}{after}"),
            origin,
            target: format!("{}{after}", url.path()),
            path,
            query,
            host,
            port,
            tls,
            credentials,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// What anybody may see: paths and queries of providers are keys as often as not.
    pub(super) fn name(&self) -> &str {
        &self.origin
    }
    /// All of it but credentials: for the operator, and to tell nodes apart.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
    /// Its socket address for the node's announcements: the same, with `/ws` at the end.
    pub(super) fn socket_url(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        let query = self.query.as_ref().map_or_else(String::new, |q| format!("?{q}"));
        format!("{scheme}://{}{}/ws{query}", self.authority(), self.path)
    }
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Io>> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        tokio::time::timeout(CONNECT, self.open()).await.map_err(late)?
    }
    async fn open(&self) -> io::Result<Box<dyn Io>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, self.port)).await?;
        tcp.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls_config()?).connect(name, tcp).await?;
        Ok(Box::new(stream))
    }

    /// Posts JSON and reads the answer, whatever its status: nodes send errors of JSON-RPC with 4xx.
    pub(super) async fn post(&self, body: Bytes, within: Duration, max: usize) -> Result<Bytes, Failure> {
        tokio::time::timeout(within, self.post_untimed(body, max))
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Other(format!(
                    "no answer within {} ms",
                    within.as_millis()
                )))
            })
    }
    async fn post_untimed(&self, body: Bytes, max: usize) -> Result<Bytes, Failure> {
        // a kept connection may have been closed by the other side meanwhile; then once more on a new one
        while let Some(sender) = self.take_idle() {
            match self.exchange(sender, body.clone(), max).await {
                Err(Failure::Other(_)) => {}
                settled => return settled,
            }
        }
        let stream = self
            .connect()
            .await
            .map_err(|e| Failure::Other(format!("cannot connect: {e}")))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| Failure::Other(e.to_string()))?;
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::trace!(error = %e, "a connection to a chain node ended");
            }
        });
        self.exchange(sender, body, max).await
    }
    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock();
        while let Some(sender) = idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }
    async fn exchange(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        body: Bytes,
        max: usize,
    ) -> Result<Bytes, Failure> {
        let other = |e: hyper::Error| Failure::Other(e.to_string());
        let mut request = hyper::Request::post(self.target.as_str())
            .header(HOST, self.authority())
            .header(CONTENT_TYPE, "application/json");
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|e| Failure::Other(e.to_string()))?;
        sender.ready().await.map_err(other)?;
        let response = sender.send_request(request).await.map_err(other)?;
        let status = response.status();
        let collected = Limited::new(response.into_body(), max)
            .collect()
            .await
            .map_err(|e| match e.downcast_ref::<LengthLimitError>() {
                Some(_) => Failure::TooLarge,
                None => Failure::Other(e.to_string()),
            })?;
        let bytes = collected.to_bytes();
        if !status.is_success() && !bytes.starts_with(b"{") && !bytes.starts_with(b"[") {
            return Err(Failure::Other(format!("HTTP status {status}")));
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
        Ok(bytes)
    }
}

fn credentials(url: &Url) -> Option<String> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
    Some(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    ))
}

/// The roots of the web; made once.
fn tls_config() -> io::Result<Arc<rustls::ClientConfig>> {
    static CONFIG: OnceLock<Option<Arc<rustls::ClientConfig>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?;
        Some(Arc::new(
            builder.with_root_certificates(roots).with_no_client_auth(),
        ))
    });
    config
        .clone()
        .ok_or_else(|| io::Error::other("TLS cannot be set up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_their_credentials_never_shown() {
        let endpoint = Endpoint::parse("https://me:secret@seed1.example.org/rpc/").unwrap();
        assert_eq!(endpoint.name(), "https://seed1.example.org");
        assert_eq!(endpoint.address(), "https://seed1.example.org/rpc");
        assert_eq!(endpoint.socket_url(), "wss://seed1.example.org:443/rpc/ws");
        assert_eq!(endpoint.credentials.as_deref(), Some("Basic bWU6c2VjcmV0"));
        let local = Endpoint::parse("http://[::1]:10332").unwrap();
        assert_eq!(local.socket_url(), "ws://[::1]:10332/ws");
        let keyed = Endpoint::parse("https://rpc.example.org/v1/abc?key=secret").unwrap();
        assert_eq!(keyed.name(), "https://rpc.example.org");
        assert_eq!(keyed.address(), "https://rpc.example.org/v1/abc?key=secret");
        assert_eq!(keyed.target, "/v1/abc?key=secret");
        assert_eq!(
            keyed.socket_url(),
            "wss://rpc.example.org:443/v1/abc/ws?key=secret"
        );
        for bad in ["", "localhost:10332", "ftp://x", "http://"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
