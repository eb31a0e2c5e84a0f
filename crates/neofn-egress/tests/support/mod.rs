//! A resolver and servers of our own: loopback only, ports given by the system.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests; each binary uses a part of it"
)]

use neofn_egress::port::Resolve;
use neofn_egress::{Broker, BrokerOptions, EgressLimits, Fetch, Reach, Redirects, TlsRoots};
use neofn_types::{Clock, FunctionKey, UnixMillis};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A clock that tests move.
#[derive(Default)]
pub struct Hand(pub AtomicU64);
impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Answers what it was told; a name with several lists gives one after the other, the last for ever.
#[derive(Default)]
pub struct Names {
    lists: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub asked: AtomicUsize,
}
impl Names {
    pub fn set(&self, name: &str, lists: &[&[&str]]) {
        let lists = lists
            .iter()
            .map(|l| l.iter().map(|a| a.parse().unwrap()).collect())
            .collect();
        self.lists.lock().unwrap().insert(format!("{name}."), lists);
    }
}
impl Resolve for Names {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut lists = self.lists.lock().unwrap();
        let list = lists
            .get_mut(host)
            .ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if list.len() > 1 {
            list.remove(0)
        } else {
            list[0].clone()
        })
    }
}

/// What a server read of a request.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}
impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|l| l.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

pub type Reply = Arc<dyn Fn(&Seen) -> Vec<u8> + Send + Sync>;

/// A server that answers each request by a function and keeps what it saw.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}
impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
impl Server {
    pub async fn start(at: &str, authority: Option<&Authority>, names: &[&str], reply: Reply) -> Self {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = authority.map(|a| a.acceptor(names));
        let (connections, seen) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<Seen>>>::default());
        let (count, log) = (Arc::clone(&connections), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, log, reply) = (acceptor.clone(), Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp, log, reply).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(tcp).await {
                                serve(stream, log, reply).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            connections,
            seen,
            task,
        }
    }
    pub async fn plain(reply: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1", None, &[], Arc::new(reply)).await
    }
    pub fn port(&self) -> u16 {
        self.address.port()
    }
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
    pub fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: Arc<Mutex<Vec<Seen>>>, reply: Reply) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => return,
        }
    };
    let mut seen = Seen {
        head: String::from_utf8(bytes[..head].to_vec()).unwrap(),
        body: Vec::new(),
    };
    let length: usize = seen.header("content-length").map_or(0, |l| l.parse().unwrap());
    let mut body = bytes.split_off(head);
    while body.len() < length {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => body.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
    seen.body = body;
    log.lock().unwrap().push(seen.clone());
    let answer = reply(&seen);
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

pub fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", &[], body.as_bytes())
}
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    [out.as_bytes(), b"\r\n", body].concat()
}
pub fn redirect(status: &str, to: &str) -> Vec<u8> {
    answer(status, &[("Location", to)], b"")
}

/// A certificate authority of our own.
pub struct Authority {
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}
impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }
    fn acceptor(&self, names: &[&str]) -> tokio_rustls::TlsAcceptor {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }
}

/// A broker and what it stands on.
pub struct World {
    pub broker: Arc<Broker>,
    pub names: Arc<Names>,
    pub clock: Arc<Hand>,
}
/// What is opened beside public addresses.
pub fn world(opened: &[&str], authority: Option<&Authority>, limits: EgressLimits) -> World {
    let (names, clock) = (Arc::<Names>::default(), Arc::<Hand>::default());
    let mut options = BrokerOptions::new(clock.clone());
    options.reach = Reach::with(opened.iter().map(|c| c.parse().unwrap()).collect());
    options.resolver = names.clone();
    options.limits = limits;
    options.roots = TlsRoots {
        own: authority.map(|a| a.certificate.clone()).into_iter().collect(),
    };
    World {
        broker: Arc::new(Broker::new(options).unwrap()),
        names,
        clock,
    }
}
pub fn open_world() -> World {
    world(&["127.0.0.0/8"], None, EgressLimits::default())
}

pub fn function() -> FunctionKey {
    FunctionKey::new("demo".parse().unwrap(), "f".parse().unwrap())
}
pub fn get(url: &str, allow: &[&str]) -> Fetch {
    Fetch {
        function: function(),
        allow: allow.iter().map(|a| a.parse().unwrap()).collect(),
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        redirects: Redirects::Follow,
        time: None,
    }
}
