//! What workers over NATS cost a call, beside the same call in the node itself; what they get done, and what they take
//! while there is nothing to do.

use crate::{heading, peers, row};
use neofn_testkit::{NatsServer, NodeProcess, RawNats, WorkerProcess, eventually};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const CALLS: usize = 1_000;
const ROUNDS: usize = 5;
const WITHIN: Duration = Duration::from_secs(30);

/// How long asynchronous calls are handed in.
const SECONDS: u32 = 5;
/// Of how many callers, each of whom waits for his answer: a commit takes along who waits for it.
const CONNECTIONS: u32 = 256;
const FUNCTIONS: u32 = 32;
/// How often one worker and two are measured.
const TURNS: u32 = 5;
/// How long nothing is done.
const IDLE: Duration = Duration::from_secs(20);

/// A node without sandboxes of its own, and workers.
struct Cluster {
    workers: Vec<WorkerProcess>,
    node: NodeProcess,
    nats: NatsServer,
}

impl Cluster {
    fn start(dir: &Path, workers: usize) -> Self {
        let nats = NatsServer::start();
        let config = dir.join("cluster.toml");
        let text = format!("[nats]\nurl = \"{}\"\nworkers = \"remote\"\n", nats.url());
        std::fs::write(&config, text).expect("write the configuration");
        let node = NodeProcess::start_in(
            &dir.join("remote"),
            &["--config", &config.display().to_string(), "--log", "warn"],
        );
        let workers: Vec<_> = (0..workers).map(|_| WorkerProcess::start(&nats.url())).collect();
        eventually("the workers are known", WITHIN, || {
            (node.http().get("/ready").status == 200).then_some(())
        });
        Self { workers, node, nats }
    }
}

pub fn cluster() {
    heading("Workers over NATS, one server of one thread, file storage, all on the same cores");
    let dir = tempfile::tempdir().expect("a directory");
    synchronous(&dir.path().join("sync"));
    // by turns, as below; the disk alone makes one run half as fast again as the next
    let mut all: [Vec<Done>; 2] = Default::default();
    for turn in 0..TURNS {
        for (workers, done) in (1..).zip(&mut all) {
            done.push(asynchronous(
                &dir.path().join(format!("{turn}-{workers}")),
                workers,
            ));
        }
    }
    let rates = all.each_ref().map(|done| median(done, |done| done.rate));
    for (name, done) in ["one worker", "two workers"].iter().zip(&all) {
        let accepted = median(done, |done| done.accepted);
        let refused: f64 = done.iter().map(|done| done.refused).sum();
        row(
            &format!("asynchronous calls of {CONNECTIONS} connections accepted, {name}"),
            &format!("{accepted:.0}/s, {refused:.0} refused"),
            ">= 10 000/s",
        );
        let meanwhile = median(done, |done| done.meanwhile);
        let rate = median(done, |done| done.rate);
        row(
            "done meanwhile, and to the last of them",
            &format!("{meanwhile:.0}/s, {rate:.0}/s"),
            "",
        );
    }
    let [one, two] = rates;
    row(
        &format!("two workers against one, median of {TURNS}"),
        &format!("{:.2} x", two / one),
        ">= 1 x",
    );
    idle(&dir.path().join("idle"));
}

/// Calls a second of one run.
struct Done {
    accepted: f64,
    refused: f64,
    /// While more came in.
    meanwhile: f64,
    /// To the last of them.
    rate: f64,
}

fn median(done: &[Done], of: fn(&Done) -> f64) -> f64 {
    let mut all: Vec<f64> = done.iter().map(of).collect();
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Calls done a second, from the first that is handed in to the last that has ended.
fn asynchronous(dir: &Path, workers: usize) -> Done {
    std::fs::create_dir_all(dir).expect("a directory");
    let cluster = Cluster::start(dir, workers);
    let http = cluster.node.http();
    for n in 0..FUNCTIONS {
        let request = json!({"function_name": format!("bench{n}"), "source": "export function handler() {}", "public": true});
        let _ = http.deploy_with("demo", request).expect(201);
        let _ = http.invoke("demo", &format!("bench{n}"), &json!({})).expect(200);
    }
    let total = || {
        http.get("/health").expect(200).json()["totalInvocations"]
            .as_f64()
            .unwrap_or(0.0)
    };
    let before = total();
    let begun = Instant::now();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-s"])
        .arg(peers().join("async.lua"))
        .arg(cluster.node.url())
        .output()
        .expect("wrk");
    let meanwhile = total() - before;
    let handed_in = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        text.lines()
            .find_map(|l| l.trim().strip_prefix(name))
            .and_then(|t| t.trim().parse::<f64>().ok())
    };
    let refused = number("Non-2xx or 3xx responses:").unwrap_or(0.0);
    let accepted = number("Requests/sec:").unwrap_or(0.0) * f64::from(SECONDS) - refused;
    // wrk leaves without the last answers, so what was accepted is known to a few: the end is when nothing moves
    let mut last = (total(), Instant::now());
    let ended = eventually("all is done", Duration::from_secs(300), || {
        std::thread::sleep(Duration::from_millis(100));
        let now = total();
        if now > last.0 {
            last = (now, Instant::now());
        }
        (now - before >= accepted - f64::from(CONNECTIONS) && last.1.elapsed() > Duration::from_secs(1))
            .then_some(last.1)
    });
    let rate = (last.0 - before) / ended.duration_since(begun).as_secs_f64();
    Done {
        accepted: accepted / f64::from(SECONDS),
        refused,
        meanwhile: meanwhile / handed_in.as_secs_f64(),
        rate,
    }
}

/// Share of one core that each process takes while nothing is asked.
fn idle(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    let cluster = Cluster::start(dir, 2);
    let http = cluster.node.http();
    assert_eq!(
        http.deploy("demo", "hello", "export const handler = () => 1")
            .status,
        201
    );
    once(&cluster.node, 10);
    let mut processes = vec![
        ("gateway", cluster.node.pid()),
        ("NATS server", cluster.nats.pid(0)),
    ];
    for worker in &cluster.workers {
        processes.push(("worker", worker.pid()));
    }
    std::thread::sleep(Duration::from_secs(3));
    let before: Vec<f64> = processes.iter().map(|(_, pid)| cpu_seconds(*pid)).collect();
    std::thread::sleep(IDLE);
    for ((name, pid), before) in processes.iter().zip(before) {
        let share = (cpu_seconds(*pid) - before) / IDLE.as_secs_f64() * 100.0;
        row(
            &format!("idle: {name}"),
            &format!("{share:.2} % of a core"),
            "< 1 %",
        );
    }
}

/// What a process and its children took, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    // ticks are hundredths of a second on every Linux that Rust runs on
    let pids = neofn_testkit::descendants(pid).into_iter().chain([pid]);
    pids.filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / 100.0)
    })
    .sum()
}

fn synchronous(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    let cluster = Cluster::start(dir, 1);
    let remote = &cluster.node;
    let embedded = NodeProcess::start();
    let nodes = [&embedded, remote];
    for node in nodes {
        let source = "export const handler = (e) => ({ hello: e.name })";
        assert_eq!(node.http().deploy("demo", "hello", source).status, 201);
        once(node, 200);
    }
    // by turns, so that what else the machine does meets all of them
    let mut all = [Vec::new(), Vec::new()];
    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        for (node, times) in nodes.iter().zip(&mut all) {
            times.extend(once(node, CALLS / ROUNDS));
        }
        alone.extend(request_and_answer(&cluster.nats.url(), CALLS / ROUNDS));
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
    row(
        "a request and its answer over that server, without neofn, p50",
        &micros(p50(&mut alone)),
        "",
    );
}

/// What the server itself takes to carry as much to another client and back: nobody who calls over NATS adds less.
fn request_and_answer(url: &str, times: usize) -> Vec<Duration> {
    let content = [b'x'; 400];
    let mut there = RawNats::connect(url);
    there.subscribe("bench.request");
    let echo = std::thread::spawn(move || {
        for _ in 0..times {
            let reply = there.hear().expect("a request");
            there.send(&reply, "", &content);
        }
    });
    let mut here = RawNats::connect(url);
    here.subscribe("bench.answer");
    let took = (0..times)
        .map(|_| {
            let begun = Instant::now();
            here.send("bench.request", "bench.answer", &content);
            here.hear().expect("an answer");
            begun.elapsed()
        })
        .collect();
    echo.join().expect("the other side ends");
    took
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
