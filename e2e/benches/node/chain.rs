//! Figures about following a chain: catching up, and how soon a block's invocation begins.

use super::{heading, median, row};
use neofn_testkit::{Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const IGNORE: &str = "export function handler(event) { return event.id; }";
/// Says when it began.
const NOW: &str =
    "export function handler(event) { return { height: event.data.block.height, at: Date.now() }; }";
/// Blocks to catch up with: `NEOFN_BENCH_BLOCKS`.
const BLOCKS: u64 = 10_000;
const TRIGGERS: usize = 100;
const NOTICES: u64 = 100;

pub fn chain() {
    catch_up();
    notice();
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn up(data: &Path, neo: &Neo) -> NodeProcess {
    NodeProcess::start_in(data, &["--chain", &neo.rpc(), "--log", "warn"])
}

fn next(node: &NodeProcess) -> u64 {
    let chain = node.http().get("/api/v1/chain").expect(200).json();
    chain["next"].as_u64().unwrap_or(0)
}

/// A node that was away while blocks were made: from its start to the last of them.
fn catch_up() {
    let blocks = setting("NEOFN_BENCH_BLOCKS", BLOCKS);
    // as fast as the chain's own node makes them
    let neo = Neo::start_with(neofn_testkit::Keep::InMemory, 10);
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path(), &neo);
    for n in 0..TRIGGERS / 10 {
        let on: Vec<Value> = (0..10)
            .map(|m| {
                json!({"name": format!("t{m}"), "contract": "GAS", "event": "Transfer",
                "where": format!("amount == {} and to == '{}'", n * 10 + m, neo.accounts()[1].address)})
            })
            .collect();
        let request = json!({"function_name": format!("f{n}"), "source": IGNORE, "on": {"notification": on}});
        let _ = node.http().deploy_with("demo", request).expect(201);
    }
    let begun = next(&node);
    assert_eq!(node.terminate(), Some(0));
    let target = begun + blocks;
    eventually("the blocks are made", Duration::from_secs(3_600), || {
        std::thread::sleep(Duration::from_millis(500));
        (neo.height() >= target).then_some(())
    });
    let node = up(dir.path(), &neo);
    let started = Instant::now();
    let from = eventually("it follows", Duration::from_secs(60), || {
        Some(next(&node)).filter(|n| *n > 0)
    });
    eventually("it has caught up", Duration::from_secs(600), || {
        (next(&node) >= target).then_some(())
    });
    let took = started.elapsed().as_secs_f64();
    let read = target.saturating_sub(from);
    heading("Following a chain");
    row(
        &format!("catch-up on {read} blocks, {TRIGGERS} triggers"),
        &format!("{:.0} blocks/s", read as f64 / took),
        ">= 2 000 blocks/s",
    );
}

fn now_ms() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
        * 1e3
}

/// From the moment that the chain's node has a block to the beginning of the invocation that it causes.
fn notice() {
    let neo = Neo::start_with(neofn_testkit::Keep::InMemory, 200);
    let dir = tempfile::tempdir().unwrap();
    let node = up(dir.path(), &neo);
    let request = json!({"function_name": "now", "source": NOW, "on": {"block": {"every": 1}}});
    let _ = node.http().deploy_with("demo", request).expect(201);
    let stop = AtomicBool::new(false);
    let first = neo.height() + 2;
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut seen, mut last) = (Vec::new(), neo.height());
            while !stop.load(Ordering::Relaxed) {
                let height = neo.height();
                if height > last {
                    seen.push((height, now_ms()));
                    last = height;
                }
            }
            seen
        });
        eventually("the blocks come", Duration::from_secs(120), || {
            (next(&node) > first + NOTICES).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    let list = node
        .http()
        .get("/api/v1/functions/demo/now/invocations?limit=1000&status=succeeded")
        .expect(200)
        .json();
    let runs = list["invocations"].as_array().unwrap();
    let mut latency: Vec<f64> = seen
        .iter()
        .filter(|(height, _)| *height >= first)
        .filter_map(|(height, at)| {
            let run = runs
                .iter()
                .find(|r| r["result"]["height"].as_u64() == Some(*height))?;
            // the clock of a run counts whole milliseconds
            Some((run["result"]["at"].as_f64()? - at).max(0.0))
        })
        .collect();
    latency.sort_by(f64::total_cmp);
    let p99 = latency.get(latency.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    row(
        &format!(
            "from a new block to its invocation, {} blocks, p50",
            latency.len()
        ),
        &format!("{:.1} ms", median(&latency)),
        "< 20 ms",
    );
    row("the same, p99", &format!("{p99:.1} ms"), "");
}
