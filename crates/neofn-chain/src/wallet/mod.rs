//! Wallet files (NEP-6) as neo-go, neon-js and other wallets write them, and the keys in them (NEP-2).
//!
//! Knows no file system: whoever reads a file gives its text.

pub mod nep2;

use crate::key::PrivateKey;
use neofn_types::ScriptHash;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Longest file that is read.
const BYTES_MAX: usize = 1 << 20;
/// The most memory that opening a key may take.
const SCRYPT_BYTES_MAX: u64 = 128 << 20;

/// Why a wallet or a key in it does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// Not what it should be.
    #[error("{0}")]
    Malformed(&'static str),
    /// Not JSON of a wallet.
    #[error("not a wallet file (NEP-6): {0}")]
    Json(String),
    /// Another password than it was written with.
    #[error("the password is wrong")]
    Password,
    /// No such account.
    #[error("the wallet has no account {0} with a key")]
    NoAccount(String),
}

/// How costly a password is made to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScryptParameters {
    /// Rounds; a power of two.
    pub n: u64,
    /// Block size.
    pub r: u32,
    /// Lanes.
    pub p: u32,
}
impl Default for ScryptParameters {
    /// Those of the standard.
    fn default() -> Self {
        Self {
            n: 16_384,
            r: 8,
            p: 8,
        }
    }
}
impl ScryptParameters {
    /// A file decides how much work opening it is, so there are bounds.
    fn checked(self) -> Result<scrypt::Params, WalletError> {
        let wrong = WalletError::Malformed("scrypt parameters that cannot be, or would take too much memory");
        let memory = self.n.saturating_mul(u64::from(self.r)).saturating_mul(128);
        if !self.n.is_power_of_two() || memory > SCRYPT_BYTES_MAX || self.p > 64 {
            return Err(wrong);
        }
        let log_n = u8::try_from(self.n.trailing_zeros()).map_err(|_| wrong.clone())?;
        scrypt::Params::new(log_n, self.r, self.p, scrypt::Params::RECOMMENDED_LEN).map_err(|_| wrong)
    }
}

/// A wallet file.
#[derive(Debug, Clone, Deserialize)]
pub struct Wallet {
    scrypt: ScryptParameters,
    accounts: Vec<WireAccount>,
}
#[derive(Debug, Clone, Deserialize)]
struct WireAccount {
    address: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default, rename = "isDefault")]
    default: bool,
}

impl Wallet {
    /// Reads a file's text.
    pub fn read(text: &str) -> Result<Self, WalletError> {
        if text.len() > BYTES_MAX {
            return Err(WalletError::Malformed("a wallet file has at most 1 MiB"));
        }
        serde_json::from_str(text).map_err(|e| WalletError::Json(e.to_string()))
    }
    /// Its accounts, those without key included, in order.
    #[must_use]
    pub fn accounts(&self) -> Vec<ScriptHash> {
        self.accounts
            .iter()
            .filter_map(|a| a.address.parse().ok())
            .collect()
    }
    /// Opens the key of an account; none means the default account, or else the first one with a key.
    pub fn key(&self, account: Option<ScriptHash>, password: &str) -> Result<PrivateKey, WalletError> {
        let mut with_key = self.accounts.iter().filter(|a| a.key.is_some());
        let found = match account {
            Some(account) => with_key.find(|a| a.address.parse() == Ok(account)),
            None => with_key.clone().find(|a| a.default).or_else(|| with_key.next()),
        };
        let wanted = || account.map_or_else(String::new, |a| a.to_address());
        let key = found
            .and_then(|a| a.key.as_deref())
            .ok_or_else(|| WalletError::NoAccount(wanted()))?;
        nep2::open(key, password, self.scrypt)
    }
}

/// A wallet file with these keys, the first of them its default.
pub fn write(
    name: &str,
    keys: &[PrivateKey],
    password: &str,
    scrypt: ScryptParameters,
) -> Result<String, WalletError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    let mut accounts = Vec::new();
    for key in keys {
        let public = key.public();
        accounts.push(json!({
            "address": public.account().to_address(), "label": null, "isDefault": accounts.is_empty(), "lock": false,
            "key": nep2::seal(key, password, scrypt)?, "extra": null,
            "contract": {"script": BASE64.encode(public.verification_script()), "deployed": false,
                "parameters": [{"name": "signature", "type": "Signature"}]},
        }));
    }
    let file = json!({"name": name, "version": "1.0", "scrypt": scrypt, "accounts": accounts, "extra": null});
    Ok(format!("{file:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // as weak as it may be: tests do not protect anything
    const QUICK: ScryptParameters = ScryptParameters { n: 2, r: 1, p: 1 };

    #[test]
    fn a_password_is_the_same_however_its_letters_are_composed() {
        let key = PrivateKey::from_bytes(&[7; 32]).unwrap();
        let sealed = nep2::seal(&key, "pa\u{308}ss", QUICK).unwrap();
        assert_eq!(sealed, nep2::seal(&key, "p\u{e4}ss", QUICK).unwrap());
        assert!(nep2::open(&sealed, "p\u{e4}ss", QUICK).is_ok());
        assert!(nep2::open(&sealed, "pass", QUICK).is_err());
    }

    #[test]
    fn opens_what_neo_go_wrote() {
        let file = r#"{"name":"unittestwallet","version":"1.0","accounts":[
            {"address":"Nhfg3TbpwogLvDGVvAvqyThbsHgoSUKwtn","key":"6PYM8VdX3hY4B51UJxmm8D41RQMbpJT8aYHibyQ67gjkUPmvQgu51Y5UQR",
             "label":"","contract":{"script":"DCECs2Ir9AF73+MXxYrtX0x1PyBrfbiWBG+n13S7xL9/jcJBVuezJw==",
             "parameters":[{"name":"parameter0","type":"Signature"}],"deployed":false},"lock":false,"isDefault":true,"extra":null}],
            "scrypt":{"n":2,"r":1,"p":1},"extra":{"Tokens":null}}"#;
        let wallet = Wallet::read(file).unwrap();
        let key = wallet.key(None, "one").unwrap();
        assert_eq!(
            key.public().account().to_address(),
            "Nhfg3TbpwogLvDGVvAvqyThbsHgoSUKwtn"
        );
        assert_eq!(wallet.key(None, "two").unwrap_err(), WalletError::Password);
        assert!(matches!(
            wallet.key(Some(ScriptHash([1; 20])), "one").unwrap_err(),
            WalletError::NoAccount(_)
        ));
    }

    #[test]
    fn opens_what_it_writes() {
        let keys: Vec<PrivateKey> = (1..=2)
            .map(|n| PrivateKey::from_bytes(&[n; 32]).unwrap())
            .collect();
        let text = write("mine", &keys, "pässword", QUICK).unwrap();
        let wallet = Wallet::read(&text).unwrap();
        assert_eq!(wallet.accounts().len(), 2);
        for key in &keys {
            let account = key.public().account();
            let opened = wallet.key(Some(account), "pässword").unwrap();
            assert_eq!(opened.public(), key.public());
        }
        assert_eq!(wallet.key(None, "pässword").unwrap().public(), keys[0].public());
    }

    #[test]
    fn a_file_cannot_ask_for_the_machines_memory() {
        let keys = [PrivateKey::from_bytes(&[1; 32]).unwrap()];
        for (n, r, p) in [
            (1 << 40, 8, 8),
            (3, 8, 8),
            (2, u32::MAX, 1),
            (2, 1, 1_000_000),
            (0, 1, 1),
            (2, 0, 1),
        ] {
            assert!(
                write("x", &keys, "x", ScryptParameters { n, r, p }).is_err(),
                "{n} {r} {p}"
            );
        }
        for bad in ["", "{}", "[]", r#"{"accounts":[],"scrypt":{"n":-1,"r":1,"p":1}}"#] {
            assert!(Wallet::read(bad).is_err(), "{bad}");
        }
        for bad in ["", "6PY", &"6".repeat(100_000)] {
            assert!(nep2::open(bad, "x", QUICK).is_err());
        }
    }
}
