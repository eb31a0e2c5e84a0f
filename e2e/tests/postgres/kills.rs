//! A whole cluster under `kill -9`: three NATS servers, PostgreSQL, two gateways, three workers. While invocations come
//! in over both gateways and as messages, a worker, the leading gateway, the server that leads the stream of jobs and the
//! database are killed and started again, in turn. A checker then reads the store: every accepted invocation has ended once,
//! and was charged once; and the stream of results: each message has had its end said once.
//!
//! `NEOFN_KILL_RUN=20000,2000` sets how many asynchronous and synchronous calls there are at least (with nextest's profile
//! `long`); the kills go on as long as they do.

use crate::client::Client;
use crate::keys::share_keys;
use crate::messages;
use neofn_testkit::{Http, NatsServer, NodeProcess, Postgres, WorkerProcess, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

pub const SOON: Duration = Duration::from_secs(60);
/// A claim holds for half a minute, and the work comes after that.
pub const ALL_ENDED: Duration = Duration::from_secs(180);
/// A leader's lease, its renewal, and a busy machine.
pub const MOVED: Duration = Duration::from_secs(15);
/// Datoshi for a million units.
const PRICE: &str = "1000";

pub const WORK: &str = "export async function handler(e, ctx) {
  let x = 0;
  for (let i = 0; i < 20000; i++) x += i % 7;
  await ctx.kv.put('ran/' + e.n, e.n, { ifRevision: null });
  return e.n;
}";
pub const PLAIN: &str = "export const handler = (e) => e.n;";
pub const READ: &str = "export async function handler(e, ctx) {
  const page = await ctx.kv.list({ prefix: 'ran/', cursor: e.cursor, limit: 1000 });
  return { ran: page.entries.map((entry) => entry.value), cursor: page.cursor };
}";

/// Gateways that have `dir`, one database and the same servers.
pub struct Gateways<'a> {
    dir: &'a Path,
    config: String,
    pub nodes: Mutex<[Option<NodeProcess>; 2]>,
    /// The caller's key, the same at both: what is asked for once is a caller's own.
    key: OnceLock<String>,
}

impl<'a> Gateways<'a> {
    pub fn new(dir: &'a Path, postgres: &Postgres, nats: &NatsServer) -> Self {
        let urls: Vec<String> = nats.urls().iter().map(|u| format!("\"{u}\"")).collect();
        Self {
            dir,
            config: format!(
                "[postgres]\nurl = \"{}\"\n[nats]\nurl = [{}]\nworkers = \"remote\"\n",
                postgres.url(),
                urls.join(", ")
            ),
            nodes: Mutex::default(),
            key: OnceLock::new(),
        }
    }
    pub fn start(&self, n: usize) {
        let data = self.dir.join(format!("g{n}"));
        if n > 0 {
            share_keys(&self.dir.join("g0"), &data);
        }
        let config = self.dir.join(format!("g{n}.toml"));
        std::fs::write(&config, &self.config).unwrap();
        let flags = ["--gas-price", PRICE, "--gas-initial", "1000"];
        // while the database is away it would be refused
        let node = eventually("the gateway starts", SOON, || {
            NodeProcess::try_start_in(
                &data,
                &[&["--config", config.to_str().unwrap()], &flags[..]].concat(),
            )
            .ok()
        });
        let _ = self.key.get_or_init(|| node.key().to_owned());
        self.nodes.lock().unwrap()[n] = Some(node);
    }
    pub fn http(&self, n: usize) -> Option<Http> {
        let nodes = self.nodes.lock().unwrap();
        let node = nodes[n % 2].as_ref()?;
        Some(Http::new(node.url(), self.key.get().map(String::as_str)))
    }
    pub fn any(&self) -> Http {
        self.http(0).or_else(|| self.http(1)).expect("a gateway")
    }
    /// SIGTERM, and callers find it until it is gone; answers its exit code.
    pub fn end(&self, n: usize) -> Option<i32> {
        let with = |what: &dyn Fn(&mut NodeProcess) -> Option<Option<i32>>| {
            what(self.nodes.lock().unwrap()[n].as_mut().expect("it runs"))
        };
        with(&|node| {
            node.ask_to_end();
            None
        });
        let code = eventually("the gateway ends after SIGTERM", SOON, || {
            with(&NodeProcess::ended)
        });
        self.nodes.lock().unwrap()[n] = None;
        code
    }
    pub fn kill(&self, n: usize) {
        let node = self.nodes.lock().unwrap()[n].take().expect("it runs");
        node.kill_hard();
    }
}

/// How many calls at least.
fn wanted() -> (usize, usize) {
    let Ok(text) = std::env::var("NEOFN_KILL_RUN") else {
        return (1_000, 100);
    };
    let (queued, called) = text.split_once(',').expect("ASYNC,SYNC");
    (queued.parse().unwrap(), called.parse().unwrap())
}

/// What was accepted and answered.
#[derive(Default)]
pub struct History {
    /// Invocations by number.
    pub accepted: Mutex<BTreeMap<usize, String>>,
    pub next: AtomicUsize,
    pub good: AtomicUsize,
    pub again: AtomicUsize,
    /// Before each further asynchronous one, for those who are not to outrun the workers.
    pub pause: Duration,
}

/// Sends numbers until there are enough and `stop` is set; each until it is accepted, with a key, by either gateway.
pub fn send(gateways: &Gateways<'_>, history: &History, stop: &AtomicBool, least: usize) {
    loop {
        let n = history.next.fetch_add(1, Ordering::Relaxed);
        if n >= least && stop.load(Ordering::Relaxed) {
            return;
        }
        let body = json!({"n": n}).to_string();
        let key = format!("n{n}");
        let mut at = n;
        let id = eventually("it is accepted", ALL_ENDED, || {
            at += 1;
            let answer = gateways.http(at)?.send(
                "POST",
                "/api/v1/functions/demo/work?mode=async",
                body.as_bytes(),
                &[("content-type", "application/json"), ("idempotency-key", &key)],
            );
            match answer.status {
                202 => Some(answer.json()["invocationId"].as_str().unwrap().to_owned()),
                0 | 503 => None,
                _ => panic!("{answer:?}"),
            }
        });
        history.accepted.lock().unwrap().insert(n, id);
        std::thread::sleep(history.pause);
    }
}

/// Calls until there were enough answers and `stop` is set; what is no answer says that it may be tried again.
pub fn call(gateways: &Gateways<'_>, history: &History, stop: &AtomicBool, least: usize) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) || history.good.load(Ordering::Relaxed) < least {
        n += 1;
        let Some(http) = gateways.http(n) else { continue };
        let answer = http.post("/api/v1/functions/demo/plain", &json!({"n": n}));
        match answer.status {
            200 => {
                assert_eq!(answer.json()["result"], n, "{answer:?}");
                history.good.fetch_add(1, Ordering::Relaxed);
            }
            // a gateway that was killed cuts its connections
            0 => {
                history.again.fetch_add(1, Ordering::Relaxed);
            }
            503 => {
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                history.again.fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("{answer:?}"),
        }
    }
}

/// Who leads; nothing while the database is away.
pub fn leader(postgres: &Postgres) -> String {
    postgres.sql("postgres", "SELECT holder FROM lease WHERE name = 'triggers'")
}

/// Ends the clients also when the test fails: they would go on for ever.
struct Ended<'a>(&'a AtomicBool);
impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Until when somebody leads: only who lives puts it off.
fn led_until(postgres: &Postgres) -> u64 {
    let until = postgres.sql("postgres", "SELECT until FROM lease WHERE name = 'triggers'");
    until.parse().unwrap()
}

#[test]
fn nothing_is_lost_and_nothing_is_charged_twice() {
    let (queued, called) = wanted();
    let dir = tempfile::tempdir().unwrap();
    let (mut postgres, mut nats) = (Postgres::start(), NatsServer::cluster());
    let gateways = Gateways::new(dir.path(), &postgres, &nats);
    gateways.start(0);
    gateways.start(1);
    let mut workers: Vec<WorkerProcess> = (0..3).map(|_| WorkerProcess::start(&nats.url())).collect();
    for n in 0..2 {
        eventually("both gateways know a worker", SOON, || {
            (gateways.http(n)?.get("/ready").status == 200).then_some(())
        });
    }
    for (name, source) in [("work", WORK), ("plain", PLAIN), ("read", READ)] {
        let request = json!({"function_name": name, "source": source, "allow": {"kv": true}});
        let _ = gateways.any().deploy_with("demo", request).expect(201);
    }

    let (history, stop) = (History::default(), AtomicBool::new(false));
    let (sent, url) = (messages::Sent::default(), nats.url());
    let key = gateways.nodes.lock().unwrap()[0]
        .as_ref()
        .unwrap()
        .key()
        .to_owned();
    let mut looking = Client::connect(&nats);
    std::thread::scope(|scope| {
        let _ended = Ended(&stop);
        let senders = [
            scope.spawn(|| send(&gateways, &history, &stop, queued)),
            scope.spawn(|| messages::send(&url, &key, &history, &sent, &stop, queued)),
            scope.spawn(|| call(&gateways, &history, &stop, called)),
            scope.spawn(|| messages::call(&url, &key, &history, &stop)),
        ];
        let accepted = || history.accepted.lock().unwrap().len() + sent.lock().unwrap().len();
        let enough = || accepted() >= queued && history.good.load(Ordering::Relaxed) >= called;
        let mut round = 0;
        while round < 6 || !enough() {
            let (before, good) = (accepted(), history.good.load(Ordering::Relaxed));
            eventually("work goes on", ALL_ENDED, || {
                let on = accepted() >= before + 20 && history.good.load(Ordering::Relaxed) > good;
                assert!(!senders.iter().any(|s| s.is_finished()), "a client failed");
                on.then_some(())
            });
            match round % 4 {
                0 => {
                    workers.remove(0).kill_hard();
                    workers.push(WorkerProcess::start(&nats.url()));
                }
                1 => {
                    // mostly the one that leads, for the other one took over when it was killed the last time
                    let (n, led) = ((round / 4) % 2, leader(&postgres));
                    gateways.kill(n);
                    let (since, left) = (Instant::now(), led_until(&postgres));
                    eventually("one that lives leads", MOVED, || {
                        (led_until(&postgres) > left).then_some(())
                    });
                    let moved = leader(&postgres) != led;
                    println!(
                        "round {round}: led after {:?}, by another one: {moved}",
                        since.elapsed()
                    );
                    gateways.start(n);
                }
                2 => {
                    let leader = messages::stream_leader(&mut looking);
                    nats.kill(leader);
                    nats.go_on(leader);
                }
                _ => {
                    postgres.kill();
                    postgres.go_on();
                }
            }
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
        println!("{round} kills, {} accepted", accepted());
    });
    messages::check(&nats, &history, &sent);
    check(&gateways, &history, &postgres);
}

/// Reads what the store has, and compares it with what was accepted.
pub fn check(gateways: &Gateways<'_>, history: &History, postgres: &Postgres) {
    let accepted = history.accepted.lock().unwrap();
    let sql = |sql: &str| postgres.sql("postgres", sql);
    eventually("all have ended", ALL_ENDED, || {
        (sql("SELECT count(*) FROM queue") == "0").then_some(())
    });
    // each accepted one, with its own result, once
    let ids: BTreeSet<&String> = accepted.values().collect();
    assert_eq!(ids.len(), accepted.len(), "two numbers, one invocation");
    let ended = sql(
        "SELECT encode(i.id, 'hex') || ' ' || i.status || ' ' || encode(i.result, 'escape') \
                     FROM invocation i JOIN function f USING (pid, fid) WHERE f.name = 'work'",
    );
    let ended: BTreeMap<&str, (&str, &str)> = ended
        .lines()
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            (
                parts.next().unwrap(),
                (parts.next().unwrap(), parts.next().unwrap_or("")),
            )
        })
        .collect();
    let mut lost = Vec::new();
    for (n, id) in accepted.iter() {
        let hex = id.replace('-', "");
        match ended.get(hex.as_str()) {
            Some(("2", result)) => assert_eq!(*result, n.to_string(), "{id}"),
            other => lost.push((n, id, other)),
        }
    }
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(ended.len(), accepted.len(), "invocations that nobody asked for");
    // what they wrote, once each
    let mut ran = BTreeSet::new();
    let mut cursor = Value::Null;
    loop {
        let page = gateways
            .any()
            .invoke("demo", "read", &json!({"cursor": cursor}))
            .expect(200)
            .json()["result"]
            .clone();
        for n in page["ran"].as_array().unwrap() {
            assert!(ran.insert(n.as_u64().unwrap()), "twice: {n}");
        }
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(ran.len(), accepted.len());
    // money: one charge for each of them, and a ledger that adds up
    let charges = sql(
        "SELECT count(*), count(DISTINCT t.invocation) FROM ledger_transfer t \
                       JOIN invocation i ON i.id = t.invocation JOIN function f USING (pid, fid) \
                       WHERE t.purpose = 1 AND f.name = 'work'",
    );
    println!(
        "charges: {charges}; sync: {:?} good, {:?} to be tried again",
        history.good, history.again
    );
    let twice = sql(
        "SELECT i.id, i.attempt, array_agg(t.amount || ' for ' || t.units || ' units at ' || t.at) \
         FROM ledger_transfer t JOIN invocation i ON i.id = t.invocation JOIN function f USING (pid, fid) \
         WHERE t.purpose = 1 AND f.name = 'work' GROUP BY i.id, i.attempt HAVING count(*) > 1",
    );
    assert_eq!(twice, "", "charged twice");
    assert_eq!(charges, format!("{0}|{0}", accepted.len()));
    let sums = sql("SELECT sum(balance), sum(held) - sum(incoming), \
                    sum(held) - (SELECT coalesce(sum(\"left\"), 0) FROM ledger_hold) FROM ledger_account");
    assert_eq!(sums, "0|0|0");
}
