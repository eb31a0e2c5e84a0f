//! `kill -9` of workers while calls run: what was accepted ends once, and who waits gets an answer.

use crate::{SOON, deploy, gateway, wait_for_workers};
use neofn_testkit::{NatsServer, WorkerProcess, eventually};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ASYNC: usize = 300;

#[test]
fn killed_workers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let mut workers = vec![
        WorkerProcess::start(&nats.url()),
        WorkerProcess::start(&nats.url()),
    ];
    wait_for_workers(&node, 2);
    // each run is counted by the commit that it belongs to: twice would show
    let source = "export async function handler(e, ctx) {
        let x = 0; for (let i = 0; i < 200000; i++) x += i % 7;
        await ctx.kv.put('ran-' + e.n, e.n, { ifRevision: null });
        await ctx.kv.increment('count', 1);
        return e.n;
    }";
    deploy(
        &node,
        "demo",
        "work",
        source,
        json!({"allow": {"kv": true}, "limits": {"concurrency": 16}}),
    );
    deploy(
        &node,
        "demo",
        "plain",
        "export const handler = (e) => { let x = 0; for (let i = 0; i < 50000; i++) x += i; return e.n }",
        json!({}),
    );

    let done = AtomicBool::new(false);
    let (sent, sync) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let http = node.http();
            let mut ids = Vec::new();
            for n in 0..ASYNC {
                let answer = http.post("/api/v1/functions/demo/work?mode=async", &json!({"n": n}));
                assert_eq!(answer.status, 202, "{}", answer.body);
                ids.push(answer.json()["invocationId"].as_str().unwrap().to_owned());
            }
            ids
        });
        let caller = scope.spawn(|| {
            let http = node.http();
            let (mut good, mut again) = (0, 0);
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                let answer = http.post("/api/v1/functions/demo/plain", &json!({"n": n}));
                match answer.status {
                    200 => {
                        assert_eq!(answer.json()["result"], n);
                        good += 1;
                    }
                    503 => {
                        let code = answer.json()["code"].clone();
                        assert!(
                            ["NF0209", "NF1602"].contains(&code.as_str().unwrap()),
                            "{}",
                            answer.body
                        );
                        again += 1;
                    }
                    _ => panic!("{}", answer.body),
                }
            }
            (good, again)
        });
        for n in 0..4 {
            std::thread::sleep(Duration::from_millis(1_500));
            // the other one goes on
            let killed = workers.remove(0);
            killed.kill_hard();
            workers.push(WorkerProcess::start(&nats.url()));
            assert!(workers.len() == 2, "round {n}");
        }
        let ids = sender.join().unwrap();
        eventually("all end", SOON * 4, || {
            let open = open(&node, "queued") + open(&node, "running");
            (open == 0).then_some(())
        });
        done.store(true, Ordering::Relaxed);
        (ids, caller.join().unwrap())
    });
    // a checker, not an eye: each accepted id ended well, with its own result, once
    let mut results = HashSet::new();
    for id in &sent {
        let end = node.http().get(&format!("/api/v1/invocations/{id}")).json();
        assert_eq!(end["status"], "succeeded", "{end}");
        assert!(results.insert(end["result"].as_u64().unwrap()), "twice: {end}");
    }
    assert_eq!(results.len(), ASYNC);
    deploy(
        &node,
        "demo",
        "count",
        "export const handler = (e, ctx) => ctx.kv.get('count')",
        json!({"allow": {"kv": true}}),
    );
    let count: Value = node
        .http()
        .post("/api/v1/functions/demo/count", &json!(null))
        .json();
    assert_eq!(count["result"], ASYNC, "{count}");
    let (good, again) = sync;
    assert!(
        good > 0,
        "no synchronous call got an answer; {again} were told to try again"
    );
    assert_eq!(node.terminate(), Some(0));
}

fn open(node: &neofn_testkit::NodeProcess, status: &str) -> usize {
    let path = format!("/api/v1/functions/demo/work/invocations?status={status}&limit=1");
    node.http().get(&path).json()["invocations"]
        .as_array()
        .map_or(0, Vec::len)
}
