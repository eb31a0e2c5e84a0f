//! A rolling upgrade: each worker and each gateway gets SIGTERM and a successor, one after another, while calls come in
//! over HTTP and as messages. Nothing that was accepted is lost, each message has its end said once, and whoever waits for an
//! answer gets it or is told to try again.

use crate::kills::{self, ALL_ENDED, Gateways, History, MOVED, READ, SOON, WORK};
use crate::messages;
use neofn_testkit::{NatsServer, Postgres, WorkerProcess, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Long enough that some are always under way.
const PLAIN: &str =
    "export const handler = (e) => { let x = 0; for (let i = 0; i < 200000; i++) x += i % 7; return e.n };";

/// What callers who wait were told.
#[derive(Default)]
struct Calls {
    next: AtomicU64,
    good: AtomicU64,
    /// To be tried again, by number: status and text.
    again: Mutex<BTreeMap<u64, (u16, String)>>,
}

impl Calls {
    fn again(&self) -> usize {
        self.again.lock().unwrap().len()
    }
}

fn call(gateways: &Gateways<'_>, calls: &Calls, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let n = calls.next.fetch_add(1, Ordering::Relaxed);
        let Some(http) = gateways.http(usize::try_from(n).unwrap()) else {
            continue;
        };
        let answer = http.post("/api/v1/functions/demo/plain", &json!({"n": n}));
        match answer.status {
            200 => {
                assert_eq!(answer.json()["result"], n, "{answer:?}");
                calls.good.fetch_add(1, Ordering::Relaxed);
            }
            0 | 503 => {
                let told = answer.status == 0 || answer.header("retry-after").is_some();
                assert!(told, "{answer:?}");
                let what = (answer.status, answer.body);
                calls.again.lock().unwrap().insert(n, what);
            }
            _ => panic!("{answer:?}"),
        }
    }
}

#[test]
fn a_rolling_upgrade_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let gateways = Gateways::new(dir.path(), &postgres, &nats);
    gateways.start(0);
    gateways.start(1);
    let mut workers: Vec<WorkerProcess> = (0..2).map(|_| WorkerProcess::start(&nats.url())).collect();
    let ready = |n: usize| {
        eventually("the gateway is ready", SOON, || {
            (gateways.http(n)?.get("/ready").status == 200).then_some(())
        });
    };
    (0..2).for_each(ready);
    for (name, source) in [("work", WORK), ("plain", PLAIN), ("read", READ)] {
        let request = json!({"function_name": name, "source": source, "allow": {"kv": true}});
        let _ = gateways.any().deploy_with("demo", request).expect(201);
    }

    let history = History {
        pause: Duration::from_millis(200),
        ..History::default()
    };
    let (calls, stop) = (Calls::default(), AtomicBool::new(false));
    let (sent, url) = (messages::Sent::default(), nats.url());
    // keys of all gateways are good at each of them
    let key = gateways.nodes.lock().unwrap()[0]
        .as_ref()
        .unwrap()
        .key()
        .to_owned();
    std::thread::scope(|scope| {
        let clients = [
            scope.spawn(|| kills::send(&gateways, &history, &stop, 0)),
            scope.spawn(|| messages::send(&url, &key, &history, &sent, &stop, 0)),
            scope.spawn(|| call(&gateways, &calls, &stop)),
            scope.spawn(|| call(&gateways, &calls, &stop)),
        ];
        let accepted = || history.accepted.lock().unwrap().len();
        let by_message = || sent.lock().unwrap().len();
        let goes_on = || {
            let (before, good, messages) = (accepted(), calls.good.load(Ordering::Relaxed), by_message());
            eventually("work goes on", ALL_ENDED, || {
                let on = accepted() >= before + 5
                    && by_message() >= messages + 5
                    && calls.good.load(Ordering::Relaxed) >= good + 10;
                assert!(!clients.iter().any(|c| c.is_finished()), "a client failed");
                on.then_some(())
            });
            println!(
                "{} by HTTP, {} by message, {} called",
                accepted(),
                by_message(),
                calls.good.load(Ordering::Relaxed)
            );
        };
        goes_on();
        for _ in 0..workers.len() {
            // the successor first, so that there are never fewer
            workers.push(WorkerProcess::start(&nats.url()));
            goes_on();
            assert_eq!(
                workers.remove(0).terminate(),
                Some(0),
                "a worker ends what it runs"
            );
            goes_on();
        }
        assert_eq!(calls.again(), 0, "no caller notices: {:?}", calls.again);
        for n in 0..2 {
            let led = kills::leader(&postgres);
            assert_eq!(gateways.end(n), Some(0), "a gateway ends what it runs");
            eventually("the other one leads", MOVED, || {
                (n == 1 || kills::leader(&postgres) != led).then_some(())
            });
            goes_on();
            gateways.start(n);
            ready(n);
            goes_on();
        }
        stop.store(true, Ordering::Relaxed);
    });
    messages::check(&nats, &history, &sent);
    kills::check(&gateways, &history, &postgres);
    println!("told to try again: {:?}", calls.again);
    let sql = |sql: &str| postgres.sql("postgres", sql);
    // who was told to try again has not been served: no answer was cut off
    let served = sql(
        "SELECT encode(i.result, 'escape') FROM invocation i JOIN function f USING (pid, fid) \
                      WHERE f.name = 'plain' AND i.status = 2",
    );
    let again = calls.again.lock().unwrap();
    let cut: Vec<_> = served
        .lines()
        .filter_map(|n| again.get_key_value(&n.parse::<u64>().unwrap()))
        .collect();
    assert!(cut.is_empty(), "served, and the answer lost: {cut:?}");
    // a node that goes in order costs nobody an attempt
    let attempts = sql("SELECT attempt, count(*) FROM invocation GROUP BY attempt ORDER BY 1");
    println!("attempts: {attempts}");
    assert!(!attempts.contains('\n'), "{attempts}");
}
