//! Use cases about one's own session: challenge, login, exchange of tokens, logout, who one is.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_identity::sign_in::{Asked, Proof, SIGNERS_MAX, Signed};
use neofn_identity::token::Jwks;
use neofn_identity::{Principal, Scope, Tokens};
use neofn_types::{Code, Error, ScriptHash};
use neofn_wire::{
    ChallengeRequest, ChallengeView, LoggedOut, LoginRequest, RefreshRequest, RoleView, SignerProof,
    TokensView, WhoAmI,
};

/// What wallets put before a message: so many hex digits. Anything longer or freer would let another text end in ours.
const SALT_DIGITS: usize = 32;
/// Longest script of an account with several keys: sixteen of them need 565 bytes.
const SCRIPT_BYTES_MAX: usize = 1_024;

impl Api {
    /// A challenge to sign.
    pub async fn challenge(&self, request: &ChallengeRequest) -> Result<ChallengeView, ApiError> {
        let account = address(&request.address)?;
        let challenge = self.inner.accounts.challenge(account).await?;
        Ok(ChallengeView {
            nonce: challenge.nonce.to_string(),
            message: challenge.message(),
            nep20: serde_json::to_value(challenge.nep20()).map_err(Error::internal)?,
            expires: challenge.expires_at.to_iso8601(),
        })
    }

    /// Signs in with a signed challenge.
    pub async fn login(&self, request: LoginRequest) -> Result<TokensView, ApiError> {
        let account = address(&request.address)?;
        let nonce = request
            .nonce
            .parse()
            .map_err(|_| Error::from(Code::ChallengeGone))?;
        let expected = request.format.clone();
        let proof = proof(request)?;
        let tokens = self
            .inner
            .accounts
            .login(nonce, account, &proof, expected.as_deref())
            .await?;
        Ok(self.tokens(&tokens))
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, request: &RefreshRequest) -> Result<TokensView, ApiError> {
        let tokens = self.inner.accounts.refresh(&request.refresh_token).await?;
        Ok(self.tokens(&tokens))
    }

    /// Ends the caller's session.
    pub async fn logout(&self, who: &Principal) -> Result<LoggedOut, ApiError> {
        self.authorise(who, Action::OwnSession, Target::Node { loopback: false })?;
        let Principal::Account(person) = who else {
            return Err(
                Error::new(Code::BadParameter, "an API key has no session; revoke it instead").into(),
            );
        };
        Ok(LoggedOut {
            success: self.inner.accounts.logout(person).await?,
        })
    }

    /// Who calls, and what they are where.
    pub fn who_am_i(&self, who: &Principal) -> Result<WhoAmI, ApiError> {
        self.authorise(who, Action::OwnSession, Target::Node { loopback: false })?;
        let operator = who.is_operator();
        Ok(match who {
            Principal::Anonymous => return Err(Code::Unauthenticated.into()),
            Principal::Key {
                id, scope, powers, ..
            } => WhoAmI {
                kind: "key".to_owned(),
                id: id.to_string(),
                operator,
                roles: Vec::new(),
                project: match scope {
                    Scope::Operator => None,
                    Scope::Project(project) => Some(project.to_string()),
                },
                scopes: match scope {
                    Scope::Operator => Vec::new(),
                    Scope::Project(_) => powers.iter().map(|p| p.to_string()).collect(),
                },
            },
            Principal::Account(person) => WhoAmI {
                kind: "account".to_owned(),
                id: person.account.to_address(),
                operator,
                roles: person
                    .memberships
                    .iter()
                    .map(|m| RoleView {
                        project: m.project.to_string(),
                        function: m.function.as_ref().map(ToString::to_string),
                        role: m.role.to_string(),
                    })
                    .collect(),
                project: None,
                scopes: Vec::new(),
            },
        })
    }

    /// The keys that verify access tokens.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        self.inner.accounts.jwks()
    }

    fn tokens(&self, tokens: &Tokens) -> TokensView {
        let left = tokens.access_expires_at.since(self.inner.clock.now());
        TokensView {
            access_token: tokens.access.to_string(),
            token_type: "Bearer".to_owned(),
            expires_in: left.as_secs(),
            refresh_token: tokens.refresh.to_string(),
            session_expires: tokens.session.expires_at.to_iso8601(),
            address: tokens.session.account.to_address(),
        }
    }
}

/// An account, by address or by script hash.
pub(crate) fn address(text: &str) -> Result<ScriptHash, Error> {
    text.parse()
        .map_err(|e: neofn_types::ParseScriptHashError| Error::new(Code::BadParameter, e.to_string()))
}

fn proof(request: LoginRequest) -> Result<Proof, Error> {
    let script = request
        .script
        .as_deref()
        .map(|text| bytes(text, "script", SCRIPT_BYTES_MAX))
        .transpose()?;
    match (request.pubkey, request.signature, script) {
        (Some(pubkey), Some(signature), None) if request.signers.is_empty() => {
            let one = SignerProof {
                pubkey,
                signature,
                salt: request.salt,
                timestamp: request.timestamp,
            };
            Ok(Proof::Key(signed(&one)?))
        }
        (None, None, script) if (1..=SIGNERS_MAX).contains(&request.signers.len()) => {
            let signed = request.signers.iter().map(signed).collect::<Result<_, _>>()?;
            Ok(match script {
                Some(script) => Proof::Keys { script, signed },
                None => Proof::Contract { signed },
            })
        }
        _ => Err(Error::new(
            Code::RequestInvalid,
            format!(
                "give `pubkey` and `signature`, or 1 to {SIGNERS_MAX} `signers` with the `script` of an account with \
                 several keys (without it: of a contract)"
            ),
        )),
    }
}

fn signed(proof: &SignerProof) -> Result<Signed, Error> {
    let salted = |salt: &String| salt.len() == SALT_DIGITS && salt.bytes().all(|b| b.is_ascii_hexdigit());
    if !proof.salt.as_ref().is_none_or(salted) {
        return Err(invalid("salt", &format!("{SALT_DIGITS} hex digits")));
    }
    let public_key = bytes(&proof.pubkey, "pubkey", 33)?;
    let text = &proof.signature;
    let signature = match text.len() {
        128 => bytes(text, "signature", 64)?,
        _ if text.len() <= 128 => BASE64
            .decode(text)
            .map_err(|_| invalid("signature", "64 bytes, r and s, in hex or base64"))?,
        _ => return Err(invalid("signature", "64 bytes, r and s, in hex or base64")),
    };
    Ok(Signed {
        public_key: public_key
            .try_into()
            .map_err(|_| invalid("pubkey", "33 bytes, compressed, in hex"))?,
        signature: signature
            .try_into()
            .map_err(|_| invalid("signature", "64 bytes, r and s, in hex or base64"))?,
        asked: match proof.timestamp {
            Some(timestamp) => Asked::Nep20 { timestamp },
            None => Asked::Message {
                salt: proof.salt.clone(),
            },
        },
    })
}

fn bytes(text: &str, member: &str, most: usize) -> Result<Vec<u8>, Error> {
    if text.len() > 2 * most {
        return Err(invalid(member, &format!("at most {most} bytes, in hex")));
    }
    hex::decode(text).map_err(|_| invalid(member, "bytes in hex"))
}

fn invalid(member: &str, wanted: &str) -> Error {
    Error::new(Code::RequestInvalid, format!("`{member}` must be {wanted}"))
}
