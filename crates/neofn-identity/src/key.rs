//! API keys: `nfk_<id>_<secret>_<crc>`. The store keeps a hash of the secret, never the secret.

use crate::checksum::{body, crc32, lower_hex, same};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Names a key; public.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not an API key. Never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: expected nfk_<id>_<secret>_<checksum>")]
pub struct KeyParseError;

impl FromStr for KeyId {
    type Err = KeyParseError;
    fn from_str(s: &str) -> Result<Self, KeyParseError> {
        lower_hex(s).map(Self).ok_or(KeyParseError)
    }
}

/// A key with its secret. `Debug` and `Display` show the id alone.
#[derive(Clone)]
pub struct ApiKey {
    /// Its name.
    pub id: KeyId,
    secret: Zeroizing<[u8; 24]>,
}

impl ApiKey {
    /// What the text of every key begins with.
    pub const PREFIX: &str = "nfk_";

    /// From random bytes.
    #[must_use]
    pub fn new(id: [u8; 8], secret: [u8; 24]) -> Self {
        Self {
            id: KeyId(id),
            secret: Zeroizing::new(secret),
        }
    }
    /// What the store keeps. The secret has 192 random bits, so a plain hash cannot be searched.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(b"neofn/api-key/v1");
        h.update(self.id.0);
        h.update(*self.secret);
        h.finalize().into()
    }
    /// Compares with a stored hash, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        same(&self.hash(), stored)
    }
    /// The text that its owner sends. Shown once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(format!(
            "{}{}_{}",
            Self::PREFIX,
            hex::encode(self.id.0),
            hex::encode(*self.secret)
        ));
        Zeroizing::new(format!("{}_{:08x}", *body, crc32(body.as_bytes())))
    }
}
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nfk_{}_…", self.id)
    }
}
impl FromStr for ApiKey {
    type Err = KeyParseError;
    fn from_str(s: &str) -> Result<Self, KeyParseError> {
        let rest = body(s)
            .and_then(|b| b.strip_prefix(Self::PREFIX))
            .ok_or(KeyParseError)?;
        let (id, secret) = rest.split_once('_').ok_or(KeyParseError)?;
        let id = lower_hex(id).ok_or(KeyParseError)?;
        let secret = Zeroizing::new(lower_hex(secret).ok_or(KeyParseError)?);
        Ok(Self::new(id, *secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn reveals_parses_and_matches() {
        let key = ApiKey::new([1; 8], [2; 24]);
        let text = key.reveal();
        let back: ApiKey = text.parse().unwrap();
        assert!(back.matches(&key.hash()));
        assert!(!ApiKey::new([1; 8], [3; 24]).matches(&key.hash()));
        assert!(!format!("{key:?}").contains("0202"));
        let mut bad = text.to_string();
        bad.replace_range(5..6, "f");
        assert!(bad.parse::<ApiKey>().is_err());
    }
}
