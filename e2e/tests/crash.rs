//! `kill -9` at random moments: no deployed version and no accepted invocation is lost, nothing is committed twice.

use neofn_testkit::{Http, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ROUNDS: u32 = 8;

/// Counts itself in ctx.kv under its own key and in a shared counter.
const COUNT: &str = "export async function handler(e, ctx) {
  const mine = await ctx.kv.increment('ran/' + e.id, 1);
  const all = await ctx.kv.increment('all', 1);
  return { mine, all };
}";
const READ: &str = "export async function handler(e, ctx) {
  const all = (await ctx.kv.get('all')) ?? 0;
  const counts = {}; let cursor;
  do {
    const page = await ctx.kv.list({ prefix: 'ran/', cursor, limit: 1000 });
    for (const entry of page.entries) counts[entry.key] = entry.value;
    cursor = page.cursor;
  } while (cursor);
  return { all, counts };
}";

struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[derive(Default)]
struct Acked {
    /// Accepted asynchronous invocations: our id and theirs.
    queued: Vec<(String, String)>,
    /// Idempotency keys of synchronous calls that were sent, whatever came back.
    keyed: Vec<String>,
    /// Newest version of `changing` that was answered.
    version: u64,
}

#[test]
fn nothing_is_lost_and_nothing_happens_twice() {
    let seed = std::env::var("NEOFN_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |d| u64::try_from(d.as_nanos() & 0xffff_ffff).unwrap_or(1))
                | 1
        });
    eprintln!("seed {seed} (NEOFN_SEED repeats it)");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let acked = Arc::new(Mutex::new(Acked::default()));

    let node = NodeProcess::start_in(&data, &[]);
    for (name, source) in [("count", COUNT), ("read", READ)] {
        let request = json!({"function_name": name, "source": source, "allow": {"kv": true}});
        let _ = node.http().deploy_with("demo", request).expect(201);
    }
    node.kill_hard();

    for round in 0..ROUNDS {
        one_life(
            &data,
            round,
            Duration::from_millis(100 + random.below(900)),
            &acked,
        );
    }

    let node = NodeProcess::start_in(&data, &[]);
    check(&node.http(), &acked.lock().unwrap());
}

/// Starts a node, works on it from several threads, kills it in the middle.
fn one_life(data: &Path, round: u32, life: Duration, acked: &Arc<Mutex<Acked>>) {
    let node = NodeProcess::start_in(data, &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (http, stop, acked) = (node.http(), Arc::clone(&stop), Arc::clone(acked));
            std::thread::spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    work(
                        &http,
                        worker,
                        &format!("{round}-{worker}-{n}"),
                        round * 1000 + n,
                        &acked,
                    );
                }
            })
        })
        .collect();
    // the moment of the crash is what this test varies
    std::thread::sleep(life);
    node.kill_hard();
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
}

fn work(http: &Http, worker: u32, id: &str, n: u32, acked: &Mutex<Acked>) {
    let event = json!({"id": id});
    match worker {
        0 => {
            let source = format!("export function handler() {{ return {n}; }}");
            let answer = http.deploy("demo", "changing", &source);
            if let 200 | 201 = answer.status {
                let version = answer.json()["function"]["version"].as_u64().unwrap();
                let mut acked = acked.lock().unwrap();
                acked.version = acked.version.max(version);
            }
        }
        1 => {
            acked.lock().unwrap().keyed.push(id.to_owned());
            let body = event.to_string();
            let _ = http.send(
                "POST",
                "/api/v1/functions/demo/count",
                body.as_bytes(),
                &[("idempotency-key", id)],
            );
        }
        _ => {
            let answer = http.post("/api/v1/functions/demo/count?mode=async", &event);
            if answer.status == 202 {
                let theirs = answer.json()["invocationId"].as_str().unwrap().to_owned();
                acked.lock().unwrap().queued.push((id.to_owned(), theirs));
            }
        }
    }
}

fn check(http: &Http, acked: &Acked) {
    assert!(
        acked.queued.len() > 20,
        "only {} accepted: the test did too little",
        acked.queued.len()
    );
    eprintln!(
        "{} queued, {} keyed, version {}",
        acked.queued.len(),
        acked.keyed.len(),
        acked.version
    );
    for (_, id) in &acked.queued {
        eventually("every accepted invocation ends", Duration::from_secs(60), || {
            let status = http.get(&format!("/api/v1/invocations/{id}")).expect(200).json()["status"].clone();
            assert!(status != "failed" && status != "dead", "{id}: {status}");
            (status == "succeeded").then_some(())
        });
    }
    // sending every keyed call again completes those that the crash cut off, and repeats none
    for id in &acked.keyed {
        let body = json!({"id": id}).to_string();
        let answer = eventually("a keyed call can be repeated", Duration::from_secs(30), || {
            let answer = http.send(
                "POST",
                "/api/v1/functions/demo/count",
                body.as_bytes(),
                &[("idempotency-key", id)],
            );
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(answer.json()["result"]["mine"], 1, "{answer:?}");
    }
    let state = http.invoke("demo", "read", &json!(null)).expect(200).json()["result"].clone();
    let counts = state["counts"].as_object().unwrap();
    for id in acked.queued.iter().map(|(id, _)| id).chain(&acked.keyed) {
        assert_eq!(
            counts.get(&format!("ran/{id}")),
            Some(&json!(1)),
            "{id} ran to its end not exactly once"
        );
    }
    assert!(
        counts.values().all(|n| n == 1),
        "something was committed twice: {counts:?}"
    );
    assert_eq!(state["all"].as_u64(), u64::try_from(counts.len()).ok());
    let live: Value = http.get("/api/v1/functions/demo/changing").expect(200).json();
    assert!(
        live["function"]["version"].as_u64().unwrap() >= acked.version,
        "{live} < {}",
        acked.version
    );
    let _ = http.invoke("demo", "changing", &json!(null)).expect(200);
}
