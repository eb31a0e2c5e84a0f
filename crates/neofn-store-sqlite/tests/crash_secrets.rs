//! `kill -9` while secrets are set and keys are replaced: what was answered opens, and nothing is under a lost key.
//!
//! The child is this very test binary; it prints a line after each answer that it got.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

use neofn_secrets::port::SecretStore;
use neofn_secrets::{Key, RootSource, SecretValue, SetSecret, Settings, Vault, VaultLimits, Which};
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_testkit::stores::support::TestClock;
use neofn_types::{Code, Entropy, ProjectName, SecretName};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "NEOFN_CRASH_SECRETS_DIR";
const ROOT: &str = "NEOFN_CRASH_SECRETS_ROOT";
const ROUNDS: u64 = 12;

struct Real;
impl Entropy for Real {
    fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).unwrap();
    }
}

fn open(dir: &Path) -> (Arc<Store>, Arc<Vault>) {
    let clock = Arc::new(TestClock::default());
    let store = Arc::new(Store::open(StoreOptions::new(dir, clock.clone())).unwrap());
    let vault = Vault::new(store.clone(), clock, Arc::new(Real), VaultLimits::default());
    (store, Arc::new(vault))
}
fn root(n: u8) -> RootSource {
    RootSource::Key(Key::new([n; 32]))
}
fn project() -> ProjectName {
    "crash".parse().unwrap()
}
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_works_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else {
        return; // run by name without a parent: nothing to do, the parent's test is below
    };
    let mut n: u8 = std::env::var(ROOT).unwrap().parse().unwrap();
    let (_store, vault) = open(Path::new(&dir));
    vault.unseal(&root(n)).await.unwrap();
    for worker in 0..3 {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move {
            let name: SecretName = format!("S{worker}").parse().unwrap();
            for count in 0u64.. {
                let text = format!("value-{worker}-{}-{count}", std::process::id());
                let set = SetSecret {
                    value: SecretValue::new(text.clone()).unwrap(),
                    expected: None,
                    by: "crash".to_owned(),
                    settings: Settings::default(),
                };
                match vault.set(&project(), &name, set).await {
                    Ok(record) => say(&format!("set {name} {} {text}", record.latest)),
                    // the root was replaced between sealing the value and storing it
                    Err(e) => assert!(matches!(e.code, Code::SecretsSealed | Code::SecretChanged), "{e}"),
                }
            }
        });
    }
    loop {
        vault.rotate_project_key(&project()).await.unwrap();
        say("key");
        n = n.wrapping_add(1);
        vault.rotate_root(&root(n)).await.unwrap();
        say(&format!("root {n}"));
    }
}

#[derive(Default)]
struct Answered {
    root: u8,
    /// The last that was answered of each secret.
    values: BTreeMap<SecretName, (u32, String)>,
}

fn round(dir: &Path, life: Duration, answered: &mut Answered) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_works_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR, dir)
        .env(ROOT, answered.root.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let (first, started) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        for line in lines.lines() {
            let line = line.unwrap();
            if line.contains("set ") {
                let _ = first.send(());
            }
            all.push(line);
        }
        all
    });
    started.recv_timeout(Duration::from_secs(60)).unwrap();
    // the moment of the kill is what the test is about, not a wait for anything
    std::thread::sleep(life);
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(at) = words.iter().position(|w| *w == "set") {
            let name = words[at + 1].parse().unwrap();
            answered
                .values
                .insert(name, (words[at + 2].parse().unwrap(), words[at + 3].to_owned()));
        } else if words[0] == "root" {
            answered.root = words[1].parse().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_no_answered_value_and_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut answered = Answered {
        root: 1,
        ..Answered::default()
    };
    {
        let (store, vault) = open(dir.path());
        vault.unseal(&root(1)).await.unwrap();
        drop(vault);
        Arc::into_inner(store).unwrap().close().await.unwrap();
    }
    let mut values = 0;
    for n in 0..ROUNDS {
        let life = Duration::from_millis(5 + (seed.wrapping_mul(n + 7) * 2_654_435_761) % 120);
        round(dir.path(), life, &mut answered);
        let (store, vault) = open(dir.path());
        // the last root that was answered, or the one that was being set
        if vault.unseal(&root(answered.root)).await.is_err() {
            answered.root = answered.root.wrapping_add(1);
            vault.unseal(&root(answered.root)).await.unwrap();
        }
        for record in vault.secrets(&project(), None, 100).await.unwrap() {
            for version in &record.versions {
                let which = Which::Version(version.version);
                let got = vault
                    .reveal(&project(), &record.name, &"f".parse().unwrap(), which)
                    .await
                    .unwrap();
                values += 1;
                if let Some((at, text)) = answered.values.get(&record.name)
                    && *at == version.version
                {
                    assert_eq!(got.value.expose_text(), Some(text.as_str()));
                }
            }
            let answered = answered.values.get(&record.name).map_or(0, |(at, _)| *at);
            assert!(
                record.latest >= answered,
                "{} is at {}",
                record.name,
                record.latest
            );
        }
        vault.rewrap(&project()).await.unwrap();
        assert_eq!(store.keks(&project()).await.unwrap().len(), 1);
        drop(vault);
        Arc::into_inner(store).unwrap().close().await.unwrap();
    }
    assert!(values > 50, "{values}");
}
