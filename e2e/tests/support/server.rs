//! A server on this machine for functions to call, in clear or behind TLS with an authority of our own. It keeps what
//! it saw and counts who connected, whatever they then said.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Answers a request, head and body as they came.
pub type Reply = dyn Fn(&str) -> String + Send + Sync;

/// Listens until the test's process ends.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    /// Of the authority that signed its certificate.
    pub authority: Option<String>,
}

impl Server {
    /// In clear.
    pub fn plain(at: &str, reply: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(at, None, Arc::new(reply))
    }
    /// Behind TLS, for a name or address.
    pub fn tls(name: &str, reply: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let mut server = Self::start("127.0.0.1", Some(Arc::new(config)), Arc::new(reply));
        server.authority = Some(authority.pem());
        server
    }
    fn start(at: &str, tls: Option<Arc<ServerConfig>>, reply: Arc<Reply>) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, connections) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, log, reply) = (tls.clone(), Arc::clone(&log), Arc::clone(&reply));
                std::thread::spawn(move || serve(tcp, tls, &log, &*reply));
            }
        });
        Self {
            port,
            seen,
            connections,
            authority: None,
        }
    }
    /// Every request so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
    /// How many connected so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// An answer with a body.
pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn serve(tcp: TcpStream, tls: Option<Arc<ServerConfig>>, log: &Mutex<Vec<String>>, reply: &Reply) {
    let _ = tcp.set_read_timeout(Some(Duration::from_secs(20)));
    match tls {
        None => answer(tcp, log, reply),
        Some(config) => {
            let Ok(connection) = ServerConnection::new(config) else {
                return;
            };
            answer(StreamOwned::new(connection, tcp), log, reply);
        }
    }
}

fn answer(mut stream: impl Read + Write, log: &Mutex<Vec<String>>, reply: &Reply) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|l| l.split_once(':'))
                .find(|(n, _)| n.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, l)| l.trim().parse().unwrap());
            if body.len() >= length {
                log.lock().unwrap().push(text.clone());
                let _ = stream.write_all(reply(&text).as_bytes());
                let _ = stream.flush();
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
}
