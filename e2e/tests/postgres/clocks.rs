//! Wrong clocks: a gateway and a worker that are an hour ahead, and a clock that jumps while work runs. What is claimed, what is
//! due and who leads is told by PostgreSQL's clock, so nothing is taken from a node that works, and nothing is kept from the
//! others for longer than usual.

use crate::keys::share_keys;
use crate::kills::{MOVED, SOON};
use crate::{AFTER_A_LEASE, deploy, ended, enqueue, exactly_once};
use neofn_testkit::{NatsServer, NodeProcess, Postgres, WorkerProcess, WrongClock, eventually};
use serde_json::json;
use std::path::{Path, PathBuf};

const HOUR: i64 = 3_600;
/// Steps of a run that is long enough for others to look at its claim.
const LONG: u32 = 3_000_000;

fn config(dir: &Path, postgres: &Postgres, nats: &NatsServer) -> PathBuf {
    let config = dir.join("cluster.toml");
    let text = format!(
        "[postgres]\nurl = \"{}\"\n[nats]\nurl = \"{}\"\nworkers = \"remote\"\n",
        postgres.url(),
        nats.url()
    );
    std::fs::write(&config, text).unwrap();
    config
}

fn ready(node: &NodeProcess) {
    eventually("the gateway is ready", SOON, || {
        (node.http().get("/ready").status == 200).then_some(())
    });
}

#[test]
fn a_gateway_that_is_an_hour_ahead_takes_nothing_and_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let config = config(dir.path(), &postgres, &nats);
    let flags = ["--config", config.to_str().unwrap()];
    let clock = WrongClock::ahead_by(HOUR);
    let right = NodeProcess::start_in(&dir.path().join("a"), &flags);
    share_keys(&dir.path().join("a"), &dir.path().join("b"));
    let wrong = NodeProcess::start_by(&clock, &dir.path().join("b"), &flags);
    // a worker's clock decides nothing
    let _worker = WorkerProcess::start_by(&clock, &nats.url());
    ready(&right);
    ready(&wrong);
    deploy(&right.http());
    let stamp = wrong
        .http()
        .invoke("demo", "count", &json!({"id": "now"}))
        .expect(200);
    assert!(stamp.header("date").is_some());
    let mut names = vec!["now".to_owned()];
    eventually("it says that its clock is wrong", SOON, || {
        wrong.stderr().contains("clock is 3").then_some(())
    });
    assert!(!right.stderr().contains("clock is"), "{}", right.stderr());

    // runs of each, while the other looks for claims that have ended
    let mut ids = Vec::new();
    for n in 0..12 {
        let (name, node) = (format!("n{n}"), [&right, &wrong][n % 2]);
        ids.push(enqueue(&node.http(), &name, LONG).expect("accepted"));
        names.push(name);
    }
    for id in &ids {
        ended(&right.http(), id, AFTER_A_LEASE);
    }
    let attempts = "SELECT count(*) FROM invocation WHERE attempt > 1";
    assert_eq!(
        postgres.sql("postgres", attempts),
        "0",
        "taken from whoever ran it"
    );

    // what it accepted and had in hand is free when it dies, as any other node's; so is what it led
    let _ = right.http().get("/health").expect(200);
    let mut left = Vec::new();
    for n in 0..12 {
        let name = format!("left{n}");
        left.push(enqueue(&wrong.http(), &name, LONG).expect("accepted"));
        names.push(name);
    }
    wrong.kill_hard();
    for id in &left {
        ended(&right.http(), id, AFTER_A_LEASE);
    }
    exactly_once(&right.http(), &names);
    let led = "SELECT bool_and(until < (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000) FROM lease \
               WHERE name NOT LIKE '%/%'";
    assert_eq!(postgres.sql("postgres", led), "t");
    eventually("the right one leads in everything", MOVED, || {
        let services = right.http().get("/api/v1/services").expect(200).json();
        let leases = services["leases"].as_array()?;
        let node = services["nodes"]
            .as_array()?
            .iter()
            .find(|n| n["pid"] == right.pid())?;
        let all = leases.iter().all(|lease| lease["holder"] == node["id"]);
        (!leases.is_empty() && all).then_some(())
    });
}

#[test]
fn a_clock_that_jumps_costs_no_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let config = config(dir.path(), &postgres, &nats);
    let flags = ["--config", config.to_str().unwrap()];
    let clock = WrongClock::ahead_by(0);
    let right = NodeProcess::start_in(&dir.path().join("a"), &flags);
    share_keys(&dir.path().join("a"), &dir.path().join("b"));
    let jumps = NodeProcess::start_by(&clock, &dir.path().join("b"), &flags);
    let _worker = WorkerProcess::start(&nats.url());
    ready(&right);
    ready(&jumps);
    deploy(&right.http());
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    for (round, seconds) in [HOUR, -HOUR, 0].into_iter().enumerate() {
        for n in 0..6 {
            let (name, node) = (format!("r{round}n{n}"), [&right, &jumps][n % 2]);
            ids.push(enqueue(&node.http(), &name, LONG).expect("accepted"));
            names.push(name);
        }
        // in the middle of them
        clock.set(seconds);
        for n in 0..6 {
            let (name, node) = (format!("r{round}m{n}"), [&right, &jumps][n % 2]);
            ids.push(enqueue(&node.http(), &name, 0).expect("accepted"));
            names.push(name);
        }
        for id in &ids {
            ended(&jumps.http(), id, AFTER_A_LEASE);
        }
        let called = jumps
            .http()
            .invoke("demo", "count", &json!({"id": format!("c{round}")}));
        assert_eq!(called.status, 200, "{called:?}");
        names.push(format!("c{round}"));
    }
    exactly_once(&right.http(), &names);
    let attempts = "SELECT count(*) FROM invocation WHERE attempt > 1";
    assert_eq!(postgres.sql("postgres", attempts), "0");
    assert_eq!((jumps.terminate(), right.terminate()), (Some(0), Some(0)));
}
