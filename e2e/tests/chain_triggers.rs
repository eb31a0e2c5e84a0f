//! Chain triggers on a real Neo N3 node: each transfer runs the function once, also when processes are killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use neofn_testkit::{Http, Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `NEOFN_CHAIN_KILLS` times the node is killed. The long run:
/// `NEOFN_CHAIN_KILLS=50 NEOFN_CHAIN_TRANSFERS=2000 cargo nextest run --profile long --workspace -E 'test(killed_at_any_moment)'`
const KILLS: u32 = 8;
/// Transfers that are mined meanwhile: `NEOFN_CHAIN_TRANSFERS`.
const TRANSFERS: u32 = 80;

/// As [`COUNT`], and sends something: the smallest amount that there is, which no trigger of these tests takes.
const PAY: &str = "export async function handler(e, ctx) {
  await ctx.kv.increment('seen/' + e.id, 1);
  const { hash } = await ctx.neo.invoke('GAS', 'transfer', [await ctx.neo.account(), 'SINK', '1', null]);
  return { id: e.id, hash };
}";
/// Nobody has its key, and nobody but [`PAY`] sends to it.
const SINK: &str = "NKuyBkoGdZZSLyPbJEetheRhMjeznFZszf";
/// The smallest transfer that triggers take: 0.001 GAS.
const LEAST: u32 = 100_000;

/// Counts each event in ctx.kv, in the transaction of its result.
const COUNT: &str = "export async function handler(e, ctx) {
  await ctx.kv.increment('seen/' + e.id, 1);
  return { id: e.id, amount: e.data.args.amount };
}";
const READ: &str = "export async function handler(e, ctx) {
  const counts = {}; let cursor;
  do {
    const page = await ctx.kv.list({ prefix: 'seen/', cursor, limit: 1000 });
    for (const entry of page.entries) counts[entry.key] = entry.value;
    cursor = page.cursor;
  } while (cursor);
  return counts;
}";
/// Nobody else uses it, so that every transfer to it is one of this test.
const RECEIVER: &str = "NfgHwwTi3wHAS8aFAN243C5vGbkYDpqLHP";

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn up(data: &Path, neo: &Neo) -> NodeProcess {
    NodeProcess::start_in(data, &["--chain", &neo.rpc()])
}

fn deploy(http: &Http, amount: u32) {
    deploy_source(http, amount, COUNT, &json!({"kv": true}));
}

fn deploy_source(http: &Http, amount: u32, source: &str, allow: &Value) {
    let filter = format!("amount >= {amount}");
    let on =
        json!({"notification": [{"name": "paid", "contract": "GAS", "event": "Transfer", "where": filter}]});
    let request = json!({"function_name": "count", "source": source, "allow": allow, "on": on});
    let _ = http.deploy_with("demo", request).expect(201);
    let request = json!({"function_name": "read", "source": READ, "allow": {"kv": true}});
    let _ = http.deploy_with("demo", request).expect(201);
}

/// Event ids of the transfers that match, as the chain has them.
fn expected(neo: &Neo, from: u64, to: u64, amount: i64) -> Vec<String> {
    let gas = "0xd2a4cff31913016155e38e474a2c06d08be276cf";
    let network = neo.call("getversion", json!([]))["protocol"]["network"].clone();
    let mut ids = Vec::new();
    for height in from..=to {
        let block = neo.call("getblock", json!([height, true]));
        for (t, tx) in block["tx"].as_array().unwrap().iter().enumerate() {
            let log = neo.call("getapplicationlog", json!([tx["hash"]]));
            for (e, execution) in log["executions"].as_array().unwrap().iter().enumerate() {
                for (n, said) in execution["notifications"].as_array().unwrap().iter().enumerate() {
                    let values = said["state"]["value"].as_array().unwrap();
                    let sum: i64 = values
                        .get(2)
                        .and_then(|v| v["value"].as_str()?.parse().ok())
                        .unwrap_or(0);
                    let is_transfer = said["contract"] == gas && said["eventname"] == "Transfer";
                    if execution["vmstate"] == "HALT" && is_transfer && sum >= amount {
                        ids.push(format!("{network}:{height}:{t}:{e}:{n}"));
                    }
                }
            }
        }
    }
    ids
}

fn counts(http: &Http) -> HashMap<String, u64> {
    let answer = http
        .post("/api/v1/functions/demo/read", &Value::Null)
        .expect(200)
        .json();
    let seen = answer["result"].as_object().unwrap();
    seen.iter()
        .map(|(k, v)| (k.trim_start_matches("seen/").to_owned(), v.as_u64().unwrap()))
        .collect()
}

fn chain(http: &Http) -> Value {
    http.get("/api/v1/chain").expect(200).json()
}

/// Waits until everything up to the newest block is matched and has run.
fn settled(http: &Http, neo: &Neo) -> u64 {
    let height = neo.height();
    eventually("all blocks are matched", Duration::from_secs(60), || {
        (chain(http)["next"].as_u64()? > height).then_some(())
    });
    eventually("all invocations have ended", Duration::from_secs(120), || {
        let health = http.get("/metrics").expect(200).body;
        let idle = |name: &str| health.lines().any(|l| l == format!("neofn_{name} 0"));
        (idle("queue_depth") && idle("queue_running")).then_some(())
    });
    height
}

fn exactly_once(seen: &HashMap<String, u64>, expected: &[String]) {
    for id in expected {
        assert_eq!(seen.get(id), Some(&1), "event {id}");
    }
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn each_matching_transfer_runs_the_function_once() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().unwrap();
    let node = up(&dir.path().join("data"), &neo);
    deploy(&node.http(), 100_000_000);
    let from = neo.height();
    for amount in ["0.5", "1", "2", "0.25", "3"] {
        let _ = neo.transfer(&neo.accounts()[0], RECEIVER, "GAS", amount);
    }
    let height = settled(&node.http(), &neo);
    let expected = expected(&neo, from, height, 100_000_000);
    assert_eq!(expected.len(), 3);
    exactly_once(&counts(&node.http()), &expected);
    let listed = node
        .http()
        .get("/api/v1/triggers?project=demo")
        .expect(200)
        .json();
    assert_eq!(listed["triggers"][0]["matched"], 3);
}

#[test]
fn a_trigger_says_why_it_fires_and_why_not() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().unwrap();
    let node = up(&dir.path().join("data"), &neo);
    deploy(&node.http(), 100_000_000);
    let small = neo.transfer(&neo.accounts()[0], RECEIVER, "GAS", "0.5");
    let large = neo.transfer(&neo.accounts()[0], RECEIVER, "GAS", "5");
    let height = neo.height();
    neo.wait_for_height(height);
    settled(&node.http(), &neo);
    let test = |hash: &str| {
        let path = format!("/api/v1/triggers/demo/count/paid/test?transaction={hash}");
        node.http().get(&path).expect(200).json()
    };
    assert_eq!(
        (&test(&small)["matched"], &test(&large)["matched"]),
        (&json!(false), &json!(true))
    );
    let body = json!({"from": 0, "to": height});
    let path = "/api/v1/triggers/demo/count/paid/backtest";
    let back = node.http().post(path, &body).expect(200).json();
    assert!(
        back["matched"].as_u64().unwrap() >= 1 && back["units_each"].as_u64().unwrap() > 0,
        "{back}"
    );
}

/// Results of all runs that events caused, however many pages.
fn results(http: &Http) -> Vec<Value> {
    let mut found = Vec::new();
    let mut path = "/api/v1/events?project=demo&limit=100".to_owned();
    loop {
        let page = http.get(&path).expect(200).json();
        for fired in page["events"].as_array().unwrap() {
            assert_eq!(fired["invocation"]["status"], "succeeded", "{fired}");
            found.push(fired["invocation"]["result"].clone());
        }
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        path = format!("/api/v1/events?project=demo&limit=100&cursor={next}");
    }
}

/// Every transaction is on chain, and nothing else was sent.
fn paid_once(neo: &Neo, results: &[Value]) {
    let hashes: HashSet<&str> = results.iter().map(|r| r["hash"].as_str().unwrap()).collect();
    assert_eq!(
        hashes.len(),
        results.len(),
        "each run has a transaction of its own"
    );
    let sink = || -> usize {
        let answer = neo.call("getnep17balances", json!([SINK]));
        let amount = answer["balance"]
            .get(0)
            .map_or("0", |b| b["amount"].as_str().unwrap());
        amount.parse().unwrap()
    };
    eventually("all transactions are in blocks", Duration::from_secs(120), || {
        (sink() >= results.len()).then_some(())
    });
    for hash in &hashes {
        let log = neo.call("getapplicationlog", json!([hash]));
        assert_eq!(log["executions"][0]["vmstate"], "HALT", "{hash}");
    }
    // nothing comes later, either: the pool is empty, and some blocks have passed
    assert_eq!(neo.call("getrawmempool", json!([])), json!([]));
    neo.wait_for_height(neo.height() + 5);
    assert_eq!(sink(), results.len(), "each was paid once");
}

/// `kill -9` of neofn at random moments while transfers are mined: each event has one completed run, and what each
/// run sent is on chain once.
#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_runs_twice() {
    let (kills, transfers) = (
        setting("NEOFN_CHAIN_KILLS", KILLS),
        setting("NEOFN_CHAIN_TRANSFERS", TRANSFERS),
    );
    let seed = setting("NEOFN_SEED", now_nanos());
    eprintln!("seed {seed} (NEOFN_SEED repeats it)");
    let mut random = u64::from(seed) | 1;
    let neo = Neo::start();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let wallet = neo
        .quick_wallet(&neo.accounts()[0])
        .map(|f| f.display().to_string());
    let rpc = neo.rpc();
    let arguments = [
        "--chain",
        &rpc,
        "--wallet",
        &wallet[0],
        "--wallet-password-file",
        &wallet[1],
        "--pay-day",
        "100000",
    ];
    let up = || NodeProcess::start_in(&data, &arguments);
    let node = up();
    let grants = json!({"kv": true, "chain": {"write": {"contracts": ["GAS"], "gas": "0.5"}}});
    deploy_source(&node.http(), LEAST, &PAY.replace("SINK", SINK), &grants);
    node.kill_hard();
    let from = neo.height() + 1;
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = transfers;
            while left > 0 {
                let some = left.min(5);
                neo.pay_gas_times(some, neo.accounts()[1].address, "0.001");
                left -= some;
            }
            finished.store(true, Ordering::SeqCst);
        });
        for kill in 0..kills {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // the moment is what the test is about: of every other node while it comes up and mends what is open
            let time = Duration::from_millis(random % 900);
            if kill % 2 == 1 {
                NodeProcess::kill_after(&data, &arguments, time);
                continue;
            }
            let node = up();
            std::thread::sleep(time);
            node.kill_hard();
        }
        eventually("all transfers are mined", Duration::from_secs(900), || {
            finished.load(Ordering::SeqCst).then_some(())
        });
    });
    let node = up();
    let height = settled(&node.http(), &neo);
    let expected = expected(&neo, from, height, LEAST.into());
    assert_eq!(expected.len(), usize::try_from(transfers).unwrap());
    let results = results(&node.http());
    exactly_once(&counts(&node.http()), &expected);
    assert_eq!(results.len(), expected.len());
    paid_once(&neo, &results);
}

/// The chain's node dies and comes back with a new socket.
#[test]
fn a_chain_node_that_was_killed_is_followed_again() {
    let mut neo = Neo::start_on_disk();
    let dir = tempfile::tempdir().unwrap();
    let node = up(&dir.path().join("data"), &neo);
    deploy(&node.http(), 1);
    let from = neo.height() + 1;
    neo.pay_gas(neo.accounts()[1].address, "1");
    settled(&node.http(), &neo);
    neo.stop();
    eventually("the trouble shows", Duration::from_secs(60), || {
        let ready = node.http().get("/ready");
        (ready.status == 503).then_some(())
    });
    neo.go_on();
    neo.pay_gas(neo.accounts()[1].address, "1");
    eventually("it is followed again", Duration::from_secs(60), || {
        (node.http().get("/ready").status == 200).then_some(())
    });
    let height = settled(&node.http(), &neo);
    let expected = expected(&neo, from, height, 1);
    let seen = counts(&node.http());
    for id in &expected {
        assert_eq!(seen.get(id), Some(&1), "event {id}");
    }
}

fn now_nanos() -> u32 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |d| d.subsec_nanos())
}

/// Answers as the chain's node does, but for the number of the network.
fn liar(rpc: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let honest = Http::new(rpc, None);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let honest = honest.clone();
            std::thread::spawn(move || {
                while let Some(body) = request(&mut stream) {
                    let answer = honest.send("POST", "/", &body, &[("content-type", "application/json")]);
                    let text = answer.body.replace("\"network\":56753", "\"network\":7");
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        text.len()
                    );
                    if stream.write_all((head + &text).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn request(stream: &mut std::net::TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

#[test]
fn a_node_that_lies_about_its_network_leads_nobody_astray() {
    let neo = Neo::start();
    let (honest, liar) = (neo.rpc(), liar(&neo.rpc()));
    let dir = tempfile::tempdir().unwrap();
    let start = |data: &str, arguments: &[&str]| NodeProcess::try_start_in(&dir.path().join(data), arguments);
    // with nothing to go by, one word against one is no network
    let both = format!("{liar},{honest}");
    let said = start("new", &["--chain", &both]).err().unwrap();
    assert!(
        said.contains("NF0803") && said.contains("--chain-network"),
        "{said}"
    );
    let named = start("new", &["--chain", &both, "--chain-network", "56753"]).unwrap();
    let chain = named.ready()["chain"]["rpc"].as_str().unwrap();
    assert_eq!(chain, honest, "the ready line names a node that is in use");
    assert_eq!(named.terminate(), Some(0));
    // the network that was followed is the one that is followed
    let node = start("new", &["--chain", &both]).unwrap();
    let shown = node.http().get("/api/v1/chain").expect(200).json();
    assert_eq!(shown["network"], 56_753, "{shown}");
    assert_eq!(node.terminate(), Some(0));
    let said = start("new", &["--chain", &liar]).err().unwrap();
    assert!(said.contains("NF0803"), "{said}");
}
