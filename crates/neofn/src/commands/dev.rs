//! `neofn dev`: an embedded node, a watched project, a few keys.

use crate::cli::{Dev, Global};
use crate::commands::up::ready_chain;
use crate::context;
use crate::dev::{Embedded, Event, Session, keys, watch};
use crate::failure::{Exit, Failure};
use crate::project::Project;
use crate::ui::{Tone, Ui};
use neofn_node::{ChainChoice, Keep, NodeOptions};
use neofn_types::Code;
use neofn_wire::ReadyLine;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;

const KEYS: &str = "r replay the last event, i invoke, q quit";
const CHAIN_KEYS: &str = "t transfer GAS, b show the next block";

/// Runs the project until it is told to quit.
pub fn run(global: &Global, ui: &Ui, args: &Dev) -> Result<Exit, Failure> {
    let project = Project::require(&context::here()?)?;
    let (sender, events) = mpsc::channel();
    let node = start(&project, args, &sender)?;
    if ui.json {
        let admin_key_file = node.admin_key_file.display().to_string();
        ui.document(&ReadyLine {
            nats: None,
            url: node.url.clone(),
            admin_key_file,
            grpc: node.grpc.clone(),
            chain: node.chain.as_ref().map(ready_chain),
        });
    }
    ui.say(Tone::Good, &format!("ready at {}", node.url));
    if let Some(chain) = &node.chain {
        ui.say(
            Tone::Dim,
            &format!("private chain at {}, its tokens are worth nothing", chain.rpc),
        );
    }
    let mut session = Session::new(global, *ui, project.root.clone(), &node, sender.clone())?;
    session.deploy_changed();
    let _watcher = watch::start(&project.root, sender.clone())?;
    let terminal = keys::start(sender);
    if keys::are_read() {
        ui.say(Tone::Dim, KEYS);
        if node.chain.is_some() {
            ui.say(Tone::Dim, CHAIN_KEYS);
        }
    }
    for event in &events {
        match event {
            Event::Changed => {
                watch::settle(&events, &mut session);
                session.deploy_changed();
            }
            Event::Logged(entry) => session.logged(&entry),
            Event::Key('r') => session.replay(),
            Event::Key('i') => session.invoke(),
            Event::Key('t') => session.transfer(),
            Event::Key('b') => session.next_block(),
            Event::Key('q') | Event::Stop => break,
            Event::Key(_) => {}
        }
    }
    ui.say(Tone::Dim, "stopping");
    drop(terminal);
    node.stop();
    Ok(Exit::Done)
}

/// The usual port when it is free, so that addresses in documentation work; else any.
fn start(project: &Project, args: &Dev, events: &mpsc::Sender<Event>) -> Result<Embedded, Failure> {
    let mut options = NodeOptions::new(project.hidden().join("dev"))?;
    options.insecure_no_jail = args.insecure_no_jail;
    // found from inside its project; elsewhere the command line means the node of `neofn up`
    options.state_dir = None;
    if args.dev_chain || (!args.no_chain && project.wants_chain()) {
        options.chain = ChainChoice::Dev {
            keep: Keep::InMemory,
            block_ms: args.dev_block_time,
        };
    }
    let without_chain = |mut failure: Failure| {
        if failure.problem.code == Code::DevChainFailed.as_str() {
            failure
                .problem
                .hint
                .push_str(" `neofn dev --no-chain` goes on without one.");
        }
        failure
    };
    if let Some(listen) = args.listen {
        options.listen = listen;
        return Embedded::start(options, events.clone()).map_err(without_chain);
    }
    match Embedded::start(options.clone(), events.clone()) {
        Err(failure) if failure.problem.code == Code::ListenFailed.as_str() => {
            options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Embedded::start(options, events.clone()).map_err(without_chain)
        }
        started => started.map_err(without_chain),
    }
}
