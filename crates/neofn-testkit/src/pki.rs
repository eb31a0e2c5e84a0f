//! Certificates for tests: an authority of one's own, and what it signs, as files.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
pub struct Signed {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }
    /// Its own certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
    /// A certificate for a server or a client at 127.0.0.1, also known as localhost.
    #[must_use]
    pub fn sign(&self) -> Signed {
        self.sign_with(|_| {})
    }
    /// As [`Self::sign`], one that ended at the beginning of this year.
    #[must_use]
    pub fn sign_ended(&self, year: i32) -> Signed {
        self.sign_with(|params| params.not_after = date_time_ymd(year, 1, 1))
    }
    fn sign_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Signed {
            cert,
            key: key.serialize_pem(),
        }
    }
    /// Writes its certificate.
    #[must_use]
    pub fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, &self.pem).expect("write a certificate");
        path
    }
}
impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Signed {
    /// Writes `NAME.pem` and `NAME-key.pem`.
    #[must_use]
    pub fn write(&self, dir: &Path, name: &str) -> [String; 2] {
        let write = |file: String, text: &str| {
            let path = dir.join(file);
            std::fs::write(&path, text).expect("write a certificate");
            path.display().to_string()
        };
        [
            write(format!("{name}.pem"), &self.cert),
            write(format!("{name}-key.pem"), &self.key),
        ]
    }
}
