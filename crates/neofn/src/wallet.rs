//! A key of a wallet file, for what a person signs at this machine.

use crate::failure::Failure;
use crate::hidden;
use crate::ui::Ui;
use neofn_chain::key::PrivateKey;
use neofn_chain::wallet::Wallet;
use neofn_types::ScriptHash;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

/// Largest wallet file.
const WALLET_BYTES_MAX: u64 = 1 << 20;

/// The key of an account, or of the wallet's default one.
pub fn key(
    ui: &Ui,
    file: &Path,
    account: Option<&str>,
    password_file: Option<&Path>,
) -> Result<PrivateKey, Failure> {
    let unreadable = |e: std::io::Error| Failure::file(file, "read", &e);
    if fs::metadata(file).map_err(unreadable)?.len() > WALLET_BYTES_MAX {
        return Err(wrong(file, &"larger than any wallet"));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let wallet = Wallet::read(&text).map_err(|e| wrong(file, &e))?;
    let account: Option<ScriptHash> = account.map(str::parse).transpose().map_err(|e| wrong(file, &e))?;
    wallet
        .key(account, &password(ui, file, password_file)?)
        .map_err(|e| wrong(file, &e))
}

/// What is wrong with a wallet file.
pub fn wrong(file: &Path, why: &dyn Display) -> Failure {
    Failure::usage(
        format!("{}: {why}", file.display()),
        "name a NEP-6 wallet with a key, and its password",
    )
}

/// From the file that was named, the environment, or whoever sits at the terminal.
fn password(ui: &Ui, wallet: &Path, file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        let text = fs::read_to_string(path).map_err(|e| Failure::file(path, "read", &e))?;
        let text = Zeroizing::new(text);
        return Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()));
    }
    if let Ok(text) = std::env::var("NEOFN_WALLET_PASSWORD") {
        return Ok(Zeroizing::new(text));
    }
    hidden::password(ui, &format!("password of {}: ", wallet.display()))?.ok_or_else(|| {
        Failure::usage(
            "the wallet's key is under a password, and there is no terminal to ask for it",
            "name a file with --password-file, or set NEOFN_WALLET_PASSWORD",
        )
    })
}
