//! How many transfers a second the ledger takes, batched and durable (fsync before the answer):
//! `cargo bench -p neofn-store-sqlite --bench ledger`. `LEDGER_BENCH_MS` sets how long each line runs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a measurement is the composition root of itself"
)]

use neofn_gas::ledger::{Account, Detail, Entry, Hold, Purpose, Transfer, TransferId};
use neofn_gas::port::LedgerStore as _;
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_types::{Clock, Datoshi, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What must be reached, transfers a second.
const GOAL: u64 = 20_000;
const PROJECTS: u64 = 100;

struct Real;
impl Clock for Real {
    fn now(&self) -> UnixMillis {
        UnixMillis(i64::try_from(self.monotonic().as_millis()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }
}

fn id(what: &str, n: u64) -> TransferId {
    TransferId::of(what, &[&n.to_be_bytes()])
}
fn project(n: u64) -> Account {
    Account::Project(format!("p{}", n % PROJECTS).parse().unwrap())
}
fn detail(n: u64) -> Detail {
    Detail {
        function: Some("guard".parse().unwrap()),
        invocation: Some(neofn_types::InvocationId::from_bytes(id("invocation", n).0)),
        units: Some(12_345),
        price: Some(100_000),
        ..Detail::default()
    }
}
fn transfer(n: u64) -> Entry {
    Entry::Transfer(Transfer {
        id: id("t", n),
        purpose: Purpose::Funding,
        debit: project(n),
        credit: Account::Fees,
        amount: Datoshi(1),
        at: UnixMillis(1),
        detail: detail(n),
    })
}
/// A charge, from the lease of its project.
fn charge(n: u64) -> Entry {
    Entry::Post {
        id: id("c", n),
        hold: id("lease", n % PROJECTS),
        amount: Datoshi(1),
        purpose: Purpose::Charge,
        at: UnixMillis(1),
        detail: detail(n),
    }
}
fn lease(n: u64) -> Entry {
    Entry::Hold(Hold {
        id: id("lease", n),
        purpose: Purpose::Lease,
        debit: project(n),
        credit: Account::Fees,
        amount: Datoshi(1 << 40),
        at_least: Datoshi(1 << 40),
        at: UnixMillis(1),
        detail: Detail::default(),
    })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let time = std::env::var("LEDGER_BENCH_MS").map_or(3_000, |ms| ms.parse().unwrap());
    println!(
        "{:<28} {:>7} {:>7} {:>12}",
        "entries", "callers", "batch", "per s"
    );
    let mut best = 0;
    for (label, entry) in [
        ("transfer", transfer as fn(u64) -> Entry),
        ("charge from a lease", charge),
    ] {
        for (callers, batch) in [(1, 1), (64, 1), (16, 64), (4, 512)] {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(StoreOptions::new(dir.path(), Arc::new(Real))).unwrap());
            let mut first = Vec::new();
            for n in 0..PROJECTS {
                first.push(Entry::Transfer(Transfer {
                    id: id("in", n),
                    purpose: Purpose::Deposit,
                    debit: Account::Treasury,
                    credit: project(n),
                    amount: Datoshi(1 << 42),
                    at: UnixMillis(1),
                    detail: Detail::default(),
                }));
                first.push(lease(n));
            }
            for answer in store.write(first).await.unwrap() {
                answer.unwrap();
            }
            let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
            let end = start + Duration::from_millis(time);
            let mut tasks = Vec::new();
            for _ in 0..callers {
                let (store, next) = (Arc::clone(&store), Arc::clone(&next));
                tasks.push(tokio::spawn(async move {
                    while Instant::now() < end {
                        let n = next.fetch_add(batch, Ordering::Relaxed);
                        let entries = (n..n + batch).map(entry).collect();
                        for answer in store.write(entries).await.unwrap() {
                            answer.unwrap();
                        }
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            let elapsed = start.elapsed().as_millis().max(1);
            let rate = u64::try_from(u128::from(next.load(Ordering::Relaxed)) * 1_000 / elapsed).unwrap();
            best = best.max(if batch > 1 { rate } else { 0 });
            println!("{label:<28} {callers:>7} {batch:>7} {rate:>12}");
            assert!(store.totals().await.unwrap().sound());
            store.close().await.unwrap();
        }
    }
    println!("batched, at best: {best} a second; the goal is {GOAL}");
    assert!(best >= GOAL, "the goal is missed");
}
