//! Refresh tokens: `nfr_<session>_<secret>_<crc>`. Opaque, kept as a hash, good once: each exchange gives the next one,
//! and one that comes a second time ends the session, because it was copied.

use crate::checksum::{body, crc32, lower_hex};
use neofn_types::Entropy;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A sign-in and all tokens that came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);
impl SessionId {
    /// A random one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        Self(id)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for SessionId {
    type Err = RefreshParseError;
    fn from_str(s: &str) -> Result<Self, RefreshParseError> {
        lower_hex(s).map(Self).ok_or(RefreshParseError)
    }
}

/// Text that is not a refresh token. Never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token: expected nfr_<session>_<secret>_<checksum>")]
pub struct RefreshParseError;

/// A refresh token. `Debug` shows the session alone.
#[derive(Clone)]
pub struct RefreshToken {
    /// Whose.
    pub session: SessionId,
    secret: Zeroizing<[u8; 32]>,
}

impl RefreshToken {
    /// What the text of every one begins with.
    pub const PREFIX: &str = "nfr_";

    /// A new one of a session.
    #[must_use]
    pub fn generate(session: SessionId, entropy: &dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(&mut *secret);
        Self { session, secret }
    }
    /// What the store keeps. The secret has 256 random bits, so a plain hash cannot be searched.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(b"neofn/refresh-token/v1");
        h.update(self.session.0);
        h.update(*self.secret);
        h.finalize().into()
    }
    /// The text that its owner keeps.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(hex::encode(*self.secret));
        let body = Zeroizing::new(format!("{}{}_{}", Self::PREFIX, self.session, *secret));
        Zeroizing::new(format!("{}_{:08x}", *body, crc32(body.as_bytes())))
    }
}
impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nfr_{}_…", self.session)
    }
}
impl FromStr for RefreshToken {
    type Err = RefreshParseError;
    fn from_str(s: &str) -> Result<Self, RefreshParseError> {
        let rest = body(s)
            .and_then(|b| b.strip_prefix(Self::PREFIX))
            .ok_or(RefreshParseError)?;
        let (session, secret) = rest.split_once('_').ok_or(RefreshParseError)?;
        Ok(Self {
            session: session.parse()?,
            secret: Zeroizing::new(lower_hex(secret).ok_or(RefreshParseError)?),
        })
    }
}
