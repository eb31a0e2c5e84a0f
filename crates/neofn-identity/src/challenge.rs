//! What a person signs to sign in: a text in the manner of CAIP-122, and the same as NEP-20 members.
//!
//! A challenge is bound to one account, domain and network, ends soon and is used once. Knows no wallet's byte layout:
//! those are `neofn_chain::sign_in`'s.

use neofn_types::{Entropy, Scheme, ScriptHash, UnixMillis};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Wallets are written in JavaScript: a greater number would lose its last digits there.
const NONCE_BITS: u32 = 53;

/// Names a challenge. Random, below 2^53, written in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(u64);

impl Nonce {
    /// A random one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(entropy.next_u64() >> (u64::BITS - NONCE_BITS))
    }
    /// From its number; none when it is too great.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (number >> NONCE_BITS == 0).then_some(Self(number))
    }
    /// As NEP-20 has it.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}
impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
/// Text that is no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a nonce: the decimal number that came with the challenge")]
pub struct NonceParseError;
impl FromStr for Nonce {
    type Err = NonceParseError;
    fn from_str(s: &str) -> Result<Self, NonceParseError> {
        let number: u64 = s.parse().map_err(|_| NonceParseError)?;
        // one spelling alone: no plus sign, no leading zeroes
        (number.to_string() == s)
            .then(|| Self::new(number))
            .flatten()
            .ok_or(NonceParseError)
    }
}

/// The host that people see in their address bar, with a port where it is not the usual one, and by which scheme it is
/// served: https unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    host: String,
    scheme: Scheme,
}

/// Text that is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a domain: host or host:port in lower-case ASCII, at most 255 characters, or the same after https:// or http://"
)]
pub struct DomainParseError(pub String);

impl Domain {
    /// Host and port.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.host
    }
    /// As the store keeps it: reads back as the same.
    #[must_use]
    pub fn stored(&self) -> String {
        match self.scheme {
            Scheme::Https => self.host.clone(),
            Scheme::Http => self.origin(),
        }
    }
    /// With the scheme that people's browsers show.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.host)
    }
    /// The same host, served by this scheme.
    #[must_use]
    pub fn served_by(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }
}
impl FromStr for Domain {
    type Err = DomainParseError;
    fn from_str(s: &str) -> Result<Self, DomainParseError> {
        let (scheme, host) = match s.strip_prefix("http://") {
            Some(host) => (Scheme::Http, host),
            None => (Scheme::Https, s.strip_prefix("https://").unwrap_or(s)),
        };
        // wallets' SDKs corrupt what is not ASCII
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b);
        if host.is_empty() || host.len() > 255 || !host.bytes().all(letters) {
            return Err(DomainParseError(s.chars().take(80).collect()));
        }
        Ok(Self {
            host: host.to_owned(),
            scheme,
        })
    }
}
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// A challenge as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeRecord {
    /// Its name.
    pub nonce: Nonce,
    /// Who is to sign.
    pub account: ScriptHash,
    /// Who asks.
    pub domain: Domain,
    /// The network's magic number.
    pub network: u32,
    /// When it was made.
    pub issued_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// The challenge that NEP-20 describes, for a wallet's `authenticate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nep20Challenge {
    /// Always `Authentication`.
    pub action: &'static str,
    /// Always `Signature`.
    pub grant_type: &'static str,
    /// What we verify.
    pub allowed_algorithms: [&'static str; 1],
    /// Who asks.
    pub domain: String,
    /// The one network.
    pub networks: [u32; 1],
    /// In decimal.
    pub nonce: String,
    /// Seconds since 1970.
    pub timestamp: i64,
}

impl ChallengeRecord {
    /// A new one.
    #[must_use]
    pub fn new(
        account: ScriptHash,
        (domain, network): (&Domain, u32),
        (now, ttl): (UnixMillis, Duration),
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            nonce: Nonce::generate(entropy),
            account,
            domain: domain.clone(),
            network,
            issued_at: now,
            expires_at: now.plus(ttl),
        }
    }
    /// The text to sign. The same record gives the same text for ever.
    #[must_use]
    pub fn message(&self) -> String {
        format!(
            "{domain} wants you to sign in with your Neo account:\n{address}\n\n\
             This signs you in to neofn. It costs nothing and sends no transaction.\n\n\
             URI: {origin}\nVersion: 1\nChain ID: neo3:{network}\nNonce: {nonce}\n\
             Issued At: {issued}\nExpiration Time: {expires}",
            domain = self.domain,
            origin = self.domain.origin(),
            address = self.account.to_address(),
            network = self.network,
            nonce = self.nonce,
            issued = self.issued_at.to_iso8601(),
            expires = self.expires_at.to_iso8601(),
        )
    }
    /// The same for wallets that know NEP-20.
    #[must_use]
    pub fn nep20(&self) -> Nep20Challenge {
        Nep20Challenge {
            action: "Authentication",
            grant_type: "Signature",
            allowed_algorithms: ["ECDSA-P256"],
            domain: self.domain.to_string(),
            networks: [self.network],
            nonce: self.nonce.to_string(),
            timestamp: self.issued_at.0.div_euclid(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_all_that_it_is_bound_to() {
        let record = ChallengeRecord {
            nonce: Nonce::new((1 << 53) - 1).unwrap(),
            account: "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd".parse().unwrap(),
            domain: "neofn.example:9000".parse().unwrap(),
            network: 860_833_102,
            issued_at: UnixMillis(1_700_000_000_123),
            expires_at: UnixMillis(1_700_000_300_123),
        };
        assert_eq!(
            record.message(),
            "neofn.example:9000 wants you to sign in with your Neo account:\n\
             NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd\n\n\
             This signs you in to neofn. It costs nothing and sends no transaction.\n\n\
             URI: https://neofn.example:9000\nVersion: 1\nChain ID: neo3:860833102\nNonce: 9007199254740991\n\
             Issued At: 2023-11-14T22:13:20.123Z\nExpiration Time: 2023-11-14T22:18:20.123Z"
        );
        assert!(record.message().is_ascii());
        // what is served in the clear says so, with the domain as it was; and after the store it is the same text
        let plain = ChallengeRecord {
            domain: "127.0.0.1:9000"
                .parse::<Domain>()
                .unwrap()
                .served_by(Scheme::Http),
            ..record.clone()
        };
        let text = plain.message();
        assert!(text.starts_with("127.0.0.1:9000 wants you to sign in"), "{text}");
        assert!(
            text.contains("\nURI: http://127.0.0.1:9000\nVersion: 1\n"),
            "{text}"
        );
        assert_eq!(plain.nep20().domain, "127.0.0.1:9000");
        for domain in [&record.domain, &plain.domain] {
            assert_eq!(domain.stored().parse::<Domain>().as_ref(), Ok(domain));
        }
        assert_eq!("https://neofn.example:9000".parse().as_ref(), Ok(&record.domain));
        assert_eq!(record.nep20().timestamp, 1_700_000_000);
        assert_eq!(Nonce::new(1 << 53), None);
        for bad in ["", "+1", "01", " 1", "1.0", "9007199254740992", "-1"] {
            assert!(bad.parse::<Nonce>().is_err(), "{bad}");
        }
        for bad in [
            "",
            "a b",
            "A.example",
            "a\nb",
            "é.example",
            "a/b",
            "http://",
            "ftp://a",
        ] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }
}
