//! From an answer to a challenge to a proven account. Pure: what has to be asked of the chain is handed back.
//!
//! Three kinds of accounts. One key: the account is the hash of the key's script. Several keys: the script comes with
//! the answer, its hash is the account, and enough of its keys must have signed. A contract: the signers prove their
//! own accounts here, and the contract says on chain whether those may act for it. A node never checks witnesses
//! when it tries a contract out, so the signers that it is told of are those that were proven here and nobody else.

use crate::challenge::ChallengeRecord;
use neofn_chain::fee::Verification;
use neofn_chain::key::PublicKey;
use neofn_chain::sign_in::{Challenge, WalletFormat, canonical, verify_wallet_signature};
use neofn_chain::tx::script_hash;
use neofn_types::{Code, Error, ScriptHash, UnixMillis};
use std::time::Duration;

/// How far a wallet's clock may be from ours.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// Most signatures of one answer, as Neo's own limit for accounts of several keys has it.
pub const SIGNERS_MAX: usize = 16;

/// How a wallet was asked to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The text of the challenge.
    Message {
        /// What the wallet put before it, as it tells.
        salt: Option<String>,
    },
    /// NEP-20's members.
    Nep20 {
        /// The wallet's clock, seconds since 1970.
        timestamp: u32,
    },
}

/// One key's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Compressed.
    pub public_key: [u8; 33],
    /// r and s.
    pub signature: [u8; 64],
    /// How it was asked for.
    pub asked: Asked,
}

/// What proves the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Its one key.
    Key(Signed),
    /// Enough of its several keys.
    Keys {
        /// The account's verification script.
        script: Vec<u8>,
        /// Of whom.
        signed: Vec<Signed>,
    },
    /// People for whom the account's contract answers.
    Contract {
        /// Who signed.
        signed: Vec<Signed>,
    },
}

/// Whether NEP-20 answers in NeoLine's layout are taken. That layout names no domain, so another site could pass a
/// challenge of ours on to a person and use the answer; such wallets can sign the message instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domainless {
    /// Taken, and recorded as such.
    Accept,
    /// Refused.
    Refuse,
}

/// Why an answer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// Never made, used, or ended.
    #[error("the challenge is unknown, was used or has ended")]
    ChallengeGone,
    /// It was made for another address.
    #[error("the challenge was made for another address")]
    OtherAccount,
    /// No key of the account, or no signature by it over this challenge.
    #[error("the signature does not prove the address")]
    Signature,
    /// Outside the range that a signature's numbers have, or in their upper half.
    #[error("the signature is not canonical: its s is above half of the curve's order; send n - s instead")]
    NotCanonical,
    /// More than a minute off.
    #[error("the wallet's clock is more than 60 s off")]
    Clock,
    /// NeoLine's layout, which this node does not take.
    #[error("the wallet's NEP-20 answer names no domain; this node takes the signed message instead")]
    Domainless,
    /// Another layout than the answer said.
    #[error("the signature is in another format than `format` says")]
    OtherFormat,
    /// The script is none of an account with several keys, or of another account.
    #[error("the script is not that of this address, or not one of m of n keys")]
    Script,
    /// Not enough keys, or one of them twice.
    #[error("{have} of the {need} signatures that the account needs")]
    TooFew {
        /// How many the script asks for.
        need: usize,
        /// How many different keys of it signed.
        have: usize,
    },
    /// The contract said no, or there is none.
    #[error("the contract of this address does not accept these signers")]
    Contract,
}

impl From<SignInRefusal> for Error {
    fn from(refusal: SignInRefusal) -> Self {
        let code = match refusal {
            SignInRefusal::ChallengeGone => Code::ChallengeGone,
            _ => Code::SignInRefused,
        };
        Self::new(code, refusal.to_string())
    }
}

/// What came of looking at an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The account is proven.
    Proven {
        /// How the wallets signed, for the record.
        formats: Vec<WalletFormat>,
    },
    /// It is proven if its contract accepts these, and the chain has to be asked.
    AskContract {
        /// Whose signatures were found good.
        signers: Vec<ScriptHash>,
        /// How they signed.
        formats: Vec<WalletFormat>,
    },
}

/// Looks at an answer. Whether the challenge was used before is the store's to say, in the step that uses it up.
pub fn look(
    challenge: &ChallengeRecord,
    account: ScriptHash,
    proof: &Proof,
    now: UnixMillis,
    domainless: Domainless,
) -> Result<Looked, SignInRefusal> {
    if now >= challenge.expires_at || now < challenge.issued_at {
        return Err(SignInRefusal::ChallengeGone);
    }
    if challenge.account != account {
        return Err(SignInRefusal::OtherAccount);
    }
    let check = |signed: &Signed| {
        let key = PublicKey::from_bytes(&signed.public_key).map_err(|_| SignInRefusal::Signature)?;
        one(challenge, key, signed, now, domainless).map(|format| (key, format))
    };
    match proof {
        Proof::Key(signed) => {
            let (key, format) = check(signed)?;
            if key.account() != account {
                return Err(SignInRefusal::Signature);
            }
            Ok(Looked::Proven {
                formats: vec![format],
            })
        }
        Proof::Keys { script, signed } => {
            let Some(Verification::Multi { needed: need, keys }) = Verification::read(script) else {
                return Err(SignInRefusal::Script);
            };
            if script_hash(script) != account {
                return Err(SignInRefusal::Script);
            }
            let (signers, formats) = all(signed, check)?;
            // each of them in the script: a stranger's signature proves nothing and is a mistake
            if !signers.iter().all(|key| keys.contains(&key.to_bytes())) {
                return Err(SignInRefusal::Signature);
            }
            if signers.len() < need {
                let have = signers.len();
                return Err(SignInRefusal::TooFew { need, have });
            }
            Ok(Looked::Proven { formats })
        }
        Proof::Contract { signed } => {
            let (signers, formats) = all(signed, check)?;
            if signers.is_empty() {
                return Err(SignInRefusal::TooFew { need: 1, have: 0 });
            }
            let signers = signers.into_iter().map(PublicKey::account).collect();
            Ok(Looked::AskContract { signers, formats })
        }
    }
}

/// Every signature must be good, and no key may come twice.
fn all(
    signed: &[Signed],
    check: impl Fn(&Signed) -> Result<(PublicKey, WalletFormat), SignInRefusal>,
) -> Result<(Vec<PublicKey>, Vec<WalletFormat>), SignInRefusal> {
    if signed.len() > SIGNERS_MAX {
        return Err(SignInRefusal::Script);
    }
    let (mut keys, mut formats) = (Vec::new(), Vec::new());
    for one in signed {
        let (key, format) = check(one)?;
        if !keys.contains(&key) {
            keys.push(key);
            formats.push(format);
        }
    }
    Ok((keys, formats))
}

fn one(
    challenge: &ChallengeRecord,
    key: PublicKey,
    signed: &Signed,
    now: UnixMillis,
    domainless: Domainless,
) -> Result<WalletFormat, SignInRefusal> {
    if canonical(&signed.signature) != Some(signed.signature) {
        return Err(SignInRefusal::NotCanonical);
    }
    let text = challenge.message();
    let asked = match &signed.asked {
        Asked::Message { salt } => Challenge::Message {
            text: &text,
            salt: salt.as_deref(),
        },
        Asked::Nep20 { timestamp } => {
            let theirs = UnixMillis(i64::from(*timestamp).saturating_mul(1_000));
            if now.since(theirs) > CLOCK_SKEW_MAX || theirs.since(now) > CLOCK_SKEW_MAX {
                return Err(SignInRefusal::Clock);
            }
            Challenge::Nep20 {
                network: challenge.network,
                nonce: challenge.nonce.number(),
                timestamp: *timestamp,
                domain: challenge.domain.as_str(),
            }
        }
    };
    // a key among several signs as itself: the text names the account that it signs for, and the nonce is that account's
    let format = verify_wallet_signature(key.account(), key, &signed.signature, asked)
        .ok_or(SignInRefusal::Signature)?;
    if format == WalletFormat::Nep20NeoLine && domainless == Domainless::Refuse {
        return Err(SignInRefusal::Domainless);
    }
    Ok(format)
}
