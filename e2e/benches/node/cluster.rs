//! What a worker over NATS costs a call, beside the same call in the node itself.

use crate::{heading, row};
use neofn_testkit::{NatsServer, NodeProcess, WorkerProcess, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

const CALLS: usize = 1_000;
const ROUNDS: usize = 5;
const WITHIN: Duration = Duration::from_secs(30);

pub fn cluster() {
    heading("Workers over NATS");
    let dir = tempfile::tempdir().expect("a directory");
    let nats = NatsServer::start();
    let config = dir.path().join("cluster.toml");
    let text = format!("[nats]\nurl = \"{}\"\nworkers = \"remote\"\n", nats.url());
    std::fs::write(&config, text).expect("write the configuration");
    let remote = NodeProcess::start_in(
        &dir.path().join("remote"),
        &["--config", &config.display().to_string()],
    );
    let _worker = WorkerProcess::start(&nats.url());
    eventually("the worker is known", WITHIN, || {
        (remote.http().get("/ready").status == 200).then_some(())
    });
    let embedded = NodeProcess::start();
    let nodes = [&embedded, &remote];
    for node in nodes {
        let source = "export const handler = (e) => ({ hello: e.name })";
        assert_eq!(node.http().deploy("demo", "hello", source).status, 201);
        once(node, 200);
    }
    // by turns, so that what else the machine does meets both
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (node, times) in nodes.iter().zip(&mut all) {
            times.extend(once(node, CALLS / ROUNDS));
        }
    }
    let p50 = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [ours, theirs] = &mut all;
    let (ours, theirs) = (p50(ours), p50(theirs));
    let micros = |d: Duration| format!("{} us", d.as_micros());
    row("synchronous call in the node, sequential, p50", &micros(ours), "");
    row("the same by a worker over NATS, p50", &micros(theirs), "");
    row("difference", &micros(theirs.saturating_sub(ours)), "<= 300 us");
}

fn once(node: &NodeProcess, calls: usize) -> Vec<Duration> {
    let http = node.http();
    let event = json!({"name": "Neo"});
    (0..calls)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(http.invoke("demo", "hello", &event).status, 200);
            begun.elapsed()
        })
        .collect()
}
