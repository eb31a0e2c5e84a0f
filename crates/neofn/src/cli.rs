//! What may be written on the command line. Does nothing but say and read it.

pub mod accounts;
pub mod chain;
pub mod money;
pub mod secrets;

use crate::failure::{Exit, Failure};
use crate::paying::Paying;
use crate::settings::Settings;
use crate::ui::Ui;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use neofn_node::GrpcListen;
use neofn_types::{InvocationId, ProjectName};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Serverless functions for the Neo N3 blockchain, in one binary.
#[derive(Debug, Parser)]
#[command(name = "neofn", version = crate::commands::version::VERSION, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 ok, 1 a function failed or problems were found, 2 usage or configuration, \
3 credentials, 4 not available, 5 a limit or the units are exhausted."
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print one JSON document on standard output, for errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// The project; else the nearest neofn.toml's, else your last or only one
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<ProjectName>,
    /// The node; else one that runs on this machine is found
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "NEOFN_URL",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// Authorities (PEM) that are believed about an https node, in place of the web's
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "NEOFN_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// A certificate (PEM) to show to a node that asks for one
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "NEOFN_CLIENT_CERT",
        hide_env_values = true,
        requires = "client_key"
    )]
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "NEOFN_CLIENT_KEY",
        hide_env_values = true,
        requires = "client_cert"
    )]
    pub client_key: Option<PathBuf>,
    /// A file that holds the API key alone
    #[arg(long, global = true, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// From the environment only: arguments can be seen by every user of a machine.
    #[arg(skip)]
    pub api_key: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a node
    Up(Box<Up>),
    /// Start a worker: it runs functions for the gateways of a cluster
    Worker(Worker),
    /// Run this project here and redeploy whenever a file changes
    Dev(Dev),
    /// Make a new project from a template
    Init(Init),
    /// Deploy the functions of this project
    Deploy(Deploy),
    /// Invoke a function and print its result
    Invoke(Invoke),
    /// Show what a function logged, newest last
    Logs(Logs),
    /// List the functions of a project
    Functions,
    /// Say where functions are called, and which nodes have them ready
    Services(Services),
    /// List the versions of a function
    Versions(Name),
    /// Make another version of a function live
    Rollback(Rollback),
    /// Let a function be invoked again
    Enable(Name),
    /// Refuse to invoke a function until it is enabled
    Disable(Name),
    /// Delete a function and all its versions
    Delete(Delete),
    /// List what a function calls, and what calls it
    Dependencies(Name),
    /// List the invocations of a function, newest first
    Invocations(Invocations),
    /// Say why an accepted invocation does not run yet
    ExplainWait(ExplainWait),
    /// Run an invocation again from its recording and show the difference
    Replay(Replay),
    /// What invocations cost, and what the project has
    #[command(subcommand)]
    Gas(money::Gas),
    /// The audit log
    #[command(subcommand)]
    Audit(money::Audit),
    /// Backups of a node
    #[command(subcommand)]
    Backup(money::Backup),
    /// Look at the nodes of a cluster
    #[command(subcommand)]
    Cluster(Cluster),
    /// Look at the chain, and send transactions
    #[command(subcommand)]
    Chain(chain::Chain),
    /// List triggers, and try them on what happened
    Triggers(chain::Triggers),
    /// List the events that reached triggers, newest last
    Events(chain::Events),
    /// List what failed for good; retry or drop it
    #[command(name = "deadletters")]
    DeadLetters(chain::DeadLetters),
    /// Show a transaction that a function sent, or list them
    Tx(chain::Tx),
    /// Set and list the values that functions use without seeing them
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Show the accounts that sign, and what they may sign
    Signer(chain::Signer),
    /// Sign in to a node with a wallet
    Login(accounts::Login),
    /// Say who you are to the node
    Whoami,
    /// End the session
    Logout,
    /// Make and list projects
    #[command(subcommand)]
    Projects(accounts::Projects),
    /// Say who may do what in a project
    #[command(subcommand)]
    Members(accounts::Members),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(accounts::Keys),
    /// Move what an embedded node keeps to PostgreSQL
    Migrate(Migrate),
    /// Explain an error code, or list them all
    Explain(Explain),
    /// Look for what could be wrong on this machine
    Doctor(Doctor),
    /// Print completions for a shell
    Completions(Completions),
}

/// `neofn migrate`
#[derive(Debug, Args)]
pub struct Migrate {
    /// The data directory of a node that does not run
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// The empty database: postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// A file that holds the password alone; arguments can be seen by every user of a machine
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A function.
#[derive(Debug, Args)]
pub struct Name {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
}

/// `neofn services`
#[derive(Debug, Args)]
pub struct Services {
    /// FUNCTION or PROJECT/FUNCTION; without it, all of the project
    pub name: Option<String>,
}

/// `neofn up`
#[derive(Debug, Args)]
pub struct Up {
    /// A file with settings; what is also given here or in the environment wins over it
    #[arg(long, value_name = "FILE", env = "NEOFN_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Where the node keeps everything [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where to listen for gRPC, or `off` [default: 127.0.0.1:9443, or a free port when that is taken]
    #[arg(long, value_name = "ADDR", value_parser = grpc_listen)]
    pub grpc_listen: Option<GrpcListen>,
    /// Run functions although this machine cannot confine them; for code that you trust
    #[arg(long)]
    pub insecure_no_jail: bool,
    /// What people see in their address bar and sign in to, such as https://neofn.example; else the address it listens on
    #[arg(long, value_name = "ORIGIN")]
    pub domain: Option<String>,
    /// An account that runs this node; may be given again
    #[arg(long = "operator", value_name = "ADDRESS")]
    pub operators: Vec<neofn_types::ScriptHash>,
    /// Take NEP-20 answers of NeoLine too, which name no domain: another site can then sign in here with what it had signed
    #[arg(long)]
    pub accept_domainless: bool,
    /// A directory with .cedar files beside the built-in policies
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// A site whose pages may call the API from a browser, such as https://app.example; may be given again
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    pub cors_origins: Vec<String>,
    /// Neo N3 nodes of the network that functions see, separated by commas
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with = "dev_chain")]
    pub chain: Vec<String>,
    /// The number of their network [default: the one whose blocks were read before, or what the nodes agree on]
    #[arg(long, value_name = "NUMBER", conflicts_with = "dev_chain")]
    pub chain_network: Option<u32>,
    /// Run a private Neo N3 net with funded accounts beside the node, kept in the data directory or in memory
    #[arg(
        long,
        value_name = "WHERE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "disk",
        value_parser = ["disk", "memory"]
    )]
    pub dev_chain: Option<String>,
    /// Time between the blocks of the private net [default: 1s]
    #[arg(long, value_name = "TIME", requires = "dev_chain", value_parser = block_time)]
    pub dev_block_time: Option<u64>,
    /// What to log, such as `warn` or `neofn_engine=debug,info` [default: info]
    #[arg(long, value_name = "FILTER", env = "NEOFN_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// How log lines look: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<neofn_node::LogFormat>,
    /// Who pays for transactions.
    #[command(flatten)]
    pub paying: Paying,
    /// What things cost.
    #[command(flatten)]
    pub banking: money::Banking,
    /// What the node allows and keeps.
    #[command(flatten)]
    pub settings: Settings,
}

/// `neofn cluster`
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// List nodes, their roles and load, and what waits between them
    Status,
}

/// `neofn worker`
#[derive(Debug, Args)]
pub struct Worker {
    /// The NATS servers, separated by commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        required = true,
        env = "NEOFN_NATS",
        hide_env_values = true
    )]
    pub nats: Vec<String>,
    /// Its name, by which NATS can give it its own subjects [default: another one at each start]
    #[arg(long, value_name = "NAME", env = "NEOFN_WORKER_NAME", hide_env_values = true)]
    pub name: Option<String>,
    /// A credentials file: a JWT and its seed
    #[arg(long, value_name = "FILE", conflicts_with = "nkey")]
    pub creds: Option<PathBuf>,
    /// A file with an nkey seed
    #[arg(long, value_name = "FILE")]
    pub nkey: Option<PathBuf>,
    /// Certificates that sign those of the servers
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// A certificate to show to the servers
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// Run functions although this machine cannot confine them; for code that you trust
    #[arg(long)]
    pub insecure_no_jail: bool,
    /// Sandbox processes [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub children: Option<u32>,
    /// What to log, such as `warn` or `neofn_cluster=debug,info` [default: info]
    #[arg(long, value_name = "FILTER", env = "NEOFN_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// How log lines look: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<neofn_node::LogFormat>,
}

/// A private net needs some time for a block; nobody waits longer than a minute.
pub(crate) fn block_time(text: &str) -> Result<u64, String> {
    let ms = neofn_types::parse_duration_ms(text).map_err(|e| e.to_string())?;
    if (10..=60_000).contains(&ms) {
        Ok(ms)
    } else {
        Err("between 10ms and 60s".to_owned())
    }
}

/// An address, or that nobody is to listen.
pub(crate) fn grpc_listen(text: &str) -> Result<GrpcListen, String> {
    match text {
        "off" => Ok(GrpcListen::Off),
        address => address
            .parse()
            .map(GrpcListen::At)
            .map_err(|_| "an address such as 127.0.0.1:9443, or `off`".to_owned()),
    }
}

/// `neofn dev`
#[derive(Debug, Args)]
pub struct Dev {
    /// Where to listen; 127.0.0.1:9000 when absent, or a free port when that is taken
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Run functions although this machine cannot confine them; for code that you trust
    #[arg(long)]
    pub insecure_no_jail: bool,
    /// Run a private Neo N3 net even if no function asks for a chain
    #[arg(long)]
    pub dev_chain: bool,
    /// Run none even if a function asks for one
    #[arg(long, conflicts_with_all = ["dev_chain", "dev_block_time"])]
    pub no_chain: bool,
    /// Time between the blocks of the private net
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = block_time)]
    pub dev_block_time: u64,
}

/// `neofn init`
#[derive(Debug, Args)]
pub struct Init {
    /// The new directory; also the name of the function
    pub name: String,
    /// What to start from
    #[arg(long, default_value = "http-ts", value_parser = clap::builder::PossibleValuesParser::new(crate::templates::names()))]
    pub template: String,
}

/// `neofn deploy`
#[derive(Debug, Args)]
pub struct Deploy {
    /// The functions to deploy; all of the manifest when absent
    pub functions: Vec<String>,
    /// Only show what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// `neofn invoke`
#[derive(Debug, Args)]
pub struct Invoke {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// The event: JSON, @FILE, or - for standard input; null when absent
    pub event: Option<String>,
    /// Queue it and print its id instead of waiting for the result
    #[arg(long = "async")]
    pub queue: bool,
    /// Run at most once for this key, however often this is sent
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// `neofn logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// Go on as new ones come; with --json, one document a line
    #[arg(long, short)]
    pub follow: bool,
    /// How many ended invocations to show first
    #[arg(short = 'n', long = "lines", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub count: u32,
}

/// `neofn rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// The version; the one before the live one when absent
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub version: Option<u32>,
}

/// `neofn invocations`
#[derive(Debug, Args)]
pub struct Invocations {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// Only those with this status
    #[arg(long, value_parser = ["queued", "running", "succeeded", "failed", "dead"])]
    pub status: Option<String>,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `neofn delete`
#[derive(Debug, Args)]
pub struct Delete {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// Also when other functions call it
    #[arg(long)]
    pub force: bool,
}

/// `neofn explain-wait`
#[derive(Debug, Args)]
pub struct ExplainWait {
    /// The invocation
    pub id: InvocationId,
}

/// `neofn replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The invocation
    pub id: InvocationId,
    /// Run it on this version instead of its own
    #[arg(long = "version", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub on: Option<u32>,
}

/// `neofn gas estimate`
#[derive(Debug, Args)]
pub struct Estimate {
    /// FUNCTION or PROJECT/FUNCTION
    pub name: String,
    /// The event: JSON, @FILE, or - for standard input; null when absent
    pub event: Option<String>,
}

/// `neofn explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// A code such as NF0207; all of them when absent
    pub code: Option<String>,
}

/// `neofn doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Mend what can be mended
    #[arg(long)]
    pub fix: bool,
    /// The data directory to look at
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
}

/// `neofn completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Reads the command line. `Err` when there is nothing left to do: help was shown, or the usage was wrong.
pub fn parse() -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match read(&arguments) {
        Ok(mut cli) => {
            cli.global.api_key = std::env::var("NEOFN_API_KEY").ok();
            Ok(cli)
        }
        Err(error) => Err(refuse(&error, arguments.iter().any(|a| a == "--json"))),
    }
}

fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut definition = definition();
    let mut matches = definition.try_get_matches_from_mut(arguments)?;
    if let Some((name, given)) = matches.subcommand()
        && ALONE.contains(&name)
        && let Some(command) = definition.find_subcommand_mut(name)
    {
        let unused = of_nodes()
            .into_iter()
            .find(|arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine));
        if let Some(long) = unused.as_ref().and_then(Arg::get_long) {
            let message = format!("`neofn {name}` asks no node, so it has no use for '--{long}'");
            return Err(command.error(ErrorKind::UnknownArgument, message));
        }
    }
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut definition))
}

fn refuse(error: &clap::Error, json: bool) -> Exit {
    if error.kind() == ErrorKind::DisplayVersion {
        crate::commands::version::show(&Ui::new(json));
        return Exit::Done;
    }
    let shown = error.kind() == ErrorKind::DisplayHelp;
    if json && !shown {
        let text = error.to_string();
        // The first paragraph says what is wrong; usage and tips follow.
        let lines: Vec<&str> = text
            .lines()
            .take_while(|l| !l.is_empty())
            .map(str::trim)
            .collect();
        let message = lines.join(" ").trim_start_matches("error: ").to_owned();
        crate::commands::report(&Ui::new(true), &Failure::usage(message, "see `neofn --help`"));
    } else {
        // Clap knows which stream, and whether colour is wanted. A reader that went away is no error of ours.
        let _ = error.print();
    }
    if shown { Exit::Done } else { Exit::Usage }
}

/// Commands that ask no node and know no project. What says which is neither shown there nor taken; from the environment it
/// may come all the same, which is there for every command.
const ALONE: [&str; 5] = ["up", "worker", "migrate", "explain", "completions"];

/// What every other command takes to find a node and a project.
fn of_nodes() -> Vec<Arg> {
    let command = Cli::command();
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    global.filter(|arg| arg.get_id() != "json").cloned().collect()
}

/// The definition itself, also for completions.
#[must_use]
pub fn definition() -> clap::Command {
    // what a command has itself is not added to it as everybody's
    let hidden: Vec<Arg> = of_nodes().into_iter().map(|arg| arg.hide(true)).collect();
    let hide = |command: clap::Command, name| command.mut_subcommand(name, |sub| sub.args(hidden.clone()));
    ALONE.into_iter().fold(Cli::command(), hide)
}
