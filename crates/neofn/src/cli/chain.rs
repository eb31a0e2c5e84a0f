//! The command line of what is about the chain: looking, sending, signing, triggers and their events.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `neofn chain`
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// Print the height of the newest block
    Height,
    /// Show a block with its transactions
    Block(Block),
    /// Show a transaction of the chain by its hash
    Tx(ChainTx),
    /// List the notifications of a contract, oldest first
    Notifications(Notifications),
    /// Print how much of a token an account has
    Balance(Balance),
    /// Call a method of a contract; nothing changes on chain
    Call(Call),
    /// Take a script apart
    Decode(Decode),
    /// Compare the last block that was read with what the chain nodes call it
    Recheck(Recheck),
    /// Call a method of a contract on chain, paid by the node's account
    Invoke(ChainInvoke),
    /// Send tokens from the node's account
    Transfer(Transfer),
    /// Put a contract on chain
    Deploy(ContractDeploy),
    /// Update a contract by its own `update` method
    Update(ContractUpdate),
}

/// `neofn chain recheck`
#[derive(Debug, Args)]
pub struct Recheck {
    /// Read it again where the nodes agree on another one; what had its effect has none again
    #[arg(long)]
    pub apply: bool,
}

/// `neofn chain block`
#[derive(Debug, Args)]
pub struct Block {
    /// The height
    #[arg(value_name = "HEIGHT")]
    pub height: u64,
}

/// `neofn chain tx`
#[derive(Debug, Args)]
pub struct ChainTx {
    /// 0x and 64 digits
    pub hash: String,
}

/// `neofn chain notifications`
#[derive(Debug, Args)]
pub struct Notifications {
    /// Script hash, or a name such as GAS
    pub contract: String,
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// The first block; a hundred before the last when absent
    #[arg(long, value_name = "HEIGHT")]
    pub from: Option<u64>,
    /// The last block; the newest when absent
    #[arg(long, value_name = "HEIGHT")]
    pub to: Option<u64>,
}

/// `neofn chain balance`
#[derive(Debug, Args)]
pub struct Balance {
    /// Address or script hash
    pub account: String,
    /// Script hash of the token, or GAS or NEO
    #[arg(long, default_value = "GAS")]
    pub token: String,
}

/// `neofn chain call`
#[derive(Debug, Args)]
pub struct Call {
    /// Script hash, or a name such as GAS
    pub contract: String,
    /// The method
    pub method: String,
    /// Its arguments: JSON, or text as it is; converted as the contract's manifest says
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
}

/// `neofn chain decode`
#[derive(Debug, Args)]
pub struct Decode {
    /// Hexadecimal or base64
    pub script: String,
}

/// How a transaction is sent.
#[derive(Debug, Args)]
pub struct SendHow {
    /// The account that pays; the signer's first when absent
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<String>,
    /// The most that its fees may be, GAS
    #[arg(long, value_name = "AMOUNT")]
    pub gas: Option<String>,
    /// Only say what would come of it
    #[arg(long)]
    pub dry_run: bool,
    /// Let the operator's account of the bank bear it, not the project's
    #[arg(long)]
    pub operator: bool,
    /// Do not wait until it is in a block
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// The public key of an account that agrees and signs elsewhere; the node only pays. May be given several times
    #[arg(long = "cosigner", value_name = "PUBLIC_KEY")]
    pub cosigners: Vec<String>,
    /// Send once for this key, however often this is run
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// `neofn chain invoke`
#[derive(Debug, Args)]
pub struct ChainInvoke {
    /// How to send it.
    #[command(flatten)]
    pub how: SendHow,
    /// Script hash, or a name such as GAS
    pub contract: String,
    /// The method
    pub method: String,
    /// Its arguments: JSON, or text as it is; converted as the contract's manifest says
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
}

/// `neofn chain transfer`
#[derive(Debug, Args)]
pub struct Transfer {
    /// How to send it.
    #[command(flatten)]
    pub how: SendHow,
    /// The address that gets it
    pub to: String,
    /// How much, in whole tokens: `1.5`
    pub amount: String,
    /// Script hash of the token, or GAS or NEO
    #[arg(long, default_value = "GAS")]
    pub token: String,
}

/// `neofn chain deploy`
#[derive(Debug, Args)]
pub struct ContractDeploy {
    /// How to send it.
    #[command(flatten)]
    pub how: SendHow,
    /// The compiled contract, `.nef`
    pub nef: PathBuf,
    /// Its manifest; beside the .nef, with the ending .manifest.json, when absent
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Handed to the contract's `_deploy`: JSON, or text as it is
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
}

/// `neofn chain update`
#[derive(Debug, Args)]
pub struct ContractUpdate {
    /// How to send it.
    #[command(flatten)]
    pub how: SendHow,
    /// Script hash
    pub contract: String,
    /// The compiled contract, `.nef`
    #[arg(long, value_name = "FILE", required_unless_present = "manifest")]
    pub nef: Option<PathBuf>,
    /// Its manifest
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Handed to the contract's `update`: JSON, or text as it is
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
}

/// `neofn triggers`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Triggers {
    /// Only those of this function
    pub function: Option<String>,
    /// What to do with one.
    #[command(subcommand)]
    pub command: Option<TriggerCommand>,
}

/// `neofn triggers …`
#[derive(Debug, Subcommand)]
pub enum TriggerCommand {
    /// Say why a trigger takes a transaction or a block, or which condition fails
    Test(TriggerTest),
    /// Say what a trigger would have fired on, and about what that would have cost
    Backtest(Backtest),
    /// Stop a trigger where it is
    Pause(TriggerName),
    /// Let a trigger go on
    Resume(Resume),
}

/// A trigger.
#[derive(Debug, Args)]
pub struct TriggerName {
    /// FUNCTION/TRIGGER or PROJECT/FUNCTION/TRIGGER
    pub trigger: String,
}

/// `neofn triggers test`
#[derive(Debug, Args)]
pub struct TriggerTest {
    /// FUNCTION/TRIGGER or PROJECT/FUNCTION/TRIGGER
    pub trigger: String,
    /// On what.
    #[command(flatten)]
    pub on: TriedOn,
}

/// What a trigger is tried on: one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct TriedOn {
    /// A transaction in a block
    #[arg(long, value_name = "HASH")]
    pub tx: Option<String>,
    /// A block
    #[arg(long, value_name = "HEIGHT")]
    pub block: Option<u64>,
}

/// `neofn triggers backtest`
#[derive(Debug, Args)]
pub struct Backtest {
    /// FUNCTION/TRIGGER or PROJECT/FUNCTION/TRIGGER
    pub trigger: String,
    /// The first block
    #[arg(long, value_name = "HEIGHT")]
    pub from: u64,
    /// The last block
    #[arg(long, value_name = "HEIGHT")]
    pub to: u64,
}

/// `neofn triggers resume`
#[derive(Debug, Args)]
pub struct Resume {
    /// FUNCTION/TRIGGER or PROJECT/FUNCTION/TRIGGER
    pub trigger: String,
    /// Leave out what came while it was paused
    #[arg(long)]
    pub latest: bool,
}

/// Which events or dead letters.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only those of this trigger, by its name within the function
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Only those of this block or later ones
    #[arg(long, value_name = "HEIGHT")]
    pub from: Option<u64>,
    /// Only those of this block or earlier ones
    #[arg(long, value_name = "HEIGHT")]
    pub to: Option<u64>,
}

/// `neofn events`
#[derive(Debug, Args)]
pub struct Events {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// How many to show first
    #[arg(short = 'n', long = "lines", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub count: u32,
    /// Go on as new ones come; with --json, one document a line
    #[arg(long, short)]
    pub follow: bool,
}

/// `neofn deadletters`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLetters {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// How many runs, and how many messages
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// What to do with them.
    #[command(subcommand)]
    pub command: Option<DeadLetterCommand>,
}

/// `neofn deadletters …`
#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// Queue them again, with all their attempts, on the live version
    Retry(Redo),
    /// Lay them to rest; they stay in history as failed
    Drop(Redo),
}

/// One dead letter, or those of a function, a trigger, or a range of blocks.
#[derive(Debug, Args)]
#[group(id = "chosen", required = true, multiple = true)]
pub struct Redo {
    /// The invocation
    #[arg(conflicts_with_all = ["function", "trigger", "from", "to", "all"])]
    pub id: Option<neofn_types::InvocationId>,
    /// Those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Those of this trigger, by its name within the function
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Those of this block or later ones
    #[arg(long, value_name = "HEIGHT")]
    pub from: Option<u64>,
    /// Those of this block or earlier ones
    #[arg(long, value_name = "HEIGHT")]
    pub to: Option<u64>,
    /// All of the project
    #[arg(long)]
    pub all: bool,
}

/// `neofn tx`
#[derive(Debug, Args)]
pub struct Tx {
    /// What `ctx.neo.invoke` answered; those of the project when absent
    pub id: Option<String>,
    /// Wait until it has ended
    #[arg(long, requires = "id")]
    pub wait: bool,
    /// Put one that does nothing in its place, if it is in no block yet
    #[arg(long, requires = "id", conflicts_with_all = ["faster", "cosign"])]
    pub cancel: bool,
    /// Put the same with a higher network fee in its place, if it is in no block yet
    #[arg(long, requires = "id", conflicts_with = "cosign")]
    pub faster: bool,
    /// The most that the fees of the one in its place may be, GAS
    #[arg(long, value_name = "AMOUNT")]
    pub gas: Option<String>,
    /// Sign it with a key of this wallet (NEP-6), if it waits for that
    #[arg(long, requires = "id", value_name = "FILE")]
    pub cosign: Option<PathBuf>,
    /// The account in the wallet; else its default
    #[arg(long, value_name = "ADDRESS", requires = "cosign")]
    pub account: Option<String>,
    /// A file that holds the wallet's password alone; else it is taken from `NEOFN_WALLET_PASSWORD`, or asked for
    #[arg(long, value_name = "FILE", requires = "cosign")]
    pub password_file: Option<PathBuf>,
    /// How many to list
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `neofn signer`
#[derive(Debug, Args)]
pub struct Signer {
    /// What to do; the accounts are listed when absent.
    #[command(subcommand)]
    pub command: Option<SignerCommand>,
}

/// `neofn signer …`
#[derive(Debug, Subcommand)]
pub enum SignerCommand {
    /// Give the signer a key
    Import(KeyImport),
    /// Change what an account may sign
    Policy(SetPolicy),
    /// List what was signed, oldest first
    Signatures(Signatures),
}

/// What an account may sign; what is absent stays as it is.
#[derive(Debug, Args)]
pub struct Policy {
    /// Fees and GAS given away by one transaction, GAS
    #[arg(long, value_name = "GAS")]
    pub per_transaction: Option<String>,
    /// The same of all transactions of 24 hours, GAS
    #[arg(long, value_name = "GAS")]
    pub per_day: Option<String>,
    /// A contract that it may call, with or without methods: GAS:transfer,balanceOf; `any` for everything. May be repeated
    #[arg(long, value_name = "CONTRACT[:METHODS]")]
    pub allow: Vec<String>,
    /// The widest scope: None, CalledByEntry, Global, or contracts with commas between
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// The only network that it signs for; 0 for any
    #[arg(long, value_name = "NUMBER")]
    pub network: Option<u32>,
}

/// `neofn signer import`
#[derive(Debug, Args)]
pub struct KeyImport {
    /// Where the key is.
    #[command(flatten)]
    pub source: KeySource,
    /// Of a wallet: which account; its default one when absent
    #[arg(long, value_name = "ADDRESS", requires = "wallet")]
    pub account: Option<String>,
    /// A file that holds the password alone; else it is taken from NEOFN_WALLET_PASSWORD
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A name for it
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// What it may sign.
    #[command(flatten)]
    pub policy: Policy,
}

/// Where a key is: one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct KeySource {
    /// A file with a private key in WIF form; - for standard input
    #[arg(long, value_name = "FILE")]
    pub wif_file: Option<PathBuf>,
    /// A file with a key under a password (NEP-2); - for standard input
    #[arg(long, value_name = "FILE")]
    pub nep2_file: Option<PathBuf>,
    /// A wallet file (NEP-6)
    #[arg(long, value_name = "FILE")]
    pub wallet: Option<PathBuf>,
}

/// `neofn signer policy`
#[derive(Debug, Args)]
pub struct SetPolicy {
    /// The account
    pub address: String,
    /// What it may sign.
    #[command(flatten)]
    pub policy: Policy,
}

/// `neofn signer signatures`
#[derive(Debug, Args)]
pub struct Signatures {
    /// Only those with a higher number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: u64,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}
