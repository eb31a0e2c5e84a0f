//! `neofn up`: start, say where, wait for a signal, drain.

use crate::cli::Up;
use crate::config::{ChainSection, ConfigFile, NatsSection, PostgresSection, TlsSection};
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_node::{ChainChoice, ChainFacts, Keep, Node, NodeOptions, Termination};
use neofn_types::Code;
use neofn_wire::{ReadyChain, ReadyLine};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long running calls may take to end, beyond the longest time limit.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the threads of a node that was told twice may take to notice.
const ABANDON: Duration = Duration::from_millis(200);
/// Between the blocks of a private net.
const BLOCK_MS: u64 = 1_000;

/// Serves until a signal comes. What goes wrong is said on standard error, with `--json` too: whoever reads the
/// ready line from standard output reads nothing else there.
pub fn run(ui: &Ui, args: &Up) -> Result<Exit, Failure> {
    up(ui, args).or_else(|failure| {
        render::problem(ui, &failure.problem);
        Ok(failure.exit)
    })
}

fn up(ui: &Ui, args: &Up) -> Result<Exit, Failure> {
    let file = match &args.config {
        Some(path) => ConfigFile::read(path)?,
        None => ConfigFile::default(),
    };
    let filter = args.log.as_ref().or(file.log.as_ref());
    neofn_node::log_to_stderr(
        args.log_format.or(file.log_format).unwrap_or_default(),
        filter.map_or("info", String::as_str),
    )?;
    let options = options(args, file)?;
    neofn_node::keep_memory_private()?;
    let runtime = neofn_node::runtime()?;
    let exit = runtime.block_on(serve(ui, options));
    runtime.shutdown_timeout(ABANDON);
    exit
}

/// Flags over the file over defaults.
fn options(args: &Up, file: ConfigFile) -> Result<NodeOptions, Failure> {
    let data = args.data.as_ref().or(file.data.as_ref());
    let mut options = NodeOptions::new(data.map_or(Path::new("data"), PathBuf::as_path))?;
    options.listen = args.listen.or(file.listen).unwrap_or(options.listen);
    let grpc = args.grpc_listen.or(file.grpc.as_ref().and_then(|g| g.listen));
    options.grpc = grpc.unwrap_or(options.grpc);
    options.insecure_no_jail = args.insecure_no_jail || file.insecure_no_jail.unwrap_or(false);
    let chain_section = file.chain.clone().unwrap_or_default();
    options.chain = chain(args, &chain_section)?;
    options.wallet = args.paying.wallet(&chain_section)?;
    if options.wallet.is_some() && !matches!(options.chain, ChainChoice::Nodes { .. }) {
        return Err(Failure::usage(
            "a wallet pays on a network, and none is named",
            "name its nodes: --chain URL, or `[chain] url` in the file",
        ));
    }
    options.access = neofn_node::AccessOptions {
        domain: args.domain.clone().or_else(|| file.domain.clone()),
        operators: given(&args.operators, &file.operator),
        policies: args.policies.clone().or_else(|| file.policies.clone()),
        origins: given(&args.cors_origins, &file.cors_origin),
        accept_domainless: args.accept_domainless || file.accept_domainless.unwrap_or(false),
    };
    options.bank = args.banking.bank(file.bank.as_ref());
    options.anchor_every = args.banking.anchor_every(file.audit.as_ref());
    args.settings.apply(&file, &mut options);
    options.nats = file.nats.map(NatsSection::options).transpose()?;
    options.postgres = file.postgres.map(PostgresSection::options).transpose()?;
    options.tls = file.tls.map(TlsSection::options);
    Ok(options)
}

/// A list of flags stands for the file's whole list.
pub(crate) fn given<T: Clone>(flags: &[T], file: &[T]) -> Vec<T> {
    if flags.is_empty() { file } else { flags }.to_vec()
}

/// Either side names a chain as a whole: half of one from the file and half from flags would be neither's.
fn chain(args: &Up, file: &ChainSection) -> Result<ChainChoice, Failure> {
    let dev = |keep: &str, block_ms: Option<u64>| ChainChoice::Dev {
        keep: if keep == "memory" {
            Keep::InMemory
        } else {
            Keep::OnDisk
        },
        block_ms: block_ms.or(file.dev_block_time).unwrap_or(BLOCK_MS),
    };
    match (&args.dev_chain, &file.dev) {
        (Some(place), _) => Ok(dev(place, args.dev_block_time)),
        (None, _) if !args.chain.is_empty() => Ok(ChainChoice::Nodes {
            urls: args.chain.clone(),
            network: args.chain_network,
        }),
        (None, Some(_)) if file.url.is_some() => Err(Failure::usage(
            "`[chain]` has both `url` and `dev`",
            "a node follows one chain: remove one of them",
        )),
        (None, Some(place)) => Ok(dev(place.as_str(), None)),
        (None, None) => Ok(file
            .url
            .as_ref()
            .map_or(ChainChoice::None, |urls| ChainChoice::Nodes {
                urls: urls.list(),
                network: args.chain_network.or(file.network),
            })),
    }
}

async fn serve(ui: &Ui, options: NodeOptions) -> Result<Exit, Failure> {
    let mut termination = Termination::listen()?;
    let drain = DRAIN + options.limits_max.time();
    // what it waits for may be away for long
    let mut node = tokio::select! {
        node = Node::start(options) => node?,
        () = termination.asked() => {
            ui.note("stopped before it was ready");
            return Ok(Exit::Done);
        }
    };
    announce(ui, &node);
    tokio::select! {
        () = termination.asked() => {}
        () = node.stopped() => return Err(Failure::new(Code::Internal, "the node stopped answering", "see the log")),
    }
    ui.note("draining: running calls may end; a second signal stops at once");
    tokio::select! {
        in_time = node.drain(drain) => Ok(if in_time { Exit::Done } else { Exit::Failed }),
        () = termination.asked() => Ok(Exit::Failed),
    }
}

/// The ready line. In JSON it is all that ever goes to standard output.
fn announce(ui: &Ui, node: &Node) {
    let admin_key_file = node.admin_key_file().display().to_string();
    if ui.json {
        ui.document(&ReadyLine {
            url: node.url().to_owned(),
            admin_key_file,
            grpc: node.grpc().map(|address| address.to_string()),
            nats: node.nats().map(str::to_owned),
            chain: node.chain().map(ready_chain),
        });
        return;
    }
    ui.out(&format!("ready at {}", node.url()));
    let grpc = node
        .grpc()
        .map_or_else(String::new, |address| format!("gRPC at {address}, "));
    ui.say(
        Tone::Dim,
        &format!(
            "{grpc}admin key in {admin_key_file}, jail {}, Ctrl-C drains and stops",
            node.jail_tier()
        ),
    );
    if let Some(nats) = node.nats() {
        ui.say(
            Tone::Dim,
            &format!("functions answer at {nats}: function.LANGUAGE.PROJECT.NAME"),
        );
    }
    if let Some(chain) = node.chain() {
        ui.say(Tone::Dim, &format!("chain at {}", chain.rpc));
        if let (Some(wallet), Some(password)) = (&chain.wallet, &chain.password) {
            ui.say(
                Tone::Dim,
                &format!(
                    "development only: worthless tokens, keys known to everybody, in {} with password {password}",
                    wallet.display()
                ),
            );
        }
    }
}

/// The chain's part of the ready line.
pub fn ready_chain(chain: &ChainFacts) -> ReadyChain {
    ReadyChain {
        rpc: chain.rpc.clone(),
        wallet: chain.wallet.as_ref().map(|w| w.display().to_string()),
        password: chain.password.clone(),
    }
}
