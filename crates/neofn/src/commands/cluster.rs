//! `neofn cluster status`: the nodes, which of them leads in what, what waits and why.

use crate::cli::Global;
use crate::context;
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui};
use neofn_wire::{LaneView, NodeView, ServiceList};

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
    for text in rows(&services) {
        ui.out(&text);
    }
    if services.lag.is_none() {
        ui.say(
            Tone::Bad,
            "the storage does not answer: who leads and what waits is not known",
        );
    }
    let queues_known = !services.queues.is_empty();
    for fault in &services.faults {
        ui.say(Tone::Bad, fault);
    }
    match (&services.nats, services.connected) {
        (Some(nats), Some(false)) => ui.say(Tone::Bad, &format!("no connection to {nats}")),
        (Some(nats), _) if !queues_known => {
            ui.say(
                Tone::Bad,
                &format!("{nats} does not answer: the depth of its queues is not known"),
            );
        }
        (Some(nats), _) => ui.say(Tone::Dim, &format!("messages over {nats}")),
        (None, _) => ui.note("a node of its own: `[nats]` in its configuration makes it one of a cluster"),
    }
    Ok(Exit::Done)
}

/// Who leads, what waits and why, and how far behind it is.
fn rows(services: &ServiceList) -> Vec<String> {
    let mut rows = Vec::new();
    for lease in &services.leases {
        let (name, holder) = (&lease.name, &lease.holder);
        rows.push(format!(
            "lease   {name:<20} {holder}, for {} more",
            seconds(lease.left_ms)
        ));
    }
    for queue in &services.queues {
        let (name, waiting, taken) = (&queue.name, queue.waiting, queue.taken);
        let oldest = oldest(queue.oldest_ms);
        rows.push(format!(
            "queue   {name:<20} {waiting} waiting, {taken} taken{oldest}"
        ));
    }
    rows.extend(services.lanes.iter().map(lane));
    if let Some(lag) = &services.lag {
        let blocks = lag
            .blocks
            .map(|n| format!(", {n} blocks behind"))
            .unwrap_or_default();
        let (queued, running, oldest) = (lag.queued, lag.running, oldest(lag.oldest_ms));
        rows.push(format!(
            "lag     {queued} queued, {running} running{oldest}{blocks}"
        ));
    }
    rows
}

fn lane(lane: &LaneView) -> String {
    let name = format!("{}/{}", lane.project, lane.function);
    let (waiting, later, running) = (lane.waiting, lane.later, lane.running);
    let mut text = format!("lane    {name:<20} {waiting} waiting, {later} later, {running} running");
    text.push_str(&oldest(lane.oldest_ms));
    if let Some(home) = &lane.home {
        text.push_str(&format!(", home {home}"));
    }
    if let Some(waits) = &lane.waits {
        text.push_str(&format!("; waits: {}", super::explain_wait::why(waits)));
    }
    text
}

fn oldest(ms: Option<u64>) -> String {
    ms.map(|ms| format!(", the oldest for {}", seconds(ms)))
        .unwrap_or_default()
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

fn line(node: &NodeView) -> String {
    let state = match node {
        _ if node.draining => "draining",
        NodeView { misfit: Some(_), .. } => "other",
        NodeView { idle: Some(_), .. } => "idle",
        _ => "ready",
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
    if let Some(enclave) = &node.enclave {
        text.push_str(&format!(", in {enclave}"));
    }
    if let Some(why) = &node.misfit {
        text.push_str(&format!("; gets no runs: {why}"));
    } else if let Some(why) = &node.idle {
        text.push_str(&format!("; gets no runs for now: {why}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_wire::{LagView, LeaseView, QueueView, WaitView};

    #[test]
    fn who_leads_and_what_waits_is_a_line_each() {
        let waits = WaitView {
            reason: "function_limit".to_owned(),
            message: "the function runs as often as it may".to_owned(),
            until: None,
            ahead: None,
            running: Some(2),
            max: Some(2),
        };
        let busy = LaneView {
            project: "demo".to_owned(),
            function: "f".to_owned(),
            waiting: 12,
            later: 3,
            running: 2,
            oldest_ms: Some(4_150),
            home: Some("worker-1".to_owned()),
            waits: Some(waits),
        };
        let idle = LaneView {
            function: "g".to_owned(),
            waiting: 0,
            oldest_ms: None,
            home: None,
            waits: None,
            ..busy.clone()
        };
        let services = ServiceList {
            leases: vec![LeaseView {
                name: "triggers".to_owned(),
                holder: "gateway-1".to_owned(),
                until: String::new(),
                left_ms: 5_999,
                fence: 3,
            }],
            queues: vec![QueueView {
                name: "jobs".to_owned(),
                waiting: 1,
                taken: 0,
                oldest_ms: Some(20),
            }],
            lanes: vec![busy, idle],
            lag: Some(LagView {
                queued: 18,
                running: 4,
                oldest_ms: Some(4_150),
                blocks: Some(0),
            }),
            ..ServiceList::default()
        };
        assert_eq!(
            rows(&services),
            [
                "lease   triggers             gateway-1, for 5.9 s more",
                "queue   jobs                 1 waiting, 0 taken, the oldest for 0.0 s",
                "lane    demo/f               12 waiting, 3 later, 2 running, the oldest for 4.1 s, home worker-1; \
                 waits: the function runs as often as it may (2 of 2 run)",
                "lane    demo/g               0 waiting, 3 later, 2 running",
                "lag     18 queued, 4 running, the oldest for 4.1 s, 0 blocks behind",
            ]
        );
    }
}
