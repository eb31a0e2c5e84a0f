//! The keys that sign access tokens, and how they follow one another.
//!
//! A key is published before it signs, so that whoever keeps our keys has it in time, and stays published until the
//! last token that it signed has ended.

use crate::token::{SealError, SeedSeal};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use neofn_types::UnixMillis;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How keys follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long one signs.
    pub period: Duration,
    /// How long before that it is published.
    pub early: Duration,
    /// How long tokens live; a key stays for that much longer.
    pub token_ttl: Duration,
}

/// A signing key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// From 1, without gaps: of two nodes that make the next key at once, one finds the number taken.
    pub seq: u32,
    /// RFC 7638's thumbprint of the public key.
    pub kid: String,
    /// The public key.
    pub public: [u8; 32],
    /// The seed, sealed.
    pub sealed: Vec<u8>,
    /// From when it signs.
    pub active_from: UnixMillis,
}

impl SigningKeyRecord {
    /// Of a fresh seed.
    pub fn new(
        seq: u32,
        seed: &Zeroizing<[u8; 32]>,
        active_from: UnixMillis,
        seal: &dyn SeedSeal,
    ) -> Result<Self, SealError> {
        let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let kid = thumbprint(&public);
        let sealed = seal.seal(&kid, seed)?;
        Ok(Self {
            seq,
            kid,
            public,
            sealed,
            active_from,
        })
    }
}

fn thumbprint(public: &[u8; 32]) -> String {
    let x = BASE64.encode(public);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64.encode(Sha256::digest(canonical.as_bytes()))
}

/// What is to be done about the keys now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Make a key of this number that signs from then on.
    pub create: Option<(u32, UnixMillis)>,
    /// Forget keys with numbers below this one.
    pub drop_below: Option<u32>,
}

/// Decides, from the keys there are (in order) and the time.
#[must_use]
pub fn plan(keys: &[SigningKeyRecord], now: UnixMillis, rotation: Rotation) -> Plan {
    let Some(newest) = keys.last() else {
        return Plan {
            create: Some((1, now)),
            drop_below: None,
        };
    };
    let due = newest.active_from.plus(rotation.period);
    let create = (due <= now.plus(rotation.early)).then(|| {
        // a node that slept through it publishes early all the same; the old key signs meanwhile
        (newest.seq.saturating_add(1), due.max(now.plus(rotation.early)))
    });
    // a key is done when the one after it has been signing for longer than a token lives
    let drop_below = keys
        .iter()
        .rev()
        .find(|key| key.active_from.plus(rotation.token_ttl) < now)
        .map(|key| key.seq)
        .filter(|seq| keys.first().is_some_and(|oldest| oldest.seq < *seq));
    Plan { create, drop_below }
}

/// A public key as JSON (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// `EdDSA`.
    pub alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Its name.
    pub kid: String,
    /// The key.
    pub x: String,
}

/// What `/.well-known/jwks.json` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// Oldest first; the last one may not sign yet.
    pub keys: Vec<Jwk>,
}

struct Key {
    header: String,
    seed: SigningKey,
    public: VerifyingKey,
    active_from: UnixMillis,
    kid: String,
}

/// The opened keys. `Debug` shows their names alone.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
    by_header: HashMap<String, usize>,
}

impl Keyring {
    /// Opens what the store has.
    pub fn open(records: &[SigningKeyRecord], seal: &dyn SeedSeal) -> Result<Self, SealError> {
        let mut ring = Self::default();
        for record in records {
            let seed = SigningKey::from_bytes(&*seal.open(&record.kid, &record.sealed)?);
            let public = seed.verifying_key();
            if public.to_bytes() != record.public || thumbprint(&record.public) != record.kid {
                return Err(SealError);
            }
            let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, record.kid);
            let header = BASE64.encode(header);
            ring.by_header.insert(header.clone(), ring.keys.len());
            ring.keys.push(Key {
                header,
                seed,
                public,
                active_from: record.active_from,
                kid: record.kid.clone(),
            });
        }
        Ok(ring)
    }
    /// A whole token of a body; none when no key may sign yet.
    #[must_use]
    pub(crate) fn sign(&self, body: &str, now: UnixMillis) -> Option<String> {
        let key = self.keys.iter().rev().find(|k| k.active_from <= now)?;
        let mut token = format!("{}.{body}", key.header);
        let signature = key.seed.sign(token.as_bytes());
        token.push('.');
        token.push_str(&BASE64.encode(signature.to_bytes()));
        Some(token)
    }
    /// Whether the key of this header signed it.
    pub(crate) fn verifies(&self, header: &str, signed: &[u8], signature: &[u8; 64]) -> bool {
        self.by_header
            .get(header)
            .and_then(|n| self.keys.get(*n))
            .is_some_and(|key| {
                key.public
                    .verify_strict(signed, &Signature::from_bytes(signature))
                    .is_ok()
            })
    }
    /// The public halves.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        let keys = self.keys.iter().map(|key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.kid.clone(),
            x: BASE64.encode(key.public.to_bytes()),
        });
        Jwks { keys: keys.collect() }
    }
}
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|k| &k.kid)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seq: u32, active_from: i64) -> SigningKeyRecord {
        SigningKeyRecord {
            seq,
            kid: String::new(),
            public: [0; 32],
            sealed: Vec::new(),
            active_from: UnixMillis(active_from),
        }
    }
    fn seconds(create: Option<(u32, i64)>, drop_below: Option<u32>) -> Plan {
        Plan {
            create: create.map(|(n, at)| (n, UnixMillis(at))),
            drop_below,
        }
    }

    #[test]
    fn keys_are_published_early_and_kept_for_their_last_token() {
        let rotation = Rotation {
            period: Duration::from_millis(1_000),
            early: Duration::from_millis(100),
            token_ttl: Duration::from_millis(50),
        };
        let at = |keys: &[SigningKeyRecord], now| plan(keys, UnixMillis(now), rotation);
        assert_eq!(at(&[], 5), seconds(Some((1, 5)), None));
        let first = [key(1, 0)];
        assert_eq!(at(&first, 899), seconds(None, None));
        assert_eq!(at(&first, 900), seconds(Some((2, 1_000)), None));
        assert_eq!(at(&first, 5_000), seconds(Some((2, 5_100)), None), "slept");
        let both = [key(1, 0), key(2, 1_000)];
        assert_eq!(at(&both, 1_050), seconds(None, None), "its last token lives");
        assert_eq!(at(&both, 1_051), seconds(None, Some(2)));
        let three = [key(1, 0), key(2, 1_000), key(3, 2_000)];
        assert_eq!(at(&three, 1_900).drop_below, Some(2));
        assert_eq!(at(&three, 2_100).drop_below, Some(3));
    }
}
