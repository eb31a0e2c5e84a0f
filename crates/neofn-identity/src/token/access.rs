//! Access tokens: JWTs of exactly one shape, signed with Ed25519 (RFC 7519, RFC 8037, RFC 9068).
//!
//! Nothing in a header is believed or even parsed: a token's header has to be, byte for byte, the one that we write
//! for a key of ours. So there is no `alg` to confuse, no `jku` to follow, and a refresh token is not an access token.

use crate::token::{Keyring, SessionId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use neofn_types::{ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest token that is looked at; ours have about 500 bytes.
const TOKEN_BYTES_MAX: usize = 2_048;
/// How far into the future a token may have been made: nodes' clocks differ a little.
const ISSUED_AHEAD_MAX_S: i64 = 60;

/// Who makes tokens, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// `iss`: the node's or the cluster's name.
    pub iss: String,
    /// `aud`: the API that takes them.
    pub aud: String,
    /// How long they live.
    pub ttl: Duration,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessClaims {
    /// Who made it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The account's address.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// Its own name.
    pub jti: String,
    /// When it was made, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
}

impl AccessClaims {
    /// The account.
    #[must_use]
    pub fn account(&self) -> Option<ScriptHash> {
        let hash: ScriptHash = self.sub.parse().ok()?;
        (hash.to_address() == self.sub).then_some(hash)
    }
    /// The session.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.sid.parse().ok()
    }
}

/// A token that is not one of ours, or no longer. Never says why, and never carries the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid access token")]
pub struct TokenRefused;

impl Issuer {
    /// A new token; none when no key may sign yet.
    #[must_use]
    pub fn issue(
        &self,
        keys: &Keyring,
        account: ScriptHash,
        session: SessionId,
        jti: [u8; 16],
        now: UnixMillis,
    ) -> Option<(String, UnixMillis)> {
        let iat = now.0.div_euclid(1_000);
        let exp = iat.saturating_add(i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX));
        let claims = AccessClaims {
            iss: self.iss.clone(),
            aud: self.aud.clone(),
            sub: account.to_address(),
            sid: session.to_string(),
            jti: hex::encode(jti),
            iat,
            exp,
        };
        let body = BASE64.encode(serde_json::to_vec(&claims).ok()?);
        let token = keys.sign(&body, now)?;
        Some((token, UnixMillis(exp.saturating_mul(1_000))))
    }

    /// What a token says, when it is one of ours and has not ended.
    pub fn verify(&self, keys: &Keyring, token: &str, now: UnixMillis) -> Result<AccessClaims, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefused);
        };
        // base64 with bits left over at its end is refused by the decoder: one signature has one spelling
        let raw: [u8; 64] = BASE64
            .decode(signature)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(TokenRefused)?;
        let signed = token.get(..header.len() + 1 + body.len()).ok_or(TokenRefused)?;
        if !keys.verifies(header, signed.as_bytes(), &raw) {
            return Err(TokenRefused);
        }
        let claims = BASE64
            .decode(body)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<AccessClaims>(&bytes).ok())
            .ok_or(TokenRefused)?;
        let now = now.0.div_euclid(1_000);
        let good = claims.iss == self.iss
            && claims.aud == self.aud
            && now < claims.exp
            && claims.iat <= now.saturating_add(ISSUED_AHEAD_MAX_S)
            && claims.account().is_some()
            && claims.session().is_some();
        good.then_some(claims).ok_or(TokenRefused)
    }
}
