//! Calls through real child processes: how many a second, and how long one takes. Prints; asserts nothing.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark talks to a person"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use neofn_runtime::port::{Layout, Runtime};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use support::{SOURCE, clock, job, pool, prepare};

const IN_FLIGHT: u32 = 32;
const CALLS: u32 = 200_000;

fn main() -> ExitCode {
    if let Some(code) = support::child_role() {
        return code;
    }
    // `cargo test --benches` only wants to see that it builds and starts
    if std::env::args().any(|a| a == "--test") {
        return ExitCode::SUCCESS;
    }
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    rt.block_on(run());
    ExitCode::SUCCESS
}

async fn run() {
    let clock = clock();
    let t = clock.monotonic();
    drop(pool(0).await);
    println!(
        "first start (engine compiled unless cached): {:?}",
        clock.monotonic() - t
    );
    let t = clock.monotonic();
    let pool = Arc::new(pool(0).await);
    println!("start: {:?}, tier {}", clock.monotonic() - t, pool.tier());
    let t = clock.monotonic();
    let artifact = prepare(&pool, SOURCE).await;
    println!(
        "first prepare: {:?}, artifact {} bytes",
        clock.monotonic() - t,
        artifact.bytes.len()
    );
    let t = clock.monotonic();
    prepare(&pool, SOURCE).await;
    println!("next prepare: {:?}", clock.monotonic() - t);

    let mut times = Vec::new();
    let mut cold = Vec::new();
    for _ in 0..20_000 {
        let done = pool.invoke(job(&artifact, r#"{"name":"Neo"}"#)).await;
        done.outcome.unwrap();
        match done.layout {
            Layout::R1cow => times.push(done.duration),
            _ => cold.push(done.duration),
        }
    }
    report("sequential, live instance", &mut times);
    report("sequential, pooled instance", &mut cold);

    for round in 1..=3 {
        let t = clock.monotonic();
        let cpu = cpu_of(&pool.children());
        let own = cpu_of(&[std::process::id()]);
        let mut tasks = Vec::new();
        for _ in 0..IN_FLIGHT {
            let (pool, artifact) = (Arc::clone(&pool), Arc::clone(&artifact));
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..CALLS / IN_FLIGHT {
                    let done = pool.invoke(job(&artifact, r#"{"name":"Neo"}"#)).await;
                    done.outcome.unwrap();
                    times.push(done.duration);
                }
                times
            }));
        }
        let mut times = Vec::new();
        for t in tasks {
            times.append(&mut t.await.unwrap());
        }
        let took = clock.monotonic() - t;
        let per = |ticks: u64| f64::from(u32::try_from(ticks).unwrap_or(0)) * 10_000.0 / f64::from(CALLS);
        println!(
            "round {round}: {IN_FLIGHT} in flight: {:.0} calls/s; CPU a call: {:.1} us in children, {:.1} us in the node",
            f64::from(CALLS) / took.as_secs_f64(),
            per(cpu_of(&pool.children()) - cpu),
            per(cpu_of(&[std::process::id()]) - own),
        );
        report("  latency", &mut times);
    }
    println!("{:?}", pool.status());
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    println!(
        "{what}: {} calls, p50 {:?}, p99 {:?}, p99.9 {:?}",
        times.len(),
        at(500),
        at(990),
        at(999)
    );
}

/// Clock ticks (10 ms) that processes and their children have used.
fn cpu_of(pids: &[u32]) -> u64 {
    let one = |pid: &str| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let field = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        field(11) + field(12)
    };
    pids.iter()
        .map(|pid| {
            let mut sum = one(&pid.to_string());
            // the process behind a shim; only of the children's, the node's own are counted by themselves
            if *pid != std::process::id() {
                let of =
                    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
                sum += of.split_ascii_whitespace().map(one).sum::<u64>();
            }
            sum
        })
        .sum()
}
