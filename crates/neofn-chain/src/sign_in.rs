//! What wallets really sign when a person proves an account: each has its own bytes around the same message.
//!
//! Layouts are those of the wallets' own code, checked against signatures that they made. Which one matched is told,
//! so that it can be recorded. Whether a challenge is fresh and was not used before is the caller's business.

use crate::key::PublicKey;
use neofn_types::ScriptHash;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest message that is looked at.
const MESSAGE_BYTES_MAX: usize = 4_096;
const NEP20_ACTION: &str = "Authentication";

/// Which bytes a wallet signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalletFormat {
    /// NeoLine signMessage, dappkit v1, neo-cli: an envelope around salt and message.
    Classic,
    /// dappkit v3: the same envelope without salt.
    WithoutSalt,
    /// NeoLine signMessageV2, for Ledger devices: the hash of something that looks like a transaction.
    Ledger,
    /// dappkit v2's default, NEP-21 signMessage: the message's own bytes.
    Plain,
    /// NEP-20 as OneGate writes it.
    Nep20OneGate,
    /// NEP-20 as neon-dapi writes it.
    Nep20NeonDapi,
    /// NEP-20 as NeoLine writes it. It does not bind the domain.
    Nep20NeoLine,
}
impl fmt::Display for WalletFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::WithoutSalt => "without-salt",
            Self::Ledger => "ledger",
            Self::Plain => "plain",
            Self::Nep20OneGate => "nep20-onegate",
            Self::Nep20NeonDapi => "nep20-neon-dapi",
            Self::Nep20NeoLine => "nep20-neoline",
        })
    }
}

/// What was to be signed.
#[derive(Debug, Clone, Copy)]
pub enum Challenge<'a> {
    /// A text that the person saw.
    Message {
        /// The text.
        text: &'a str,
        /// What the wallet put before it; in hex, as it tells.
        salt: Option<&'a str>,
    },
    /// The members of NEP-20.
    Nep20 {
        /// The network's number.
        network: u32,
        /// Ours, single use.
        nonce: u64,
        /// The wallet's clock, seconds since 1970.
        timestamp: u32,
        /// Who asked.
        domain: &'a str,
    },
}

/// Which format the signature is in, when `public_key` made it over `challenge` and is the key of `account`; none
/// otherwise. Formats are tried in a fixed order.
#[must_use]
pub fn verify_wallet_signature(
    account: ScriptHash,
    public_key: PublicKey,
    signature: &[u8; 64],
    challenge: Challenge<'_>,
) -> Option<WalletFormat> {
    if public_key.account() != account {
        return None;
    }
    candidates(account, challenge)?
        .into_iter()
        .find(|(_, bytes)| public_key.verifies(bytes, signature))
        .map(|(format, _)| format)
}

/// The one of the two signatures of the same thing whose `s` is in the lower half of the curve's order; none when the
/// bytes are no signature at all. Anybody can turn one into the other, so only this one should ever be accepted.
#[must_use]
pub fn canonical(signature: &[u8; 64]) -> Option<[u8; 64]> {
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    Some(signature.normalize_s().unwrap_or(signature).to_bytes().into())
}

fn candidates(account: ScriptHash, challenge: Challenge<'_>) -> Option<Vec<(WalletFormat, Vec<u8>)>> {
    match challenge {
        Challenge::Message { text, salt } => {
            let salted = format!("{}{text}", salt.unwrap_or_default());
            if salted.len() > MESSAGE_BYTES_MAX {
                return None;
            }
            let mut formats = Vec::new();
            if salt.is_some() {
                formats.push((WalletFormat::Classic, classic(&salted)));
            }
            formats.push((WalletFormat::WithoutSalt, classic(text)));
            formats.push((WalletFormat::Ledger, ledger(&salted)));
            formats.push((WalletFormat::Plain, text.as_bytes().to_vec()));
            Some(formats)
        }
        Challenge::Nep20 {
            network,
            nonce,
            timestamp,
            domain,
        } => {
            if domain.len() > MESSAGE_BYTES_MAX {
                return None;
            }
            let (network, nonce, time) = (
                network.to_le_bytes(),
                nonce.to_le_bytes(),
                timestamp.to_le_bytes(),
            );
            let tail = [account.0.to_vec(), var_text(NEP20_ACTION), var_text(domain)].concat();
            let mut reversed = account.0;
            reversed.reverse();
            Some(vec![
                (
                    WalletFormat::Nep20OneGate,
                    [&network[..], &nonce, &time, &tail].concat(),
                ),
                (
                    WalletFormat::Nep20NeonDapi,
                    [&nonce[..], &time, &network, &tail].concat(),
                ),
                (
                    WalletFormat::Nep20NeoLine,
                    [&network[..], &nonce, &time, &reversed].concat(),
                ),
            ])
        }
    }
}

fn classic(text: &str) -> Vec<u8> {
    [&[0x01, 0x00, 0x01, 0xf0][..], &var_text(text), &[0, 0]].concat()
}

/// Four zeroes for the network, and the hash of a transaction that is never valid with the text as its script.
fn ledger(text: &str) -> Vec<u8> {
    let mut inner = vec![0u8; 25];
    inner.push(1);
    inner.resize(48, 0);
    inner.extend(var_text(text));
    let mut signed = vec![0u8; 4];
    signed.extend(Sha256::digest(&inner));
    signed
}

fn var_text(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut out = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(n @ 0..=0xfc), _) => vec![n],
        (_, Ok(n)) => [&[0xfd][..], &n.to_le_bytes()].concat(),
        // longer ones were refused before
        _ => Vec::new(),
    };
    out.extend_from_slice(text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../tests/wallet_signatures.json")).unwrap()
    }
    fn signature(text: &str) -> [u8; 64] {
        let bytes = hex::decode(text).or_else(|_| BASE64.decode(text)).unwrap();
        bytes.try_into().unwrap()
    }

    #[test]
    fn every_wallets_signature_is_known_for_what_it_is() {
        let v = vectors();
        let text = |name: &str| v[name].as_str().unwrap();
        let account: ScriptHash = text("address").parse().unwrap();
        let key = PublicKey::from_bytes(&hex::decode(text("pubkey")).unwrap()).unwrap();
        let (message, salt) = (text("message"), Some(text("salt")));
        let plain = Challenge::Message {
            text: message,
            salt: None,
        };
        let salted = Challenge::Message { text: message, salt };
        let nep20 = Challenge::Nep20 {
            network: 42,
            nonce: text("nep20_nonce").parse().unwrap(),
            timestamp: u32::try_from(v["nep20_ts"].as_u64().unwrap()).unwrap(),
            domain: "neofn.example",
        };
        let cases = [
            ("classic", salted, WalletFormat::Classic),
            ("nosalt", plain, WalletFormat::WithoutSalt),
            ("v2", salted, WalletFormat::Ledger),
            ("default", salted, WalletFormat::Plain),
            ("nep21", plain, WalletFormat::Plain),
            ("nep20_onegate_sig", nep20, WalletFormat::Nep20OneGate),
            ("nep20_neoline_sig", nep20, WalletFormat::Nep20NeoLine),
            ("nep20_neondapi_sig", nep20, WalletFormat::Nep20NeonDapi),
        ];
        for (name, challenge, expected) in cases {
            let signed = signature(text(name));
            let verify = |challenge| verify_wallet_signature(account, key, &signed, challenge);
            assert_eq!(verify(challenge), Some(expected), "{name}");
            // another text, another account, another signature
            let other = Challenge::Message {
                text: "something else",
                salt,
            };
            assert_eq!(verify(other), None, "{name}");
            let stranger = ScriptHash([1; 20]);
            assert_eq!(
                verify_wallet_signature(stranger, key, &signed, challenge),
                None,
                "{name}"
            );
            let mut damaged = signed;
            damaged[5] ^= 1;
            assert_eq!(
                verify_wallet_signature(account, key, &damaged, challenge),
                None,
                "{name}"
            );
        }
        for (name, changed) in [("network", 0), ("nonce", 1), ("timestamp", 2), ("domain", 3)] {
            let Challenge::Nep20 {
                mut network,
                mut nonce,
                mut timestamp,
                mut domain,
            } = nep20
            else {
                panic!()
            };
            match changed {
                0 => network += 1,
                1 => nonce += 1,
                2 => timestamp += 1,
                _ => domain = "evil.example",
            }
            let other = Challenge::Nep20 {
                network,
                nonce,
                timestamp,
                domain,
            };
            let signed = signature(text("nep20_onegate_sig"));
            assert_eq!(
                verify_wallet_signature(account, key, &signed, other),
                None,
                "{name}"
            );
        }
    }

    #[test]
    fn a_signature_has_one_canonical_form() {
        let key = crate::key::PrivateKey::from_bytes(&[7; 32]).unwrap();
        let (mut low, mut high) = (0, 0);
        for n in 0..32u8 {
            let signed = key.sign(&[n]);
            let form = canonical(&signed).unwrap();
            assert_eq!(canonical(&form), Some(form));
            assert!(key.public().verifies(&[n], &form));
            if form == signed { low += 1 } else { high += 1 }
        }
        assert!(low > 0 && high > 0, "{low} low, {high} high");
        for bad in [[0; 64], [0xff; 64]] {
            assert_eq!(canonical(&bad), None);
        }
    }

    #[test]
    fn the_bytes_are_those_that_wallets_wrote() {
        let v = vectors();
        let text = |name: &str| v[name].as_str().unwrap();
        let salted = format!("{}{}", text("salt"), text("message"));
        assert_eq!(hex::encode(classic(&salted)), text("classic_payload"));
        assert_eq!(hex::encode(classic(text("message"))), text("nosalt_payload"));
        assert_eq!(hex::encode(ledger(&salted)), text("v2_signed"));
    }
}
