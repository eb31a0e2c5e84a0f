//! Who pays for what functions send to the chain, and how much at the most. The key itself is for the signer alone.

use crate::config::ChainSection;
use crate::failure::Failure;
use clap::Args;
use neofn_node::PayingWallet;
use neofn_types::Datoshi;
use std::path::PathBuf;

/// The wallet of `neofn up`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Paying for transactions")]
pub struct Paying {
    /// A wallet (NEP-6) whose default account pays for ctx.neo.invoke
    #[arg(
        long,
        value_name = "FILE",
        env = "NEOFN_WALLET",
        hide_env_values = true,
        requires = "wallet_password_file"
    )]
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
    /// Most GAS of one transaction, fees included [default: 1]
    #[arg(long, value_name = "GAS", env = "NEOFN_PAY_MAX", hide_env_values = true, value_parser = amount)]
    pay_max: Option<Datoshi>,
    /// Most GAS of 24 hours [default: 10]
    #[arg(long, value_name = "GAS", env = "NEOFN_PAY_DAY", hide_env_values = true, value_parser = amount)]
    pay_day: Option<Datoshi>,
}

/// 1 GAS and 10 GAS.
const PAY_MAX: Datoshi = Datoshi(100_000_000);
const PAY_DAY: Datoshi = Datoshi(1_000_000_000);

impl Paying {
    /// As the node takes it; what is absent here comes from the file.
    pub fn wallet(&self, file: &ChainSection) -> Result<Option<PayingWallet>, Failure> {
        // a wallet is named together with its password, in one place
        let (wallet, password) = match &self.wallet {
            Some(_) => (&self.wallet, &self.wallet_password_file),
            None => (&file.wallet, &file.wallet_password_file),
        };
        match (wallet, password) {
            (None, None) => Ok(None),
            (Some(wallet), Some(password)) => Ok(Some(PayingWallet {
                file: wallet.clone(),
                password_file: password.clone(),
                per_transaction: self.pay_max.or(file.pay_max).unwrap_or(PAY_MAX),
                per_day: self.pay_day.or(file.pay_day).unwrap_or(PAY_DAY),
            })),
            _ => Err(Failure::usage(
                "a wallet and the file with its password go together",
                "give both `wallet` and `wallet_password_file`, or neither",
            )),
        }
    }
}

pub(crate) fn amount(text: &str) -> Result<Datoshi, String> {
    let amount: Datoshi = text
        .parse()
        .map_err(|_| "an amount of GAS such as 0.5".to_owned())?;
    if amount.0 > 0 {
        Ok(amount)
    } else {
        Err("more than 0".to_owned())
    }
}
