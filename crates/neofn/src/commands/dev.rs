//! `neofn dev`: an embedded node, a watched project, a few keys.

use crate::cli::{Dev, Global};
use crate::context;
use crate::dev::{Embedded, Event, Session, keys, watch};
use crate::failure::{Exit, Failure};
use crate::project::Project;
use crate::ui::{Tone, Ui};
use neofn_node::NodeOptions;
use neofn_types::Code;
use neofn_wire::ReadyLine;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;

/// Runs the project until it is told to quit.
pub fn run(global: &Global, ui: &Ui, args: &Dev) -> Result<Exit, Failure> {
    let project = Project::require(&context::here()?)?;
    let (sender, events) = mpsc::channel();
    let node = start(&project, args, &sender)?;
    if ui.json {
        let admin_key_file = node.admin_key_file.display().to_string();
        ui.document(&ReadyLine {
            url: node.url.clone(),
            admin_key_file,
            chain: None,
        });
    }
    ui.say(Tone::Good, &format!("ready at {}", node.url));
    let mut session = Session::new(global, *ui, project.root.clone(), &node, sender.clone())?;
    session.deploy_changed();
    let _watcher = watch::start(&project.root, sender.clone())?;
    let terminal = keys::start(sender);
    if keys::are_read() {
        ui.say(Tone::Dim, "r replay the last event, i invoke, q quit");
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
    if let Some(listen) = args.listen {
        options.listen = listen;
        return Embedded::start(options, events.clone());
    }
    match Embedded::start(options.clone(), events.clone()) {
        Err(failure) if failure.problem.code == Code::ListenFailed.as_str() => {
            options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Embedded::start(options, events.clone())
        }
        started => started,
    }
}
