//! `kill -9` at any moment: what was answered is there, and nothing is there twice.
//!
//! The child is this very test binary; it prints a line after each answer that it got. The parent kills it at a
//! random moment (the seed is printed), opens the store and compares.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

use neofn_engine::port::{InvocationFilter, InvocationStore, KvStore, Status};
use neofn_registry::port::RegistryStore;
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_testkit::stores::support::*;
use neofn_types::{InvocationId, UnixMillis, Version};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DIR: &str = "NEOFN_CRASH_TEST_DIR";
const ROUNDS: u64 = 20;

fn open(dir: &Path) -> Store {
    Store::open(StoreOptions::new(dir, Arc::new(TestClock::default()))).unwrap()
}

/// One line, written whole: the parent may read it only after the answer came.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// What the child does until it is killed: admits, finishes with a counter, records with a counter, publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_works_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else {
        return; // run by name without a parent: nothing to do, the parent's test is below
    };
    let store = Arc::new(open(Path::new(&dir)));
    let f = key("crash", "f");
    deploy(&*store, &f).await;
    // ids must not repeat over the rounds
    IDS_SEED.store(
        u64::from(std::process::id()) << 32,
        std::sync::atomic::Ordering::SeqCst,
    );
    let mut tasks = Vec::new();
    for worker in 0..8 {
        let (store, f) = (Arc::clone(&store), f.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                match worker {
                    0..3 => {
                        let new = queued(&f, now());
                        let id = new.id;
                        store.admit(new).await.unwrap();
                        say(&format!("admit {id}"));
                    }
                    3..5 => {
                        for c in store
                            .claim(UnixMillis(now()), LEASE, 4, &Rooms::default())
                            .await
                            .unwrap()
                        {
                            let mut end = finish(c.id, c.fence, ok(), now());
                            end.kv = vec![add("finished", 1)];
                            store.finish(end).await.unwrap();
                            say(&format!("finish {}", c.id));
                        }
                    }
                    5..7 => {
                        let mut call = record(&f, now());
                        call.finish.kv = vec![add("recorded", 1)];
                        let id = call.new.id;
                        store.record(call).await.unwrap();
                        say(&format!("record {id}"));
                    }
                    _ => {
                        let bytes = bytes::Bytes::from(now().to_string().repeat(1000));
                        let digest = store.put_blob(bytes).await.unwrap();
                        let done = store
                            .publish(publish_of(&f, &digest.to_string(), now()))
                            .await
                            .unwrap();
                        say(&format!("publish {} {digest}", done.version.version));
                        tokio::task::yield_now().await;
                    }
                }
            }
        }));
    }
    let Some(failed) = tasks.pop() else { return };
    failed.await.unwrap(); // never comes
}

#[derive(Default)]
struct Answered {
    admitted: HashSet<InvocationId>,
    finished: HashSet<InvocationId>,
    recorded: HashSet<InvocationId>,
    published: Vec<(Version, neofn_types::Digest)>,
}

/// Runs the child for a while, kills it, and collects what it was answered.
fn round(dir: &Path, life: Duration, answered: &mut Answered) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_works_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let (first, started) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut all, mut first) = (Vec::new(), Some(first));
        for line in lines.lines() {
            let line = line.unwrap();
            // the harness's own words may stand before the first answer, on the same line
            if line.contains("admit ")
                && let Some(first) = first.take()
            {
                first.send(()).unwrap();
            }
            all.push(line);
        }
        all
    });
    // the moment is counted from the first answer, so that every round has work to lose
    started.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::sleep(life);
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("admit"), Some(id), None) => drop(answered.admitted.insert(id.parse().unwrap())),
            (Some("finish"), Some(id), None) => {
                assert!(
                    answered.finished.insert(id.parse().unwrap()),
                    "{id} was finished twice"
                );
            }
            (Some("record"), Some(id), None) => drop(answered.recorded.insert(id.parse().unwrap())),
            (Some("publish"), Some(n), Some(digest)) => {
                answered
                    .published
                    .push((Version(n.parse().unwrap()), digest.parse().unwrap()));
            }
            _ => {} // the test harness's own lines
        }
    }
}

/// All invocations of the function, in pages.
async fn everything(store: &Store) -> Vec<neofn_engine::port::InvocationRecord> {
    let mut all: Vec<neofn_engine::port::InvocationRecord> = Vec::new();
    loop {
        let filter = InvocationFilter {
            before: all.last().map(|r| r.id),
            limit: 1000,
            ..Default::default()
        };
        let page = store.invocations(&key("crash", "f"), filter).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn count(store: &Store, name: &str) -> usize {
    let project = key("crash", "f").project;
    match store.get(&project, name, UnixMillis(0)).await.unwrap() {
        Some(entry) => serde_json::from_slice(&entry.value).unwrap(),
        None => 0,
    }
}

async fn check(dir: &Path, answered: &Answered) {
    let store = open(dir);
    let all = everything(&store).await;
    let with = |wanted: Status| all.iter().filter(move |r| r.status == wanted);
    let present: HashSet<_> = all.iter().map(|r| r.id).collect();
    assert_eq!(present.len(), all.len());
    assert!(
        answered.admitted.is_subset(&present),
        "an accepted invocation is gone"
    );
    assert!(
        answered.recorded.is_subset(&present),
        "a recorded invocation is gone"
    );
    let ended: HashSet<_> = with(Status::Succeeded).map(|r| r.id).collect();
    assert!(answered.finished.is_subset(&ended), "a result is gone");
    assert_eq!(with(Status::Running).count(), 0, "a claim outlived its process");
    // each end counted its counter once: in the namespace, in the totals, in the function
    let (finished, recorded) = (count(&store, "finished").await, count(&store, "recorded").await);
    assert_eq!(finished + recorded, ended.len(), "a write was lost or doubled");
    assert!(finished >= answered.finished.len() && recorded >= answered.recorded.len());
    let totals = store.totals().await.unwrap();
    assert_eq!(usize::try_from(totals.succeeded).unwrap(), ended.len());
    assert_eq!(
        usize::try_from(totals.queued).unwrap(),
        with(Status::Queued).count()
    );
    let function = store.function(&key("crash", "f")).await.unwrap().unwrap();
    assert_eq!(function.invocation_count, totals.total);
    for (version, digest) in &answered.published {
        assert!(
            store.version(&function.key, *version).await.unwrap().is_some(),
            "a version is gone"
        );
        store.blob(*digest).await.unwrap();
    }
    store.close().await.unwrap();
    let conn = rusqlite::Connection::open(dir.join("neofn.db")).unwrap();
    let word: String = conn
        .query_row("PRAGMA integrity_check", [], |r| r.get(0))
        .unwrap();
    assert_eq!(word, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kill_9_and_nothing_is_doubled() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let seed = match std::env::var("NEOFN_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_nanos(),
        ),
    };
    println!("NEOFN_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut answered = Answered::default();
    let mut state = seed;
    for _ in 0..ROUNDS {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_micros((state >> 33) % 150_000);
        let path = dir.path().to_owned();
        answered = tokio::task::spawn_blocking(move || {
            round(&path, life, &mut answered);
            answered
        })
        .await
        .unwrap();
        check(dir.path(), &answered).await;
    }
    assert!(
        answered.finished.len() > 20 && answered.published.len() > 5,
        "the child did not work"
    );
    println!(
        "{} admitted, {} finished, {} recorded, {} published over {ROUNDS} kills",
        answered.admitted.len(),
        answered.finished.len(),
        answered.recorded.len(),
        answered.published.len()
    );
}
