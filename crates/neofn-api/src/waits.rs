//! Why a queued invocation does not run yet, in words. Pure translation.

use neofn_engine::{Refused, Wait, Waits};
use neofn_wire::WaitView;

/// What an invocation waits for, as answers show it.
pub(crate) fn view(waits: Waits) -> WaitView {
    let said = |reason: &str, message: &str| WaitView {
        reason: reason.to_owned(),
        message: message.to_owned(),
        until: None,
        ahead: None,
        running: None,
        max: None,
    };
    match waits {
        Waits::NotBefore(at) => WaitView {
            until: Some(at.to_iso8601()),
            ..said(
                "not_before",
                "its time: it failed and is tried again, or it was accepted for later",
            )
        },
        Waits::Disabled => said(
            "disabled",
            "the function is switched off; the next look at the queue ends the invocation unless it is enabled",
        ),
        Waits::Worker => said(
            "no_worker",
            "no worker has room: there is none with the function's engine, all are full, or NATS is away; waiting costs no \
             attempt. `neofn cluster status` shows the workers",
        ),
        Waits::Node(Wait::Paused { until }) => WaitView {
            until: Some(until.to_iso8601()),
            ..said(
                "paused",
                "the function failed many times in a row, so its queued work waits and one run is tried now and then; \
                 a new version lifts that at once",
            )
        },
        Waits::Node(Wait::Draining) => said(
            "draining",
            "the node starts nothing any more; it runs after the node's restart, or on another node",
        ),
        Waits::Node(Wait::Turn { ahead }) => WaitView {
            ahead: u64::try_from(ahead).ok(),
            ..said(
                "turn",
                "nothing holds it: it goes with one of the next looks at the queue",
            )
        },
        Waits::Node(Wait::Full {
            refused,
            running,
            max,
        }) => {
            let (reason, message) = limit(refused);
            WaitView {
                running: Some(running),
                max: Some(max),
                ..said(reason, message)
            }
        }
    }
}

fn limit(refused: Refused) -> (&'static str, &'static str) {
    match refused {
        Refused::Function => (
            "function_limit",
            "the function runs as often as it may; `concurrency` in its manifest raises that",
        ),
        Refused::Project => (
            "project_limit",
            "the project's functions run as often as they may together on this node",
        ),
        Refused::Queue => (
            "queue_limit",
            "the node runs as much queued work as it may; the rest is kept for callers who wait",
        ),
        Refused::Node => (
            "node_limit",
            "the node runs as much as it can; it goes when something else ends, or another node joins",
        ),
    }
}
