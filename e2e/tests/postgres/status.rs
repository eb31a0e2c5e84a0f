//! What a cluster says of itself: who leads, what waits and why, and how far behind it is.

use crate::client::Client;
use crate::kills::{Gateways, MOVED, SOON};
use neofn_testkit::{Http, NatsServer, Postgres, WorkerProcess, binary, eventually};
use serde_json::{Value, json};
use std::process::Command;

/// Long enough to be seen running.
const SLOW: &str =
    "export const handler = (e) => { let x = 0; for (let i = 0; i < 3000000; i++) x += i % 7; return x };";

fn services(http: &Http) -> Value {
    http.get("/api/v1/services").expect(200).json()
}

/// The row with this name.
fn named<'a>(all: &'a Value, kind: &str, name: &str, value: &str) -> Option<&'a Value> {
    all[kind].as_array()?.iter().find(|row| row[name] == value)
}

#[test]
fn a_cluster_says_who_leads_and_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let gateways = Gateways::new(dir.path(), &postgres, &nats);
    gateways.start(0);
    gateways.start(1);
    let worker = WorkerProcess::start(&nats.url());
    let ids: Vec<String> = (0..2)
        .map(|n| {
            let pid = gateways.nodes.lock().unwrap()[n].as_ref().unwrap().pid();
            eventually("all see each other", SOON, || {
                let all = services(&gateways.any());
                let _ = named(&all, "nodes", "id", worker.id())?;
                let nodes = all["nodes"].as_array()?;
                let node = nodes.iter().find(|node| node["pid"] == pid)?;
                Some(node["id"].as_str()?.to_owned())
            })
        })
        .collect();
    // by its node's own name, the same whomever one asks
    let leader = |n: usize| {
        let all = services(&gateways.http(n)?);
        let lease = named(&all, "leases", "name", "triggers")?;
        let left = lease["left_ms"].as_u64()?;
        assert!(left <= 6_000, "{lease}");
        Some(lease["holder"].as_str()?.to_owned())
    };
    let first = eventually("somebody leads", SOON, || leader(0));
    let led = ids
        .iter()
        .position(|id| *id == first)
        .expect("one of the gateways");
    assert_eq!(leader(1), Some(first.clone()));
    let held = postgres.sql("postgres", "SELECT holder FROM lease WHERE name = 'triggers'");
    assert_eq!(held, first);

    // what waits, where it would go, and why it does not
    let request = json!({"function_name": "slow", "source": SLOW, "limits": {"concurrency": 1}});
    let _ = gateways.any().deploy_with("demo", request).expect(201);
    let mut sent = 0;
    let (all, status) = eventually("work waits behind its own limit", SOON, || {
        let node = gateways.http(led)?;
        for _ in 0..10 {
            let _ = node
                .post("/api/v1/functions/demo/slow?mode=async", &json!(sent))
                .expect(202);
            sent += 1;
        }
        let all = services(&node);
        let lane = named(&all, "lanes", "function", "slow")?;
        let full = lane["waits"]["reason"] == "function_limit" && lane["running"].as_u64()? > 0;
        (full && lane["waiting"].as_u64()? > 0).then_some(())?;
        let key = gateways.nodes.lock().unwrap()[led].as_ref()?.key().to_owned();
        let url = gateways.nodes.lock().unwrap()[led].as_ref()?.url().to_owned();
        let status = Command::new(binary())
            .args(["cluster", "status", "--url", &url])
            .env("NEOFN_API_KEY", key)
            .output()
            .unwrap();
        Some((all.clone(), String::from_utf8_lossy(&status.stdout).into_owned()))
    });
    let lane = named(&all, "lanes", "function", "slow").unwrap();
    assert_eq!(
        (&lane["project"], &lane["home"], &lane["waits"]["max"]),
        (&json!("demo"), &json!(worker.id()), &json!(1)),
        "{lane}"
    );
    assert_eq!(all["lag"]["oldest_ms"], lane["oldest_ms"], "{all}");
    assert!(lane["oldest_ms"].as_u64().unwrap() < 60_000, "{lane}");
    assert!(
        all["lag"]["queued"].as_u64() >= lane["waiting"].as_u64(),
        "{}",
        all["lag"]
    );
    let line = |starts: &str| {
        status
            .lines()
            .find(|line| line.starts_with(starts))
            .unwrap_or(&status)
    };
    assert!(line("lease   triggers").contains(&first), "{status}");
    assert!(
        line("lane    demo/slow").contains("waits: the function runs as often"),
        "{status}"
    );
    assert!(line("lag ").contains(" queued, "), "{status}");

    // it dies, and the other one is named
    gateways.kill(led);
    eventually("the other one leads", MOVED, || {
        (leader(1 - led)? == ids[1 - led]).then_some(())
    });
    eventually("all of it is done", SOON * 2, || {
        let all = services(&gateways.http(1 - led)?);
        (all["lanes"] == json!([]) && all["lag"]["queued"] == 0 && all["lag"]["running"] == 0).then_some(())
    });
}

#[test]
fn a_function_whose_queue_is_full_is_said_and_messages_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let gateways = Gateways::new(dir.path(), &postgres, &nats);
    gateways.start(0);
    let _worker = WorkerProcess::start(&nats.url());
    let node = gateways.any();
    eventually("the gateway is ready", SOON, || {
        (node.get("/ready").status == 200).then_some(())
    });
    let request = json!({"function_name": "f", "source": "export const handler = () => 1", "public": true});
    let _ = node.deploy_with("demo", request).expect(201);
    // as many as may wait, for a time that does not come
    let _ = postgres.sql(
        "postgres",
        "INSERT INTO queue SELECT f.pid, f.fid, 9e15::bigint, decode(lpad(to_hex(n), 32, '0'), 'hex'), 0, 0, 0, false, NULL \
         FROM function f, generate_series(1, 10000) n WHERE f.name = 'f'",
    );
    let full = node.post("/api/v1/functions/demo/f?mode=async", &json!({}));
    assert_eq!(
        (full.status, &full.json()["code"]),
        (429, &json!("NF0304")),
        "{full:?}"
    );
    assert!(full.header("retry-after").is_some(), "{full:?}");
    // a message is safe where it is, and comes again
    let mut client = Client::connect(&nats);
    client.send(json!({"do": "subscribe", "subject": "function.result.>"}));
    let headers = json!({"Neofn-Mode": "async", "Nats-Msg-Id": "m1"});
    let taken = client.request("function.js.demo.f", "{}", headers);
    assert_eq!(taken["body"]["status"], "queued", "{taken}");
    let jobs = |all: &Value| named(all, "queues", "name", "jobs").cloned();
    let jobs = eventually("the message waits in the queue", SOON, || {
        let jobs = jobs(&services(&node))?;
        (jobs["oldest_ms"].as_u64()? > 1_500).then_some(jobs)
    });
    assert_eq!(
        (&jobs["waiting"], &jobs["taken"]),
        (&json!(0), &json!(1)),
        "{jobs}"
    );
    let called = node.post("/api/v1/functions/demo/f", &json!({}));
    assert_eq!(
        called.status, 200,
        "who waits is served beside a full queue: {called:?}"
    );
    let _ = postgres.sql("postgres", "DELETE FROM queue WHERE run_at = 9e15::bigint");
    let said = client.send(json!({"do": "next", "subject": "function.result.>", "timeout": 60}));
    assert_eq!(
        (&said["subject"], &said["body"]["status"]),
        (&json!("function.result.demo.f.m1"), &json!("succeeded")),
        "{said}"
    );
    let _ = node
        .post("/api/v1/functions/demo/f?mode=async", &json!({}))
        .expect(202);
}
