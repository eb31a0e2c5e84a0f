//! Several nodes on one PostgreSQL: they share everything, one goes on with the work of another, and nothing that was
//! answered is lost when the database goes away for a moment. And the way there from an embedded node.

#[path = "postgres/backup.rs"]
mod backup;
#[path = "cluster/client.rs"]
mod client;
#[path = "postgres/clocks.rs"]
mod clocks;
#[path = "postgres/keys.rs"]
mod keys;
#[path = "postgres/kills.rs"]
mod kills;
#[path = "postgres/messages.rs"]
mod messages;
#[path = "postgres/rolling.rs"]
mod rolling;
#[path = "postgres/status.rs"]
mod status;
#[path = "postgres/told.rs"]
mod told;

use keys::share_keys;
use neofn_testkit::{Http, NodeProcess, Postgres, binary, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// A claim holds for half a minute, and the work comes after that.
const AFTER_A_LEASE: Duration = Duration::from_secs(120);

/// Counts itself under its own key and in a shared counter, after some work.
const COUNT: &str = "export async function handler(e, ctx) {
  let sum = 0;
  for (let i = 0; i < (e.work ?? 0); i++) sum += i % 7;
  const mine = await ctx.kv.increment('ran/' + e.id, 1);
  await ctx.kv.increment('all', 1);
  return { mine, sum };
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

/// Starts a node of a database. The first makes the keys, as an operator copies them to the others.
fn node(dir: &Path, name: &str, url: &str) -> NodeProcess {
    let data = dir.join(name);
    if name != "a" {
        share_keys(&dir.join("a"), &data);
    }
    NodeProcess::start_in(&data, &["--config", config(dir, name, url).to_str().unwrap()])
}

fn config(dir: &Path, name: &str, url: &str) -> PathBuf {
    let config = dir.join(format!("{name}.toml"));
    std::fs::write(&config, format!("[postgres]\nurl = \"{url}\"\n")).unwrap();
    config
}

fn deploy(http: &Http) {
    for (name, source) in [("count", COUNT), ("read", READ)] {
        let request = json!({"function_name": name, "source": source, "allow": {"kv": true}});
        let _ = http.deploy_with("demo", request).expect(201);
    }
}

/// Hands an invocation over; none when it was refused.
fn enqueue(http: &Http, id: &str, work: u32) -> Option<String> {
    let event = json!({"id": id, "work": work});
    let answer = http.post("/api/v1/functions/demo/count?mode=async", &event);
    match answer.status {
        202 => Some(answer.json()["invocationId"].as_str().unwrap().to_owned()),
        503 => {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            None
        }
        // the connection was cut
        0 => None,
        _ => panic!("{answer:?}"),
    }
}

fn ended(http: &Http, id: &str, within: Duration) {
    eventually("every accepted invocation ends", within, || {
        let answer = http.get(&format!("/api/v1/invocations/{id}"));
        if answer.status == 503 {
            return None;
        }
        let status = answer.expect(200).json()["status"].clone();
        assert!(status != "failed" && status != "dead", "{id}: {status}");
        (status == "succeeded").then_some(())
    });
}

/// Each of these ran to its end exactly once, as the writes that commit with the ends say.
fn exactly_once(http: &Http, ids: &[String]) {
    let state = http.invoke("demo", "read", &json!(null)).expect(200).json()["result"].clone();
    let counts = state["counts"].as_object().unwrap();
    for id in ids {
        assert_eq!(counts.get(&format!("ran/{id}")), Some(&json!(1)), "{id}");
    }
    assert!(counts.values().all(|n| n == 1), "committed twice: {counts:?}");
    assert_eq!(state["all"].as_u64(), u64::try_from(counts.len()).ok());
}

#[test]
fn two_nodes_share_one_database() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let a = node(dir.path(), "a", &postgres.url());
    let b = node(dir.path(), "b", &postgres.socket_url());
    deploy(&a.http());
    let _ = a
        .http()
        .deploy("demo", "v", "export const handler = () => 1;")
        .expect(201);
    for http in [a.http(), b.http()] {
        assert_eq!(
            http.invoke("demo", "v", &json!(null)).expect(200).json()["result"],
            1
        );
    }
    // what one is told, the other learns
    let _ = b
        .http()
        .deploy("demo", "v", "export const handler = () => 2;")
        .expect(200);
    eventually("the other node runs the new version", SOON, || {
        (a.http().invoke("demo", "v", &json!(null)).expect(200).json()["result"] == 2).then_some(())
    });
    let id = enqueue(&a.http(), "x", 0).expect("accepted");
    ended(&b.http(), &id, SOON);
    // one key of one caller, two nodes, one run
    let keyed = |http: &Http| {
        let body = json!({"id": "keyed"}).to_string();
        let path = "/api/v1/functions/demo/count";
        http.send("POST", path, body.as_bytes(), &[("idempotency-key", "k")])
            .expect(200)
            .json()["result"]
            .clone()
    };
    let same = Http::new(b.url(), Some(a.key()));
    assert_eq!(keyed(&a.http()), keyed(&same));
    exactly_once(&b.http(), &["x".to_owned(), "keyed".to_owned()]);
    // an admin key of each
    assert_ne!(a.key(), b.key());
    let _ = Http::new(a.url(), Some(b.key()))
        .get("/api/v1/functions/demo/v")
        .expect(200);
    let _ = b
        .http()
        .send("DELETE", "/api/functions/demo/v", b"", &[])
        .expect(200);
    eventually("the other node knows it no more", SOON, || {
        (a.http().invoke("demo", "v", &json!(null)).status == 404).then_some(())
    });
    assert_eq!((a.terminate(), b.terminate()), (Some(0), Some(0)));
}

#[test]
fn what_a_killed_node_had_begun_the_other_ends() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let a = node(dir.path(), "a", &postgres.url());
    let b = node(dir.path(), "b", &postgres.url());
    deploy(&a.http());
    let leader = || postgres.sql("postgres", "SELECT holder FROM lease WHERE name = 'triggers'");
    let first = leader();
    let mut ids = Vec::new();
    let mut names = Vec::new();
    let running = || postgres.sql("postgres", "SELECT count(*) FROM queue WHERE state = 1");
    // on a busy machine all of it may be done before anybody looks: then there is more
    eventually("work is under way", SOON, || {
        for _ in 0..60 {
            let name = format!("n{}", names.len());
            let http = if names.len() % 2 == 0 { a.http() } else { b.http() };
            ids.push(enqueue(&http, &name, 200_000).expect("accepted"));
            names.push(name);
        }
        (running() != "0").then_some(())
    });
    // the first node was the leader: it was there alone
    a.kill_hard();
    eventually("another leader within seconds", Duration::from_secs(12), || {
        (leader() != first).then_some(())
    });
    for id in &ids {
        ended(&b.http(), id, AFTER_A_LEASE);
    }
    exactly_once(&b.http(), &names);
    assert_eq!(postgres.sql("postgres", "SELECT count(*) FROM queue"), "0");
}

#[test]
fn a_database_that_is_restarted_loses_nothing() {
    let (mut postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let nodes = [
        node(dir.path(), "a", &postgres.url()),
        node(dir.path(), "b", &postgres.url()),
    ];
    deploy(&nodes[0].http());
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (http, stop, accepted) = (nodes[client % 2].http(), stop.clone(), accepted.clone());
            std::thread::spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let name = format!("{client}-{n}");
                    if let Some(id) = enqueue(&http, &name, 0) {
                        accepted.lock().unwrap().push((name, id));
                    }
                }
            })
        })
        .collect();
    let so_far = || accepted.lock().unwrap().len();
    for round in 0..2 {
        let before = so_far();
        eventually("work is accepted", SOON, || {
            (so_far() > before + 30).then_some(())
        });
        if round == 0 {
            postgres.stop();
        } else {
            postgres.kill();
        }
        postgres.go_on();
    }
    let before = so_far();
    eventually("work is accepted again", SOON, || {
        (so_far() > before + 30).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    let mut names = Vec::new();
    for (name, id) in accepted {
        ended(&nodes[1].http(), &id, AFTER_A_LEASE);
        names.push(name);
    }
    exactly_once(&nodes[0].http(), &names);
}

#[test]
fn a_database_that_is_away_is_said_so() {
    let (mut postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let node = node(dir.path(), "a", &postgres.url());
    deploy(&node.http());
    postgres.stop();
    let event = json!({"id": "x"});
    let answer = node
        .http()
        .post("/api/v1/functions/demo/count?mode=async", &event)
        .expect(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(!answer.body.contains("127.0.0.1"), "{answer:?}");
    // alive, and not ready: both said before whoever watches gives up
    let asked = std::time::Instant::now();
    assert_eq!(node.http().get("/health").expect(200).json()["status"], "ok");
    let ready = node.http().get("/ready").expect(503).json();
    assert!(
        ready["reasons"][0].as_str().unwrap().contains("storage"),
        "{ready}"
    );
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    postgres.go_on();
    let id = eventually("it is taken up again", SOON, || enqueue(&node.http(), "x", 0));
    ended(&node.http(), &id, SOON);
    postgres.stop();
    drop(node);
    let config = dir.path().join("a.toml");
    let refused = NodeProcess::try_start_in(&dir.path().join("a"), &["--config", config.to_str().unwrap()]);
    let stderr = refused.err().expect("there is no database");
    assert!(
        stderr.contains("NF0902") && stderr.contains("PostgreSQL cannot be reached"),
        "{stderr}"
    );
}

#[test]
fn a_database_that_is_not_set_up_is_told_with_the_cure() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let _ = postgres.sql("postgres", "CREATE ROLE guest LOGIN");
    let taken = postgres.database("taken");
    let _ = postgres.sql("taken", "CREATE TABLE invocation (n int)");
    let guest = postgres.database("closed").replacen("://", "://guest@", 1);
    let guest = format!("postgres://guest@{}", guest.rsplit_once('@').unwrap().1);
    for (url, says, cure) in [
        (postgres.url_of("absent"), "\"absent\" does not exist", "createdb"),
        (guest, "permission denied", "own the database"),
        (taken, "already exists", "a database of its own"),
    ] {
        let config = config(dir.path(), "a", &url);
        let refused =
            NodeProcess::try_start_in(&dir.path().join("a"), &["--config", config.to_str().unwrap()]);
        let said = refused.err().expect("it cannot be used");
        assert!(
            said.contains("NF0601") && said.contains(says) && said.contains(cure),
            "{said}"
        );
    }
    let (code, _, said) = migrate(dir.path(), "nats://127.0.0.1");
    assert!(code == Some(2) && said.contains("`--to`"), "{code:?} {said}");
}

#[test]
fn a_migration_says_which_keys_are_needed_and_which_are_not_there() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let data = dir.path().join("a");
    let embedded = NodeProcess::start_in(&data, &[]);
    deploy(&embedded.http());
    assert_eq!(embedded.terminate(), Some(0));
    let moved = |database: &str| {
        let (code, moved, said) = migrate(&data, &postgres.database(database));
        assert_eq!(code, Some(0), "{said}");
        let _ = std::fs::remove_file(data.join("migrated"));
        let texts = |name: &str| -> Vec<String> { serde_json::from_value(moved[name].clone()).unwrap() };
        (texts("keys"), texts("warnings"))
    };
    let all = ["identity.key", "audit.key", "secrets.key"].map(str::to_owned);
    assert_eq!(moved("whole"), (all.to_vec(), Vec::new()));

    let key = data.join("secrets.key");
    let kept = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, format!("{}\n", "5a".repeat(32))).unwrap();
    let (here, warnings) = moved("another");
    assert_eq!(here, all[..2]);
    assert!(
        warnings.len() == 1 && warnings[0].contains("does not open the secrets"),
        "{warnings:?}"
    );
    std::fs::rename(&key, dir.path().join("elsewhere.key")).unwrap();
    let (here, warnings) = moved("without");
    assert_eq!(here, all[..2]);
    assert!(
        warnings.len() == 1
            && warnings[0].contains("secrets.key is not in")
            && warnings[0].contains("--secrets-key-file"),
        "{warnings:?}"
    );
    std::fs::rename(data.join("identity.key"), dir.path().join("identity.key")).unwrap();
    let (here, warnings) = moved("neither");
    assert_eq!((here, warnings.len()), (vec!["audit.key".to_owned()], 2));

    // for people: not the word that everything is well
    let out = Command::new(binary())
        .args(["migrate", "--from"])
        .arg(&data)
        .args(["--to", &postgres.database("shown")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("not all of it can be read") && !said.contains("everything arrived"),
        "{said}"
    );

    // what was said is so: without its identity key no node starts there, and it is told where that is
    let config = config(dir.path(), "b", &postgres.url_of("neither"));
    let start = || NodeProcess::try_start_in(&dir.path().join("b"), &["--config", config.to_str().unwrap()]);
    let refused = start().err().expect("it cannot read the sessions");
    assert!(
        refused.contains("NF0601") && refused.contains("identity.key is missing"),
        "{refused}"
    );
    assert!(!dir.path().join("b/identity.key").exists());
    for (name, from) in [
        ("identity.key", dir.path().join("identity.key")),
        ("audit.key", data.join("audit.key")),
    ] {
        std::fs::copy(from, dir.path().join("b").join(name)).unwrap();
    }
    let refused = start().err().expect("it cannot read the secrets");
    assert!(refused.contains("secrets.key is missing"), "{refused}");
    let key = dir.path().join("b/secrets.key");
    std::fs::copy(dir.path().join("elsewhere.key"), &key).unwrap();
    std::fs::write(&key, kept).unwrap();
    assert_eq!(start().unwrap_or_else(|e| panic!("{e}")).terminate(), Some(0));
}

#[test]
fn a_migration_says_which_artifacts_are_missing() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let data = dir.path().join("a");
    let embedded = NodeProcess::start_in(&data, &[]);
    deploy(&embedded.http());
    assert_eq!(embedded.terminate(), Some(0));
    std::fs::remove_dir_all(data.join("artifacts")).unwrap();

    // as one leaves it that is killed just before its commit: what is told is the way on
    let mark = data.join("migrated");
    std::fs::write(&mark, "").unwrap();
    let (code, _, said) = migrate(&data, &postgres.url());
    assert!(
        code == Some(2) && said.contains("SELECT count(*) FROM signing_key") && said.contains("remove"),
        "{code:?} {said}"
    );
    std::fs::remove_file(&mark).unwrap();

    let (code, moved, said) = migrate(&data, &postgres.url());
    assert_eq!(code, Some(0), "{said}");
    assert_ne!(postgres.sql("postgres", "SELECT count(*) FROM signing_key"), "0");
    assert_eq!(moved["artifacts"], 0, "{moved}");
    let warnings: Vec<String> = serde_json::from_value(moved["warnings"].clone()).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, name) in warnings.iter().zip(["demo/count", "demo/read"]) {
        assert!(
            warning.starts_with(&format!("{name} version 1: code and compiled form are missing"))
                && warning.contains("deploy it anew"),
            "{warning}"
        );
    }

    // for people: not the word that everything is well
    std::fs::remove_file(&mark).unwrap();
    let out = Command::new(binary())
        .args(["migrate", "--from"])
        .arg(&data)
        .args(["--to", &postgres.database("shown")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("not every artifact") && !said.contains("everything arrived"),
        "{said}"
    );
}

fn migrate(from: &Path, to: &str) -> (Option<i32>, Value, String) {
    let output = Command::new(binary())
        .args(["migrate", "--json", "--from"])
        .arg(from)
        .args(["--to", to])
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn an_embedded_node_moves_to_the_database() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let data = dir.path().join("a");
    let embedded = NodeProcess::start_in(&data, &[]);
    deploy(&embedded.http());
    let mut ids = Vec::new();
    let mut names = Vec::new();
    for n in 0..40 {
        names.push(format!("n{n}"));
        ids.push(enqueue(&embedded.http(), &format!("n{n}"), 0).expect("accepted"));
    }
    let body = json!({"id": "keyed"}).to_string();
    let keyed = |http: &Http| {
        let path = "/api/v1/functions/demo/count";
        http.send("POST", path, body.as_bytes(), &[("idempotency-key", "k")])
            .expect(200)
    };
    let first = keyed(&embedded.http()).json()["result"].clone();
    names.push("keyed".to_owned());
    let more = json!({"function_name": "more", "source": "export const handler = () => 1;"}).to_string();
    let change = |http: &Http| {
        let headers = [("idempotency-key", "d1"), ("content-type", "application/json")];
        http.send("POST", "/api/functions/projects/demo", more.as_bytes(), &headers)
            .expect(201)
    };
    let changed = change(&embedded.http()).json();
    ended(&embedded.http(), &ids[0], SOON);
    let (code, _, stderr) = migrate(&data, &postgres.url());
    assert!(
        code == Some(4) && stderr.contains("NF0604"),
        "in use: {code:?} {stderr}"
    );
    // in the middle of its work
    embedded.kill_hard();

    let (code, moved, stderr) = migrate(&data, &postgres.url());
    assert_eq!(code, Some(0), "{stderr}");
    let rows = |name: &str| {
        let tables = moved["tables"].as_array().unwrap();
        let table = tables.iter().find(|t| t["table"] == name).unwrap();
        table["rows"].as_u64().unwrap()
    };
    assert_eq!((rows("project"), rows("function"), rows("reply")), (1, 3, 1));
    assert!(rows("invocation") > 40 && rows("kv") >= 1, "{moved}");
    assert!(moved["artifacts"].as_u64().unwrap() > 0);
    // not once more, into whatever database: two with one queue would both run it
    let other = postgres.database("other");
    for url in [&postgres.url(), &other] {
        let (code, _, stderr) = migrate(&data, url);
        assert!(
            code == Some(2) && stderr.contains("was, or was about to be, moved"),
            "{code:?} {stderr}"
        );
    }
    // nor into one that has rows
    let (mark, aside) = (data.join("migrated"), dir.path().join("mark"));
    std::fs::rename(&mark, &aside).unwrap();
    let (code, _, stderr) = migrate(&data, &postgres.url());
    assert!(
        code == Some(2) && stderr.contains("not empty"),
        "{code:?} {stderr}"
    );
    std::fs::rename(&aside, &mark).unwrap();

    // the directory alone would be another node that runs the same
    let again = Command::new(binary())
        .args(["up", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(
        again.status.code() == Some(2) && said.contains("was, or was about to be, moved to PostgreSQL"),
        "{said}"
    );

    let node = node(dir.path(), "a", &postgres.url());
    for id in &ids {
        ended(&node.http(), id, AFTER_A_LEASE);
    }
    assert_eq!(
        keyed(&node.http()).json()["result"],
        first,
        "a key keeps its answer"
    );
    let again = change(&node.http());
    assert_eq!(
        again.header("idempotency-replayed"),
        Some("true"),
        "and is done once"
    );
    assert_eq!(again.json(), changed);
    exactly_once(&node.http(), &names);
    let _ = node
        .http()
        .deploy("demo", "new", "export const handler = () => 1;")
        .expect(201);
    let _ = node.http().invoke("demo", "new", &json!(null)).expect(200);
}
