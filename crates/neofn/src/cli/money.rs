//! What may be written about money, the audit log and backups.

use crate::config::{AuditSection, BankSection};
use clap::{Args, Subcommand};
use neofn_node::BankChoice;
use neofn_types::{Datoshi, FunctionName, parse_duration_ms};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Datoshi per million units: 100 GAS for a single one.
pub(crate) const PRICE_MAX: u64 = 10_000_000_000_000;

/// What things cost: settings of `neofn up`. Without any of them nothing does, and there is no bank.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct Banking {
    /// Keep accounts of what projects have and use, even at a price of 0
    #[arg(long, env = "NEOFN_BANK", hide_env_values = true)]
    bank: bool,
    /// What functions cost: datoshi per million units
    #[arg(long, value_name = "DATOSHI", env = "NEOFN_GAS_PRICE", hide_env_values = true, value_parser = clap::value_parser!(u64).range(0..=PRICE_MAX))]
    gas_price: Option<u64>,
    /// Credit of a new project, in GAS, of the operator's own
    #[arg(long, value_name = "GAS", env = "NEOFN_GAS_INITIAL", hide_env_values = true)]
    gas_initial: Option<Datoshi>,
    /// GAS set aside at a time and project for calls that wait for no disk: the most that a crash leaves uncharged
    /// [default: 0.1]
    #[arg(long, value_name = "GAS", env = "NEOFN_GAS_LEASE", hide_env_values = true)]
    gas_lease: Option<Datoshi>,
    /// Write the audit log's root to the chain this often, such as 24h; else never
    #[arg(long, value_name = "TIME", env = "NEOFN_AUDIT_ANCHOR", hide_env_values = true, value_parser = time)]
    audit_anchor: Option<Duration>,
}

impl Banking {
    /// Flags over the file's section over defaults, as the node takes it. A section is a wish for a bank.
    pub fn bank(&self, file: Option<&BankSection>) -> Option<BankChoice> {
        let said = self.bank || self.gas_price.is_some() || self.gas_initial.is_some();
        let usual = BankChoice::default();
        let file = match file {
            Some(file) => *file,
            None if said => BankSection::default(),
            None => return None,
        };
        Some(BankChoice {
            price: neofn_node::UnitPrice(self.gas_price.or(file.price).unwrap_or_default()),
            initial: self.gas_initial.or(file.initial).unwrap_or_default(),
            lease: self.gas_lease.or(file.lease).unwrap_or(usual.lease),
        })
    }
    /// As the node takes it.
    pub fn anchor_every(&self, file: Option<&AuditSection>) -> Option<Duration> {
        self.audit_anchor.or(file.and_then(|file| file.anchor))
    }
}

/// How often; a chain is not to be filled with roots.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).map_err(|e| e.to_string())?;
    if ms >= 1_000 {
        Ok(Duration::from_millis(ms))
    } else {
        Err("at least 1s".to_owned())
    }
}

/// `neofn gas`
#[derive(Debug, Subcommand)]
pub enum Gas {
    /// Measure what an event would cost; nothing is recorded, charged or committed
    Estimate(super::Estimate),
    /// Show what the project has
    Balance,
    /// Show where to send GAS, and what to send along with it
    Deposit,
    /// Show what moved on the project's account
    Statement(Statement),
    /// Show limits of spending, or set one
    Limits(Limits),
    /// Send GAS from the project's account to an address
    Withdraw(Withdraw),
    /// Show what the operator agreed with the project, or agree anew
    Refill(Refill),
    /// Show what functions used: runs, units and GAS by the hour
    Usage(Usage),
    /// End the project's account: credit goes back, its own money is sent to an address
    Close(Close),
    /// List deposits that named nobody; operators only
    Suspense(Suspense),
    /// Give a deposit that named nobody to the project; operators only
    Attribute(Attribute),
    /// Compare the ledger with the chain
    Reconcile(Reconcile),
}

/// `neofn gas statement`
#[derive(Debug, Args)]
pub struct Statement {
    /// A table for spreadsheets
    #[arg(long)]
    pub csv: bool,
    /// How many lines, newest first [default: 50, or all of a table]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: Option<u32>,
}

/// `neofn gas limits`
#[derive(Debug, Args)]
pub struct Limits {
    /// The most GAS of a period; `none` takes the limit away
    #[arg(value_name = "GAS")]
    pub limit: Option<String>,
    /// day, month or total
    #[arg(long, default_value = "month", value_parser = ["day", "month", "total"])]
    pub period: String,
    /// Of one function alone
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
}

/// `neofn gas withdraw`
#[derive(Debug, Args)]
pub struct Withdraw {
    /// How much GAS
    pub amount: Datoshi,
    /// To which address
    pub address: String,
    /// Send once for this key, however often this is sent
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// `neofn gas refill`
#[derive(Debug, Args)]
pub struct Refill {
    /// Give credit when less than this can be spent; `none` for no credit
    #[arg(value_name = "BELOW")]
    pub below: Option<String>,
    /// Up to this
    #[arg(value_name = "TO")]
    pub to: Option<String>,
    /// Pay the fees of the transactions that the project's functions send
    #[arg(long)]
    pub sponsor: Option<bool>,
    /// The most of one withdrawal
    #[arg(long, value_name = "GAS")]
    pub withdrawal_max: Option<String>,
    /// A token, by its contract, that the project's transactions may move out of the platform's account beside GAS; may
    /// be given several times, and takes the place of those before; `none` for no token
    #[arg(long = "token", value_name = "CONTRACT")]
    pub tokens: Vec<String>,
}

/// `neofn gas usage`
#[derive(Debug, Args)]
pub struct Usage {
    /// From this date or time on [default: thirty days ago]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before this date or time [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Of one function alone
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
    /// A table for spreadsheets
    #[arg(long)]
    pub csv: bool,
    /// How many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `neofn gas close`
#[derive(Debug, Args)]
pub struct Close {
    /// Where the project's own money goes
    #[arg(value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Send once for this key, however often this is sent
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// `neofn gas suspense`
#[derive(Debug, Args)]
pub struct Suspense {
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `neofn gas attribute`
#[derive(Debug, Args)]
pub struct Attribute {
    /// The deposit, as `neofn gas suspense` names it
    pub deposit: String,
}

/// `neofn gas reconcile`
#[derive(Debug, Args)]
pub struct Reconcile {
    /// First book GAS that left for no payment on the operator's account, once for this name
    #[arg(long, value_name = "NAME")]
    pub write_off: Option<String>,
}

/// `neofn audit`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List acts that matter to security or money, newest first
    Ls(AuditLs),
    /// Print the whole log, to be kept elsewhere and verified there
    Export,
    /// Verify the log: of an export without any node, else of the node
    Verify(AuditVerify),
}

/// `neofn audit ls`
#[derive(Debug, Args)]
pub struct AuditLs {
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `neofn audit verify`
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// What `neofn audit export` printed
    pub file: Option<PathBuf>,
    /// The log's public key, as it was shown when you trusted it; without one, only damage is found
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// A root that you read on the chain yourself: the log must have as many entries, and this root; may be repeated
    #[arg(long = "root", value_name = "SIZE:HEX")]
    pub roots: Vec<KnownRoot>,
    /// Nodes of the chain, to read there whether the roots that the export claims were written
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub chain: Vec<String>,
}

/// A root that somebody read elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRoot {
    /// Of so many entries.
    pub size: u64,
    /// Which.
    pub root: [u8; 32],
}
impl FromStr for KnownRoot {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a number of entries, a colon and 64 hexadecimal digits";
        let (size, digits) = text.split_once(':').ok_or(WRONG)?;
        let mut root = [0; 32];
        hex::decode_to_slice(digits, &mut root).map_err(|_| WRONG)?;
        Ok(Self {
            size: size.parse().map_err(|_| WRONG)?,
            root,
        })
    }
}

/// `neofn backup`
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Have the running node make a backup
    Create(BackupCreate),
    /// Read a backup to its end and check everything
    Verify(BackupVerify),
    /// Make a new data directory of a backup
    Restore(BackupRestore),
    /// Make a key pair for backups: the recipient is shown, the identity goes into a file
    Keygen(BackupKeygen),
}

/// `neofn backup create`
#[derive(Debug, Args)]
pub struct BackupCreate {
    /// Who can read it: age1…
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: String,
}

/// `neofn backup verify`
#[derive(Debug, Args)]
pub struct BackupVerify {
    /// The backup
    pub file: PathBuf,
    /// A file with the identity, AGE-SECRET-KEY-…
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
}

/// `neofn backup restore`
#[derive(Debug, Args)]
pub struct BackupRestore {
    /// The backup
    pub file: PathBuf,
    /// A file with the identity, AGE-SECRET-KEY-…
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// The new data directory
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// An export of the audit log: a backup that knows less is refused
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// Go back although later acts are known; that is written down
    #[arg(long)]
    pub accept_rollback: bool,
}

/// `neofn backup keygen`
#[derive(Debug, Args)]
pub struct BackupKeygen {
    /// The new file
    pub file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_node::UnitPrice;

    #[test]
    fn flags_win_over_the_file_and_a_section_is_a_wish() {
        let none = Banking::default();
        assert_eq!(none.bank(None), None);
        assert_eq!(
            none.bank(Some(&BankSection::default())),
            Some(BankChoice::default())
        );
        let file = BankSection {
            price: Some(5),
            initial: Some(Datoshi(9)),
            lease: None,
        };
        let flags = Banking {
            gas_price: Some(7),
            ..Banking::default()
        };
        let usual = BankChoice::default();
        for (flags, file, price, initial) in [
            (&none, Some(&file), 5, 9),
            (&flags, Some(&file), 7, 9),
            (&flags, None, 7, 0),
        ] {
            let choice = flags.bank(file).unwrap();
            assert_eq!(
                (choice.price, choice.initial),
                (UnitPrice(price), Datoshi(initial))
            );
            assert_eq!(choice.lease, usual.lease);
        }
        let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3_600));
        let section = AuditSection { anchor: Some(day) };
        assert_eq!(none.anchor_every(Some(&section)), Some(day));
        let flags = Banking {
            audit_anchor: Some(hour),
            ..Banking::default()
        };
        assert_eq!(flags.anchor_every(Some(&section)), Some(hour));
    }
}
