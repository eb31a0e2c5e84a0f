//! How fast the store is, as a table: `cargo bench -p neofn-store-sqlite`. Every figure is durable (fsync before
//! the answer). `STORE_BENCH_MS` sets how long each line runs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a measurement is the composition root of itself"
)]

use neofn_engine::port::InvocationStore;
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_testkit::stores::support::{LEASE, Rooms, TestClock, deploy, finish, key, ok, queued, record};
use neofn_types::{FunctionKey, UnixMillis};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Bench {
    store: Arc<Store>,
    functions: Vec<FunctionKey>,
    time: Duration,
}

impl Bench {
    /// `callers` tasks repeat `work` until the time is up; answers operations and the p99 latency.
    async fn run<F, W>(&self, name: &str, callers: u64, work: W)
    where
        W: Fn(Arc<Store>, FunctionKey, u64) -> F + Copy + Send + 'static,
        F: Future<Output = u64> + Send,
    {
        let (start, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let cpu = writer_cpu();
        let mut tasks = Vec::new();
        for caller in 0..callers {
            let (store, count, end) = (Arc::clone(&self.store), Arc::clone(&count), start + self.time);
            let functions = self.functions.clone();
            tasks.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut n = caller;
                while Instant::now() < end {
                    let function = functions[usize::try_from(n).unwrap() % functions.len()].clone();
                    let before = Instant::now();
                    let done = work(Arc::clone(&store), function, n).await;
                    latencies.push(before.elapsed());
                    count.fetch_add(done, Ordering::Relaxed);
                    n += callers;
                }
                latencies
            }));
        }
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        let at = |part: usize| latencies[(latencies.len() * part / 1000).min(latencies.len() - 1)];
        let count = count.load(Ordering::Relaxed) as f64;
        let rate = count / elapsed.as_secs_f64();
        println!(
            "{name:<40} {callers:>5} {rate:>10.0} {:>9.1} {:>9.2} {:>9.2}",
            (writer_cpu() - cpu).as_secs_f64() * 1e6 / count,
            at(500).as_secs_f64() * 1e3,
            at(990).as_secs_f64() * 1e3
        );
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let time = std::env::var("STORE_BENCH_MS").map_or(2000, |ms| ms.parse().unwrap());
    println!(
        "{:<40} {:>5} {:>10} {:>9} {:>9} {:>9}",
        "operation", "calls", "per s", "writer us", "p50 ms", "p99 ms"
    );
    for (label, count) in [("1 function", 1), ("100 functions", 100)] {
        for callers in [1, 64, 512] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(StoreOptions::new(dir.path(), Arc::new(TestClock::default()))).unwrap();
            let functions: Vec<_> = (0..count).map(|n| key("bench", &format!("f{n}"))).collect();
            for function in &functions {
                deploy(&store, function).await;
            }
            let bench = Bench {
                store: Arc::new(store),
                functions,
                time: Duration::from_millis(time),
            };
            bench
                .run(&format!("admit, {label}"), callers, |store, f, n| async move {
                    store
                        .admit(queued(&f, i64::try_from(n / 16).unwrap()))
                        .await
                        .unwrap();
                    1
                })
                .await;
            let drained = drain(&bench).await;
            assert!(drained > 0);
            bench
                .run(&format!("record, {label}"), callers, |store, f, n| async move {
                    store
                        .record(record(&f, i64::try_from(n / 16).unwrap()))
                        .await
                        .unwrap();
                    1
                })
                .await;
            bench
                .run(
                    &format!("admit + claim + finish, {label}"),
                    callers,
                    |store, f, n| async move {
                        store
                            .admit(queued(&f, i64::try_from(n / 16).unwrap()))
                            .await
                            .unwrap();
                        let claims = store
                            .claim(UnixMillis(i64::MAX), LEASE, 1, &Rooms::default())
                            .await
                            .unwrap();
                        for claim in &claims {
                            store
                                .finish(finish(claim.id, claim.fence, ok(), 5))
                                .await
                                .unwrap();
                        }
                        u64::try_from(claims.len()).unwrap()
                    },
                )
                .await;
            bench.store.close().await.unwrap();
        }
    }
}

/// Claims and finishes all that waits, 64 at a time, as an engine under load would.
async fn drain(bench: &Bench) -> u64 {
    let (start, cpu, mut count) = (Instant::now(), writer_cpu(), 0);
    loop {
        let claims = bench
            .store
            .claim(UnixMillis(i64::MAX), LEASE, 64, &Rooms::default())
            .await
            .unwrap();
        if claims.is_empty() {
            break;
        }
        let ends: Vec<_> = claims
            .into_iter()
            .map(|claim| {
                let store = Arc::clone(&bench.store);
                tokio::spawn(async move {
                    store
                        .finish(finish(claim.id, claim.fence, ok(), 5))
                        .await
                        .unwrap()
                })
            })
            .collect();
        for end in ends {
            end.await.unwrap();
            count += 1;
        }
    }
    let count_real = f64::from(u32::try_from(count).unwrap());
    let rate = count_real / start.elapsed().as_secs_f64();
    let writer = (writer_cpu() - cpu).as_secs_f64() * 1e6 / count_real;
    println!(
        "{:<40} {:>5} {rate:>10.0} {writer:>9.1}",
        "  drain: claim 64, finish 64 at once", ""
    );
    count
}

/// Processor time of the writer thread, which does not depend on what else the machine does; from procfs, in
/// clock ticks of 10 ms.
fn writer_cpu() -> Duration {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.trim() != "store-writer" {
            continue;
        }
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        ticks += fields
            .iter()
            .skip(11)
            .take(2)
            .map(|f| f.parse::<u64>().unwrap())
            .sum::<u64>();
    }
    Duration::from_millis(ticks * 10)
}
