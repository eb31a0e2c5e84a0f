//! Who is believed to be whom: the web's roots, and an operator's own.

use neofn_types::{Code, Error};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::Path;
use std::sync::Arc;

/// Certificates that a file may hold.
const CERTIFICATES_MAX: usize = 1_000;

/// Roots beside the web's.
#[derive(Debug, Clone, Default)]
pub struct TlsRoots {
    /// Certificates of an operator's own authorities.
    pub own: Vec<CertificateDer<'static>>,
}

/// Reads the certificates of a PEM file, each of which must be one.
pub fn read_ca_file(path: &Path) -> Result<TlsRoots, Error> {
    let bad = |why: String| Error::new(Code::ConfigInvalid, format!("CA file {}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
    let own = found
        .take(CERTIFICATES_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(e.to_string()))?;
    if own.is_empty() || own.len() > CERTIFICATES_MAX {
        return Err(bad(format!(
            "it holds {} certificates, but must hold 1 to {CERTIFICATES_MAX}",
            own.len()
        )));
    }
    Ok(TlsRoots { own })
}

/// How connections are encrypted.
pub(crate) fn config(roots: &TlsRoots) -> Result<Arc<ClientConfig>, Error> {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in &roots.own {
        store
            .add(certificate.clone())
            .map_err(|e| Error::new(Code::ConfigInvalid, format!("a certificate of the CA file: {e}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    // what one tenant's connection taught a host must not mark another's
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
