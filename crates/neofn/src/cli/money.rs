//! What may be written about money, the audit log and backups.

use clap::{Args, Subcommand};
use neofn_node::BankChoice;
use neofn_types::{Datoshi, FunctionName, parse_duration_ms};
use std::path::PathBuf;
use std::time::Duration;

/// What things cost: settings of `neofn up`. Without any of them nothing does, and there is no bank.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct Banking {
    /// Keep accounts of what projects have and use, even at a price of 0
    #[arg(long, env = "NEOFN_BANK", hide_env_values = true)]
    bank: bool,
    /// What functions cost: datoshi per million units
    #[arg(long, value_name = "DATOSHI", env = "NEOFN_GAS_PRICE", hide_env_values = true, value_parser = clap::value_parser!(u64).range(0..=10_000_000_000_000))]
    gas_price: Option<u64>,
    /// Credit of a new project, in GAS, of the operator's own
    #[arg(long, value_name = "GAS", env = "NEOFN_GAS_INITIAL", hide_env_values = true)]
    gas_initial: Option<Datoshi>,
    /// GAS set aside at a time and project for calls that wait for no disk: the most that a crash leaves uncharged
    #[arg(
        long,
        value_name = "GAS",
        env = "NEOFN_GAS_LEASE",
        hide_env_values = true,
        default_value = "0.1"
    )]
    gas_lease: Datoshi,
    /// Write the audit log's root to the chain this often, such as 24h; else never
    #[arg(long, value_name = "TIME", env = "NEOFN_AUDIT_ANCHOR", hide_env_values = true, value_parser = time)]
    audit_anchor: Option<Duration>,
}

impl Banking {
    /// As the node takes it.
    pub fn bank(&self) -> Option<BankChoice> {
        let wanted = self.bank || self.gas_price.is_some() || self.gas_initial.is_some();
        wanted.then(|| BankChoice {
            price: neofn_node::UnitPrice(self.gas_price.unwrap_or_default()),
            initial: self.gas_initial.unwrap_or_default(),
            lease: self.gas_lease,
        })
    }
    /// As the node takes it.
    pub fn anchor_every(&self) -> Option<Duration> {
        self.audit_anchor
    }
}

fn time(text: &str) -> Result<Duration, String> {
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
    /// Compare the ledger with the chain
    Reconcile(Reconcile),
}

/// `neofn gas statement`
#[derive(Debug, Args)]
pub struct Statement {
    /// A table for spreadsheets
    #[arg(long)]
    pub csv: bool,
    /// How many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
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
