//! `neofn up`: start, say where, wait for a signal, drain.

use crate::cli::Up;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_node::{ChainChoice, ChainFacts, Keep, Node, NodeOptions, Termination};
use neofn_types::Code;
use neofn_wire::{ReadyChain, ReadyLine};
use std::time::Duration;

/// How long running calls may take to end, beyond the longest time limit.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the threads of a node that was told twice may take to notice.
const ABANDON: Duration = Duration::from_millis(200);

/// Serves until a signal comes. What goes wrong is said on standard error, with `--json` too: whoever reads the
/// ready line from standard output reads nothing else there.
pub fn run(ui: &Ui, args: &Up) -> Result<Exit, Failure> {
    up(ui, args).or_else(|failure| {
        render::problem(ui, &failure.problem);
        Ok(failure.exit)
    })
}

fn up(ui: &Ui, args: &Up) -> Result<Exit, Failure> {
    neofn_node::log_to_stderr(args.log_format, &args.log)?;
    let mut options = NodeOptions::new(&args.data)?;
    options.listen = args.listen;
    options.insecure_no_jail = args.insecure_no_jail;
    options.chain = chain(args);
    options.wallet = args.paying.wallet();
    options.access = neofn_node::AccessOptions {
        domain: args.domain.clone(),
        operators: args.operators.clone(),
        policies: args.policies.clone(),
        origins: args.cors_origins.clone(),
        ..options.access
    };
    options.bank = args.banking.bank();
    options.anchor_every = args.banking.anchor_every();
    args.settings.apply(&mut options);
    let runtime = neofn_node::runtime()?;
    let exit = runtime.block_on(serve(ui, options));
    runtime.shutdown_timeout(ABANDON);
    exit
}

fn chain(args: &Up) -> ChainChoice {
    match args.dev_chain.as_deref() {
        Some(place) => ChainChoice::Dev {
            keep: if place == "memory" {
                Keep::InMemory
            } else {
                Keep::OnDisk
            },
            block_ms: args.dev_block_time,
        },
        None if args.chain.is_empty() => ChainChoice::None,
        None => ChainChoice::Nodes(args.chain.clone()),
    }
}

async fn serve(ui: &Ui, options: NodeOptions) -> Result<Exit, Failure> {
    let mut termination = Termination::listen()?;
    let drain = DRAIN + options.limits_max.time();
    let mut node = Node::start(options).await?;
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
            chain: node.chain().map(ready_chain),
        });
        return;
    }
    ui.out(&format!("ready at {}", node.url()));
    ui.say(
        Tone::Dim,
        &format!(
            "admin key in {admin_key_file}, jail {}, Ctrl-C drains and stops",
            node.jail_tier()
        ),
    );
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
