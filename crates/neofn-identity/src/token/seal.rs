//! How the seed of a signing key is kept: whoever reads the database must not be able to sign tokens.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use neofn_types::Entropy;
use std::fmt;
use zeroize::Zeroizing;

const CONTEXT: &[u8] = b"neofn/jwt-seed/v1\0";
const NONCE_BYTES: usize = 24;

/// A seed that cannot be opened: another key, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seed of a signing key cannot be opened: it was sealed with another key, or is damaged")]
pub struct SealError;

/// Seals seeds. Bound to the key's id, so that one cannot stand in for another.
pub trait SeedSeal: Send + Sync + 'static {
    /// Closes.
    fn seal(&self, kid: &str, seed: &[u8; 32]) -> Result<Vec<u8>, SealError>;
    /// Opens.
    fn open(&self, kid: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError>;
}

/// With a key of thirty-two bytes that the node keeps in a file of its own, beside the database and not in it.
pub struct FileSeal {
    cipher: XChaCha20Poly1305,
    entropy: std::sync::Arc<dyn Entropy>,
}

impl FileSeal {
    /// With this key.
    #[must_use]
    pub fn new(key: &[u8; 32], entropy: std::sync::Arc<dyn Entropy>) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            entropy,
        }
    }
}
impl fmt::Debug for FileSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSeal(..)")
    }
}
impl SeedSeal for FileSeal {
    fn seal(&self, kid: &str, seed: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0u8; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let aad = [CONTEXT, kid.as_bytes()].concat();
        let payload = Payload { msg: seed, aad: &aad };
        let body = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError)?;
        Ok([&nonce[..], &body].concat())
    }
    fn open(&self, kid: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError)?;
        let aad = [CONTEXT, kid.as_bytes()].concat();
        let payload = Payload { msg: body, aad: &aad };
        let seed = self
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError)?;
        let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| SealError)?;
        Ok(Zeroizing::new(seed))
    }
}
