//! Who pays for what functions send to the chain, and how much at the most. The key itself is for the signer alone.

use clap::Args;
use neofn_node::PayingWallet;
use neofn_types::Datoshi;
use std::path::PathBuf;

/// The wallet of `neofn up`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Paying for transactions")]
pub struct Paying {
    /// A wallet (NEP-6) whose default account pays for ctx.neo.invoke
    #[arg(long, value_name = "FILE", env = "NEOFN_WALLET", hide_env_values = true, requires_all = ["chain", "wallet_password_file"])]
    wallet: Option<PathBuf>,
    /// A file that holds its password alone
    #[arg(
        long,
        value_name = "FILE",
        env = "NEOFN_WALLET_PASSWORD_FILE",
        hide_env_values = true,
        requires = "wallet"
    )]
    wallet_password_file: Option<PathBuf>,
    /// Most GAS of one transaction, fees included
    #[arg(long, value_name = "GAS", env = "NEOFN_PAY_MAX", hide_env_values = true, default_value = "1", value_parser = amount)]
    pay_max: Datoshi,
    /// Most GAS of 24 hours
    #[arg(long, value_name = "GAS", env = "NEOFN_PAY_DAY", hide_env_values = true, default_value = "10", value_parser = amount)]
    pay_day: Datoshi,
}

impl Paying {
    /// As the node takes it.
    pub fn wallet(&self) -> Option<PayingWallet> {
        Some(PayingWallet {
            file: self.wallet.clone()?,
            password_file: self.wallet_password_file.clone()?,
            per_transaction: self.pay_max,
            per_day: self.pay_day,
        })
    }
}

fn amount(text: &str) -> Result<Datoshi, String> {
    let amount: Datoshi = text
        .parse()
        .map_err(|_| "an amount of GAS such as 0.5".to_owned())?;
    if amount.0 > 0 {
        Ok(amount)
    } else {
        Err("more than 0".to_owned())
    }
}
