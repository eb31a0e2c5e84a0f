//! 100 000 operations on few accounts, many at once, the process killed at arbitrary moments.

use super::{Dice, block_on, hold, id, open, post, project, transfer};
use neofn_gas::ledger::{Account, Entry, Refused, Written};
use neofn_gas::port::LedgerStore as _;
use neofn_types::{Datoshi, UnixMillis};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const ROLE: &str = "__random";
const OPERATIONS: u64 = 100_000;
const PROJECTS: u64 = 12;
const TASKS: u64 = 32;
/// Operations that one task hands over at once.
const BATCH: u64 = 16;
const KILLS: u64 = 20;
const KILLS_MIN: u64 = 10;

/// Operation `n`: a matter of `n` alone. Holds have names below `n`, so that parts find holds of other tasks and of
/// earlier processes.
fn operation(n: u64) -> Entry {
    let mut dice = Dice(n);
    let some = |dice: &mut Dice| project(dice.roll(PROJECTS));
    let amount = i64::try_from(1 + dice.roll(500)).unwrap();
    let earlier = |dice: &mut Dice| id("hold", n - dice.roll(n.min(40) + 1));
    match dice.roll(10) {
        0 => transfer(id("t", n), Account::Treasury, some(&mut dice), amount * 40),
        1 => transfer(id("t", n), some(&mut dice), Account::Transit, amount),
        2 => transfer(id("t", n), some(&mut dice), some(&mut dice), amount),
        3 | 4 => hold(id("hold", n), some(&mut dice), amount, 1 + amount / 2),
        5..=7 => post(id("post", n), earlier(&mut dice), amount / 3 + 1),
        8 => Entry::Release {
            id: id("release", n),
            hold: earlier(&mut dice),
            amount: Datoshi(amount / 3 + 1),
            at: UnixMillis(1),
        },
        _ => Entry::Void {
            hold: earlier(&mut dice),
            at: UnixMillis(1),
        },
    }
}

/// Does operations from a number on, and writes down how far every task has come.
pub fn child(dir: &Path, from: &str) {
    let from: u64 = from.parse().unwrap();
    let next = Arc::new(AtomicU64::new(from));
    block_on(async {
        let store = open(dir);
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let (store, next, dir) = (Arc::clone(&store), Arc::clone(&next), dir.to_owned());
            tasks.push(tokio::spawn(async move {
                loop {
                    let first = next.fetch_add(BATCH, Ordering::SeqCst);
                    if first >= OPERATIONS {
                        return;
                    }
                    let entries = (first..first + BATCH).map(operation).collect();
                    let answers = store.write(entries).await.unwrap();
                    assert_eq!(answers.len() as u64, BATCH);
                    // the oldest batch that may be under way is at most so far back
                    if first % (BATCH * 8) == 0 {
                        let safe = first.saturating_sub(TASKS * BATCH);
                        std::fs::write(dir.join(format!("progress{task}")), safe.to_string()).unwrap();
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        store.close().await.unwrap();
        std::fs::write(dir.join("done"), "").unwrap();
    });
}

fn progress(dir: &Path) -> u64 {
    let read = |task| std::fs::read_to_string(dir.join(format!("progress{task}"))).ok();
    (0..TASKS)
        .filter_map(read)
        .filter_map(|text| text.parse().ok())
        .max()
        .unwrap_or(0)
}

pub fn random_operations_through_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(u64::from(std::process::id()));
    eprintln!("seed {}", dice.0);
    let mut kills = 0;
    let deadline = Instant::now() + Duration::from_secs(500);
    while !dir.path().join("done").exists() {
        assert!(Instant::now() < deadline, "too slow");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(ROLE)
            .arg(dir.path())
            .arg(progress(dir.path()).to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // not to wait for anything: the moment is what is drawn
        let end = Instant::now() + Duration::from_millis(30 + dice.roll(300));
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if kills < KILLS && Instant::now() > end {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        match ended {
            Some(status) => assert!(status.success(), "{status}"),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
        sound(dir.path());
    }
    eprintln!("{kills} kills");
    assert!(
        kills >= KILLS_MIN,
        "killed {kills} times: the machine is too fast for the test"
    );
    nothing_moves_twice(dir.path());
}

fn sound(dir: &Path) {
    block_on(async {
        let store = open(dir);
        let totals = store.totals().await.unwrap();
        assert!(totals.sound(), "{totals:?}");
        store.close().await.unwrap();
    });
}

/// Everything once more: what was written says so and changes nothing; what is counted from outside agrees.
fn nothing_moves_twice(dir: &Path) {
    block_on(async {
        let store = open(dir);
        let mut moved: HashMap<Account, i64> = HashMap::new();
        let mut written = 0u64;
        for n in 0..OPERATIONS {
            let entry = operation(n);
            let transfer = match &entry {
                Entry::Transfer(t) => t.id,
                Entry::Post { id, .. } => *id,
                _ => continue,
            };
            let Some((debit, line)) = store.transfer(transfer).await.unwrap() else {
                continue;
            };
            *moved.entry(debit).or_default() += line.amount.0;
            *moved.entry(line.other).or_default() -= line.amount.0;
            written += 1;
            let again = store.write(vec![entry]).await.unwrap();
            assert!(matches!(again[..], [Ok(Written::Before(_))]), "{n}: {again:?}");
        }
        let totals = store.totals().await.unwrap();
        assert!(totals.sound(), "{totals:?}");
        assert_eq!(
            totals.transfers, written,
            "a transfer that no operation asked for"
        );
        assert!(written > OPERATIONS / 5, "hardly anything was written: {written}");
        for row in store.accounts(None, 100).await.unwrap() {
            let expected = moved.get(&row.account).copied().unwrap_or(0);
            assert_eq!(row.state.balance.0, expected, "{}", row.account);
        }
        // another amount under a known name is refused
        let first = (0..).map(operation).find_map(|e| match e {
            Entry::Transfer(t) if t.debit == Account::Treasury => Some(t),
            _ => None,
        });
        let mut other = first.unwrap();
        other.amount = Datoshi(other.amount.0 + 1);
        let refused = store.write(vec![Entry::Transfer(other.clone())]).await.unwrap();
        assert_eq!(refused, [Err(Refused::Mismatch(other.id))]);
        store.close().await.unwrap();
    });
}
