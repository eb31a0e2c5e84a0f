//! Keys under a password, as wallets exchange them: NEP-2.
//!
//! <https://github.com/neo-project/proposals/blob/master/nep-2.mediawiki>, with the address version of Neo N3.

use super::{ScryptParameters, WalletError};
use crate::key::PrivateKey;
use aes::Aes256;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use neofn_types::ScriptHash;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

const PREFIX: [u8; 3] = [0x01, 0x42, 0xe0];
/// Prefix, the beginning of the address's hash, the encrypted key.
const BYTES: usize = 39;
/// Longest text that is looked at: a key has 58 characters.
const TEXT_BYTES_MAX: usize = 64;

/// Opens a key. The password is right when the key's address is the one that the text was made for.
pub fn open(text: &str, password: &str, parameters: ScryptParameters) -> Result<PrivateKey, WalletError> {
    let malformed = WalletError::Malformed("not a key in NEP-2 form");
    if text.len() > TEXT_BYTES_MAX {
        return Err(malformed);
    }
    let bytes = bs58::decode(text)
        .with_check(None)
        .into_vec()
        .map_err(|_| malformed.clone())?;
    let (Some(rest), BYTES) = (bytes.strip_prefix(&PREFIX), bytes.len()) else {
        return Err(malformed);
    };
    let (salt, encrypted) = rest.split_first_chunk::<4>().ok_or_else(|| malformed.clone())?;
    let derived = derive(password, salt, parameters)?;
    let (mask, key) = derived.split_at(32);
    let cipher =
        Aes256::new_from_slice(key).map_err(|_| WalletError::Malformed("a derived key of another length"))?;
    let mut plain = Zeroizing::new(<[u8; 32]>::try_from(encrypted).map_err(|_| malformed.clone())?);
    for block in plain.as_chunks_mut::<16>().0 {
        cipher.decrypt_block(block.into());
    }
    for (byte, mask) in plain.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    // a wrong password gives other bytes, which may or may not be a key
    let key = PrivateKey::from_bytes(&plain[..]).map_err(|_| WalletError::Password)?;
    if address_hash(key.public().account()) == *salt {
        Ok(key)
    } else {
        Err(WalletError::Password)
    }
}

/// Writes a key.
pub fn seal(key: &PrivateKey, password: &str, parameters: ScryptParameters) -> Result<String, WalletError> {
    let salt = address_hash(key.public().account());
    let derived = derive(password, &salt, parameters)?;
    let (mask, secret) = derived.split_at(32);
    let mut mixed = key.to_bytes();
    for (byte, mask) in mixed.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    let cipher = Aes256::new_from_slice(secret)
        .map_err(|_| WalletError::Malformed("a derived key of another length"))?;
    for block in mixed.as_chunks_mut::<16>().0 {
        cipher.encrypt_block(block.into());
    }
    let bytes = [&PREFIX[..], &salt, &mixed[..]].concat();
    Ok(bs58::encode(bytes).with_check().into_string())
}

fn derive(
    password: &str,
    salt: &[u8; 4],
    parameters: ScryptParameters,
) -> Result<Zeroizing<[u8; 64]>, WalletError> {
    let mut derived = Zeroizing::new([0u8; 64]);
    // one password, however the keyboard composes its letters: the standard asks for NFC
    let mut composed = Zeroizing::new(String::with_capacity(password.len().saturating_mul(3)));
    composed.extend(password.nfc());
    scrypt::scrypt(
        composed.as_bytes(),
        salt,
        &parameters.checked()?,
        &mut derived[..],
    )
    .map_err(|_| WalletError::Malformed("scrypt parameters that cannot be"))?;
    Ok(derived)
}

fn address_hash(account: ScriptHash) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::digest(Sha256::digest(account.to_address())).into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}
