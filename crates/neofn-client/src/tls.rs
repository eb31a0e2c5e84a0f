//! Whom the client believes to be the node, and what it shows to be let in. Reads files; connects to nothing.

use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Largest file that is read here.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Files of TLS, all PEM; without any of them the authorities of the web are believed and nothing is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that are believed in place of the web's.
    pub ca: Option<PathBuf>,
    /// A certificate to show, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::Config(format!("cannot read {}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > PEM_BYTES_MAX {
        return Err(wrong("it is too large for PEM".to_owned()));
    }
    fs::read(path).map_err(|e| wrong(e.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let wrong = |why: &str| Error::Config(format!("{}: {why}", path.display()));
    let mut found = Vec::new();
    for item in parse_pem(&read(path)?) {
        // a file may hold certificate and key; anything else is none of ours
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(&e.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(wrong("no certificate in PEM"));
    }
    Ok(found)
}

/// How connections are encrypted.
pub(crate) fn config(files: &TlsFiles) -> Result<TlsConfig, Error> {
    let roots = match &files.ca {
        None => RootCerts::WebPki,
        Some(path) => RootCerts::new_with_certs(&certificates(path)?),
    };
    let own = match &files.own {
        None => None,
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let text = zeroize::Zeroizing::new(read(key)?);
            let private =
                PrivateKey::from_pem(&text).map_err(|e| Error::Config(format!("{}: {e}", key.display())))?;
            Some(ClientCert::new_with_certs(&chain, private))
        }
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(roots)
        .client_cert(own)
        .build())
}
