//! The certificate that listeners show, and how it is replaced: whole and checked, or not at all.

use crate::pem::{self, Texts};
use crate::validity::{self, Concern, Period};
use neofn_types::{Code, Error, UnixMillis};
use parking_lot::RwLock;
use rustls::ServerConfig;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

/// A chain of certificates is a few kilobytes; a bundle of authorities a few hundred.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// Authorities whose certificates clients must show, PEM; none: clients show nothing.
    pub client_ca_file: Option<PathBuf>,
}

/// What a listener speaks over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

struct Loaded {
    texts: Texts,
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    periods: Vec<Option<Period>>,
}

impl Loaded {
    fn new(texts: Texts) -> Result<Self, Error> {
        Ok(Self {
            http1: pem::config(&texts, b"http/1.1")?,
            http2: pem::config(&texts, b"h2")?,
            periods: validity::periods(&pem::certificates("certificate", &texts.chain)?),
            texts,
        })
    }
}

struct Inner {
    files: TlsFiles,
    current: RwLock<Loaded>,
}

/// What listeners show. Cheap to clone; all clones change together.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

impl Certificates {
    /// Reads and checks the files.
    pub fn load(files: TlsFiles) -> Result<Self, Error> {
        let current = RwLock::new(Loaded::new(read_all(&files)?)?);
        Ok(Self(Arc::new(Inner { files, current })))
    }

    /// Reads the files again: whether connections from here on see something new. After an error everything is as
    /// before: a certificate is often replaced a moment before its key.
    pub fn reload(&self) -> Result<bool, Error> {
        let texts = read_all(&self.0.files)?;
        if self.0.current.read().texts == texts {
            return Ok(false);
        }
        let next = Loaded::new(texts)?;
        *self.0.current.write() = next;
        Ok(true)
    }

    /// What is the matter with the certificates that are shown, at this time.
    #[must_use]
    pub fn concerns(&self, now: UnixMillis) -> Vec<Concern> {
        let current = self.0.current.read();
        validity::concerns(&current.periods, &self.0.files.cert_file, now)
    }

    /// For a listener.
    #[must_use]
    pub fn acceptor(&self, protocol: Protocol) -> Acceptor {
        Acceptor {
            certificates: self.clone(),
            protocol,
        }
    }
}

/// Makes TLS of connections, each with what is shown at that moment.
#[derive(Clone)]
pub struct Acceptor {
    certificates: Certificates,
    protocol: Protocol,
}

impl Acceptor {
    /// The handshake; it has no limit of time of its own.
    pub async fn accept<T>(&self, stream: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = {
            let current = self.certificates.0.current.read();
            match self.protocol {
                Protocol::Http1 => current.http1.clone(),
                Protocol::Http2 => current.http2.clone(),
            }
        };
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn read_all(files: &TlsFiles) -> Result<Texts, Error> {
    let client_ca = files.client_ca_file.as_deref().map(read).transpose()?;
    Ok(Texts {
        chain: read(&files.cert_file)?.to_vec(),
        key: read(&files.key_file)?,
        client_ca: client_ca.map(|text| text.to_vec()),
    })
}

pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::new(
            Code::ConfigInvalid,
            format!("cannot read {}: {why}", path.display()),
        )
    };
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > PEM_BYTES_MAX {
        return Err(wrong(&"it is too large for PEM"));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|e| wrong(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }
    struct Leaf {
        pem: String,
        key: String,
    }
    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self {
                pem,
                issuer: Issuer::new(params, key),
            }
        }
        fn sign(&self, usage: ExtendedKeyUsagePurpose) -> Leaf {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
            Leaf {
                pem,
                key: key.serialize_pem(),
            }
        }
    }

    fn client(authority: &Authority, own: Option<&Leaf>, alpn: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(leaf.pem.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// One byte there and back; `Err` when either side refuses the other.
    async fn talk(acceptor: &Acceptor, config: ClientConfig) -> Result<Vec<u8>, String> {
        let (near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(16 << 10);
        let acceptor = acceptor.clone();
        let server = tokio::spawn(async move {
            let mut stream = acceptor.accept(far).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            stream.shutdown().await
        });
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, near)
            .await
            .map_err(|e| e.to_string())?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        stream.write_u8(7).await.map_err(|e| e.to_string())?;
        let byte = stream.read_u8().await.map_err(|e| e.to_string())?;
        assert_eq!(byte, 7);
        server.await.unwrap().map_err(|e| e.to_string())?;
        Ok(shown)
    }

    fn der(pem: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_new_certificate_is_shown_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert_file: dir.path().join("cert.pem"),
            key_file: dir.path().join("key.pem"),
            client_ca_file: None,
        };
        let authority = Authority::new();
        let [first, second] = [(); 2].map(|()| authority.sign(ExtendedKeyUsagePurpose::ServerAuth));
        let write = |leaf: &Leaf| {
            std::fs::write(&files.cert_file, &leaf.pem).unwrap();
            std::fs::write(&files.key_file, &leaf.key).unwrap();
        };
        write(&first);
        let certificates = Certificates::load(files.clone()).unwrap();
        let http1 = certificates.acceptor(Protocol::Http1);
        let http2 = certificates.acceptor(Protocol::Http2);
        let shown = async |acceptor, alpn: &[u8]| talk(acceptor, client(&authority, None, alpn)).await;
        assert_eq!(shown(&http1, b"http/1.1").await.unwrap(), der(&first.pem));
        assert!(shown(&http1, b"h2").await.is_err(), "it does not speak that");
        assert!(!certificates.reload().unwrap());

        // half of the new one, nothing, and rubbish: the old one goes on
        std::fs::write(&files.cert_file, &second.pem).unwrap();
        assert!(certificates.reload().is_err());
        std::fs::remove_file(&files.cert_file).unwrap();
        assert!(certificates.reload().is_err());
        std::fs::write(&files.cert_file, "rubbish").unwrap();
        assert!(certificates.reload().is_err());
        assert_eq!(shown(&http2, b"h2").await.unwrap(), der(&first.pem));
        write(&second);
        assert!(certificates.reload().unwrap());
        assert_eq!(shown(&http1, b"http/1.1").await.unwrap(), der(&second.pem));
        assert_eq!(shown(&http2, b"h2").await.unwrap(), der(&second.pem));
    }

    #[tokio::test]
    async fn only_clients_of_the_authority_come_in() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [servers, clients, strangers] = [(); 3].map(|()| Authority::new());
        let own = servers.sign(ExtendedKeyUsagePurpose::ServerAuth);
        let files = TlsFiles {
            cert_file: at("cert.pem", &own.pem),
            key_file: at("key.pem", &own.key),
            client_ca_file: Some(at("clients.pem", &clients.pem)),
        };
        let certificates = Certificates::load(files).unwrap();
        let acceptor = certificates.acceptor(Protocol::Http1);
        let come = async |leaf: Option<&Leaf>| talk(&acceptor, client(&servers, leaf, b"http/1.1")).await;
        let good = clients.sign(ExtendedKeyUsagePurpose::ClientAuth);
        assert!(come(Some(&good)).await.is_ok());
        assert!(come(None).await.is_err());
        let of_strangers = strangers.sign(ExtendedKeyUsagePurpose::ClientAuth);
        assert!(come(Some(&of_strangers)).await.is_err());
        // a server's certificate of the same authority is no client's
        assert!(
            come(Some(&clients.sign(ExtendedKeyUsagePurpose::ServerAuth)))
                .await
                .is_err()
        );
        // another authority from here on: who came in before stays out
        at("clients.pem", &strangers.pem);
        assert!(certificates.reload().unwrap());
        assert!(come(Some(&good)).await.is_err());
        assert!(come(Some(&of_strangers)).await.is_ok());
        at("clients.pem", "");
        assert!(certificates.reload().is_err(), "no authority is not everybody");
        assert!(come(None).await.is_err());
    }
}
