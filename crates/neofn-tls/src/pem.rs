//! From PEM to what rustls takes. Every refusal names the file's part in it.

use neofn_types::{Code, Error};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// Certificates in one file.
const CERTIFICATES_MAX: usize = 1_000;

/// What the files hold.
#[derive(PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: zeroize::Zeroizing<Vec<u8>>,
    pub(crate) client_ca: Option<Vec<u8>>,
}

fn wrong(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(Code::ConfigInvalid, format!("the {what} of TLS: {why}"))
}

pub(crate) fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .take(CERTIFICATES_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(what, &e))?;
    match all.len() {
        0 => Err(wrong(what, &"no certificate in PEM")),
        n if n > CERTIFICATES_MAX => Err(wrong(what, &"too many certificates in one file")),
        _ => Ok(all.into_iter().map(CertificateDer::into_owned).collect()),
    }
}

/// A server that shows the chain and speaks `alpn`. With authorities, a client must show a certificate that one of them
/// signed.
pub(crate) fn config(texts: &Texts, alpn: &[u8]) -> Result<Arc<ServerConfig>, Error> {
    let chain = certificates("certificate", &texts.chain)?;
    let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|e| wrong("key", &e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let builder = match &texts.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let what = "authority for clients";
            let mut roots = RootCertStore::empty();
            for certificate in certificates(what, pem)? {
                roots.add(certificate).map_err(|e| wrong(what, &e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| wrong(what, &e))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| wrong("certificate", &e))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}
