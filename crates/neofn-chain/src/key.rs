//! Key pairs: ECDSA on P-256, as every Neo N3 account uses. A private key is wiped when it is dropped and never shown.

use crate::tx::Witness;
use neofn_types::ScriptHash;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

const PUSHDATA1: u8 = 0x0c;
const SYSCALL: u8 = 0x41;
/// The first four bytes of the hash of `System.Crypto.CheckSig`.
const CHECK_SIG: [u8; 4] = [0x56, 0xe7, 0xb3, 0x27];
/// First byte of a private key in WIF.
const WIF_VERSION: u8 = 0x80;
/// Last byte of one whose public key is used in its compressed form; Neo knows no other.
const WIF_COMPRESSED: u8 = 0x01;
/// Longest text that is looked at: a WIF has 52 characters.
const WIF_TEXT_MAX: usize = 64;

/// Text or bytes that are no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not thirty-two bytes of a number in range.
    #[error("not a private key of P-256")]
    Private,
    /// Not a compressed point on the curve.
    #[error("not a public key of P-256 in its compressed form")]
    Public,
    /// Not a WIF, or a damaged one. The text itself is a secret and never repeated.
    #[error("not a private key in WIF: 52 characters that begin with K or L")]
    Wif,
}

/// A private key.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// From its thirty-two bytes, most significant first.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| KeyError::Private)
    }
    /// From its WIF.
    pub fn from_wif(text: &str) -> Result<Self, KeyError> {
        if text.len() > WIF_TEXT_MAX {
            return Err(KeyError::Wif);
        }
        let raw = bs58::decode(text)
            .with_check(Some(WIF_VERSION))
            .into_vec()
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Wif)?;
        match raw.as_slice() {
            [WIF_VERSION, key @ .., WIF_COMPRESSED] if key.len() == 32 => {
                Self::from_bytes(key).map_err(|_| KeyError::Wif)
            }
            _ => Err(KeyError::Wif),
        }
    }
    /// Its WIF.
    #[must_use]
    pub fn to_wif(&self) -> Zeroizing<String> {
        let mut raw = Zeroizing::new(Vec::with_capacity(34));
        raw.push(WIF_VERSION);
        raw.extend_from_slice(self.to_bytes().as_slice());
        raw.push(WIF_COMPRESSED);
        Zeroizing::new(bs58::encode(raw.as_slice()).with_check().into_string())
    }
    /// Its thirty-two bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }
    /// Signs the SHA-256 of `message`. The same key and message give the same signature (RFC 6979).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }
    /// The witness of an account with this key alone.
    #[must_use]
    pub fn witness(&self, message: &[u8]) -> Witness {
        Witness {
            invocation: push_signature(&self.sign(message)),
            verification: self.public().verification_script(),
        }
    }
}
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// The script that leaves one signature for a verification script.
#[must_use]
pub fn push_signature(signature: &[u8; 64]) -> Vec<u8> {
    let mut script = vec![PUSHDATA1, 64];
    script.extend_from_slice(signature);
    script
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its thirty-three bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 33 {
            return Err(KeyError::Public);
        }
        VerifyingKey::from_sec1_bytes(bytes)
            .map(Self)
            .map_err(|_| KeyError::Public)
    }
    /// The compressed form: thirty-three bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 33] {
        let point = self.0.to_encoded_point(true);
        // a compressed point always has that many bytes
        point.as_bytes().try_into().unwrap_or([0; 33])
    }
    /// Whether it made this signature of `message`.
    #[must_use]
    pub fn verifies(self, message: &[u8], signature: &[u8; 64]) -> bool {
        Signature::from_slice(signature).is_ok_and(|s| self.0.verify(message, &s).is_ok())
    }
    /// The script whose hash is the account of this key alone.
    #[must_use]
    pub fn verification_script(self) -> Vec<u8> {
        let mut script = vec![PUSHDATA1, 33];
        script.extend_from_slice(&self.to_bytes());
        script.push(SYSCALL);
        script.extend_from_slice(&CHECK_SIG);
        script
    }
    /// The account of this key alone.
    #[must_use]
    pub fn account(self) -> ScriptHash {
        crate::tx::script_hash(&self.verification_script())
    }
}
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_wif_gives_its_address_and_comes_back() {
        let wif = "L2nBjxkpVeYK9tvqicfBgU2iDMosQXqohhduTCLr8vRa8JMa8En9";
        let key = PrivateKey::from_wif(wif).unwrap();
        assert_eq!(key.to_wif().as_str(), wif);
        assert!(!format!("{key:?}").contains("L2"));
        let signature = key.sign(b"hello");
        assert!(key.public().verifies(b"hello", &signature));
        assert!(!key.public().verifies(b"hallo", &signature));
        assert_eq!(PublicKey::from_bytes(&key.public().to_bytes()), Ok(key.public()));
        for bad in ["", "L2nB", &wif[1..], &wif.replace('x', "y"), &"K".repeat(10_000)] {
            assert_eq!(PrivateKey::from_wif(bad).unwrap_err(), KeyError::Wif, "{bad}");
        }
        assert!(PrivateKey::from_bytes(&[0; 32]).is_err());
        assert!(PublicKey::from_bytes(&[2; 65]).is_err());
    }

    #[test]
    fn the_account_of_a_public_key_is_that_of_other_wallets() {
        let bytes =
            hex::decode("026d126a219b8be214c82953a3195b91c4e7d905f3fc91fcd14dc8d87fe843b3fb").unwrap();
        let key = PublicKey::from_bytes(&bytes).unwrap();
        assert_eq!(key.account().to_address(), "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd");
        assert_eq!(key.verification_script().len(), 40);
    }
}
