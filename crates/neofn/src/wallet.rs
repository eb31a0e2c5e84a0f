//! A key of a wallet file, for what a person signs at this machine.

use crate::failure::Failure;
use neofn_chain::key::PrivateKey;
use neofn_chain::wallet::Wallet;
use neofn_types::ScriptHash;
use std::fmt::Display;
use std::fs;
use std::path::Path;

/// Largest wallet file.
const WALLET_BYTES_MAX: u64 = 1 << 20;

/// The key of an account, or of the wallet's default one.
pub fn key(file: &Path, account: Option<&str>, password_file: Option<&Path>) -> Result<PrivateKey, Failure> {
    let unreadable = |e: std::io::Error| Failure::file(file, "read", &e);
    if fs::metadata(file).map_err(unreadable)?.len() > WALLET_BYTES_MAX {
        return Err(wrong(file, &"larger than any wallet"));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let wallet = Wallet::read(&text).map_err(|e| wrong(file, &e))?;
    let account: Option<ScriptHash> = account.map(str::parse).transpose().map_err(|e| wrong(file, &e))?;
    wallet
        .key(account, &password(password_file)?)
        .map_err(|e| wrong(file, &e))
}

/// What is wrong with a wallet file.
pub fn wrong(file: &Path, why: &dyn Display) -> Failure {
    Failure::usage(
        format!("{}: {why}", file.display()),
        "name a NEP-6 wallet with a key, and its password",
    )
}

fn password(file: Option<&Path>) -> Result<String, Failure> {
    match file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|e| Failure::file(path, "read", &e))?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        None => std::env::var("NEOFN_WALLET_PASSWORD").map_err(|_| {
            Failure::usage(
                "the wallet's key is under a password",
                "name a file with --password-file, or set NEOFN_WALLET_PASSWORD",
            )
        }),
    }
}
