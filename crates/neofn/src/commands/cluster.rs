//! `neofn cluster status`: the nodes, what they do, and what waits between them.

use crate::cli::Global;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui};
use neofn_wire::NodeView;

/// Shows them.
pub fn status(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let services = context::client(global)?.services()?;
    if ui.json {
        ui.document(&services);
        return Ok(Exit::Done);
    }
    for node in &services.nodes {
        ui.out(&line(node));
    }
    for queue in &services.queues {
        ui.out(&format!(
            "queue {:<8} {} waiting, {} taken",
            queue.name, queue.waiting, queue.taken
        ));
    }
    match (&services.nats, services.connected) {
        (Some(nats), Some(false)) => ui.say(Tone::Bad, &format!("no connection to {nats}")),
        (Some(nats), _) => ui.say(Tone::Dim, &format!("messages over {nats}")),
        (None, _) => ui.note("a node of its own: `[nats]` in its configuration makes it one of a cluster"),
    }
    Ok(Exit::Done)
}

fn line(node: &NodeView) -> String {
    let state = match (node.draining, &node.misfit) {
        (true, _) => "draining",
        (false, Some(_)) => "other",
        (false, None) => "ready",
    };
    let mut text = format!(
        "{:<7} {:<20} {:<8} {}/{} running, {} since {}",
        node.role, node.id, state, node.running, node.runs_max, node.runs, node.started_at
    );
    if node.role == "worker" || node.sandboxes > 0 {
        text.push_str(&format!(
            ", {} warm in {} sandboxes, {}",
            node.warm,
            node.sandboxes,
            node.runtimes.join(" ")
        ));
    }
    text.push_str(&format!(
        ", {} pid {}, {} cores, jail {}",
        node.host, node.pid, node.cores, node.jail
    ));
    if node.insecure {
        text.push_str(" (insecure)");
    }
    if let Some(why) = &node.misfit {
        text.push_str(&format!("; gets no runs: {why}"));
    }
    text
}
