//! What goes wrong between nodes and NATS, each with the outcome that docs/guides/cluster.md says.

use crate::client::Client;
use crate::{SOON, deploy, gateway, wait_for_workers};
use neofn_testkit::{NatsConfig, NatsServer, NodeProcess, WorkerProcess, eventually};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const RESULTS: &str = "function.result.>";

fn listen(client: &mut Client) {
    let subscribed = client.send(json!({"do": "subscribe", "subject": RESULTS}));
    assert_eq!(subscribed, json!({}));
}

fn next(client: &mut Client, seconds: u64) -> Value {
    client.send(json!({"do": "next", "subject": RESULTS, "timeout": seconds}))
}

fn job(client: &mut Client, subject: &str, id: &str) {
    let sent =
        client.send(json!({"do": "js", "subject": subject, "data": "{}", "headers": {"Nats-Msg-Id": id}}));
    assert_eq!(sent["stream"], "JOBS", "{sent}");
}

fn queue_is_empty(node: &NodeProcess) {
    eventually("the queue is empty", SOON, || {
        let services = node.http().get("/api/v1/services").json();
        let queues = services["queues"].as_array()?;
        let jobs = queues.iter().find(|q| q["name"] == "jobs")?;
        (jobs["waiting"] == 0 && jobs["taken"] == 0).then_some(())
    });
}

#[test]
fn a_function_that_fails_for_hours_keeps_nobody_else_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let broken = "export const handler = () => { throw new Error('no') }";
    deploy(&node, "demo", "broken", broken, json!({"public": true}));
    let hello = "export const handler = () => 'hello'";
    deploy(&node, "other", "hello", hello, json!({"public": true}));
    let mut client = Client::connect(&nats);
    // more than a gateway has in hand at once
    let flood = json!({"do": "flood", "subject": "jobs.js.demo.broken", "data": "{}", "count": 4500});
    assert_eq!(client.send(flood), json!({}));
    let result = "function.result.other.hello.first";
    assert_eq!(
        client.send(json!({"do": "subscribe", "subject": result})),
        json!({})
    );
    job(&mut client, "jobs.js.other.hello", "first");
    let said = client.send(json!({"do": "next", "subject": result, "timeout": 15}));
    assert_eq!(said["body"]["result"], "hello", "{said}");
    // all of them are in the store, where they wait for their next tries
    queue_is_empty(&node);
}

#[test]
fn an_end_is_said_once_though_the_gateway_died_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let slow = "export async function handler(e, ctx) {
        if (!(await ctx.kv.get('open'))) throw new Error('not yet');
        return await ctx.kv.increment('ends', 1);
    }";
    let open = "export const handler = (e, ctx) => ctx.kv.put('open', true)";
    for (name, source) in [("slow", slow), ("open", open)] {
        let grants = json!({"public": true, "allow": {"kv": true}});
        deploy(&node, "demo", name, source, grants);
    }
    let mut client = Client::connect(&nats);
    listen(&mut client);
    job(&mut client, "jobs.js.demo.slow", "once");
    eventually("it waits for another try, and its message is gone", SOON, || {
        let list = node.http().get("/api/v1/functions/demo/slow/invocations").json();
        let waits = list["invocations"].as_array()?.first()?["status"] == "queued";
        let services = node.http().get("/api/v1/services").json();
        let queues = services["queues"].as_array()?;
        let jobs = queues.iter().find(|q| q["name"] == "jobs")?;
        (waits && jobs["waiting"] == 0 && jobs["taken"] == 0).then_some(())
    });
    node.kill_hard();
    let node = gateway(dir.path(), &nats, "embedded");
    let opened = node.http().post("/api/v1/functions/demo/open", &json!({}));
    assert_eq!(opened.status, 200, "{}", opened.body);
    let said = next(&mut client, 60);
    assert_eq!(
        (&said["subject"], &said["body"]["status"], &said["body"]["result"]),
        (
            &json!("function.result.demo.slow.once"),
            &json!("succeeded"),
            &json!(1)
        ),
        "{said}"
    );
    // sent again it is the same run; who listens hears of it again, and what is kept is the first word
    job(&mut client, "jobs.js.demo.slow", "demo.slow.once");
    assert_eq!(next(&mut client, 30)["body"], said["body"]);
    let filter = json!({"subjects_filter": RESULTS}).to_string();
    let info = client.request("$JS.API.STREAM.INFO.RESULTS", &filter, json!({}));
    assert_eq!(
        info["body"]["state"]["subjects"],
        json!({"function.result.demo.slow.once": 1}),
        "{info}"
    );
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn two_functions_may_be_sent_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    for (project, name) in [("alice", "f"), ("bob", "f"), ("bob", "g")] {
        let source = format!("export const handler = () => '{project}/{name}'");
        deploy(&node, project, name, &source, json!({"public": true}));
    }
    let mut client = Client::connect(&nats);
    for (project, name) in [("alice", "f"), ("bob", "f"), ("bob", "g")] {
        let subject = format!("function.js.{project}.{name}");
        let headers = json!({"Neofn-Mode": "async", "Nats-Msg-Id": "order-1"});
        for duplicate in [false, true] {
            let taken = client.request(&subject, "{}", headers.clone());
            assert_eq!(taken["body"]["duplicate"], duplicate, "{taken}");
            assert_eq!(
                taken["body"]["result"],
                format!("function.result.{project}.{name}.order-1"),
                "{taken}"
            );
        }
        let subject = format!("function.result.{project}.{name}.order-1");
        let kept = eventually("its end is kept", SOON, || {
            let kept = client.send(json!({"do": "last", "stream": "RESULTS", "subject": subject}));
            kept["body"].is_object().then_some(kept)
        });
        assert_eq!(kept["body"]["result"], format!("{project}/{name}"), "{kept}");
    }
    assert_eq!(node.terminate(), Some(0));
}

/// JetStream knows the ids of all senders together: whoever may send to a queue could send another's id first.
#[test]
fn nobody_takes_the_place_of_anothers_request() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    deploy(
        &node,
        "shop",
        "pay",
        "export const handler = () => 'paid'",
        json!({"public": true}),
    );
    let mut client = Client::connect(&nats);
    listen(&mut client);
    job(&mut client, "jobs.js.evil.f", "shop.pay.order-7");
    let said = next(&mut client, 20);
    assert_eq!(said["body"]["status"], 401, "{said}");
    // whoever claims to be a gateway is believed as little
    let claims = json!({"Nats-Msg-Id": "evil-1", "Neofn-Request-Id": "shop.pay.order-7"});
    client.send(json!({"do": "js", "subject": "jobs.js.evil.f", "data": "{}", "headers": claims}));
    let said = next(&mut client, 20);
    assert_eq!(said["subject"], "function.result.evil.f.evil-1", "{said}");
    for duplicate in [false, true] {
        let headers = json!({"Neofn-Mode": "async", "Nats-Msg-Id": "order-7", "Neofn-Request-Id": "mine"});
        let taken = client.request("function.js.shop.pay", "{}", headers);
        assert_eq!(taken["body"]["duplicate"], duplicate, "{taken}");
    }
    let said = next(&mut client, 20);
    assert_eq!(
        (&said["subject"], &said["body"]["result"]),
        (&json!("function.result.shop.pay.order-7"), &json!("paid")),
        "{said}"
    );
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn what_can_never_work_is_kept_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let hello = "export const handler = () => 1";
    deploy(&node, "demo", "hello", hello, json!({"public": true}));
    let mut client = Client::connect(&nats);
    listen(&mut client);
    let key = format!("Bearer {}", node.key());
    for (subject, data, headers, result, code) in [
        (
            "events.demo",
            r#"{"specversion":"1.0"}"#,
            json!({"Authorization": key, "Nats-Msg-Id": "e1"}),
            "demo._events.e1",
            "NF0707",
        ),
        (
            "events.demo",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#,
            json!({"Nats-Msg-Id": "e2"}),
            "demo._events.e2",
            "NF0401",
        ),
        (
            "jobs.js.demo.hello",
            "not json",
            json!({"Authorization": key, "Nats-Msg-Id": "j1"}),
            "demo.hello.j1",
            "NF0308",
        ),
    ] {
        client.send(json!({"do": "js", "subject": subject, "data": data, "headers": headers}));
        let said = next(&mut client, 20);
        assert_eq!(
            (&said["subject"], &said["body"]["code"]),
            (&json!(format!("function.result.{result}")), &json!(code)),
            "{said}"
        );
    }
    let list = node.http().get("/api/v1/deadletters?project=demo").json();
    let messages = list["messages"].as_array().unwrap();
    let shown: Vec<_> = messages
        .iter()
        .map(|m| (m["id"].as_str().unwrap(), &m["reason"].as_str().unwrap()[..6]))
        .collect();
    assert_eq!(
        shown,
        [
            ("demo.hello.j1", "NF0308"),
            ("demo._events.e2", "NF0401"),
            ("demo._events.e1", "NF0707")
        ]
    );
    assert_eq!(messages[0]["subject"], "jobs.js.demo.hello");
    assert_eq!(messages[0]["payload"], "not json");
    assert!(!list.to_string().contains(node.key()), "a letter holds no key");
    let others = node.http().get("/api/v1/deadletters?project=other").json();
    assert_eq!(others["messages"], Value::Null, "{others}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn nodes_end_in_order_though_nats_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&node, 1);
    deploy(&node, "demo", "one", "export const handler = () => 1", json!({}));
    nats.kill(0);
    eventually("it says what it lacks", SOON, || {
        let ready = node.http().get("/ready");
        (ready.status == 503 && ready.body.contains("NF1601")).then_some(())
    });
    // what nobody has seen is not said to have been lost on the way
    let answer = node.http().post("/api/v1/functions/demo/one", &json!({}));
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("NF1601")),
        "{}",
        answer.body
    );
    let begun = Instant::now();
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_worker_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&node, 1);
    deploy(&node, "demo", "one", "export const handler = () => 1", json!({}));
    let call = || node.http().post("/api/v1/functions/demo/one", &json!({}));
    assert_eq!(call().status, 200);
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &worker.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let begun = Instant::now();
    let answer = call();
    signal("-CONT");
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("NF0209")),
        "{}",
        answer.body
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    eventually("it is there again", SOON, || (call().status == 200).then_some(()));
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_full_queue_and_a_large_event_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    deploy(
        &node,
        "default",
        "one",
        "export const handler = () => 1",
        json!({"public": true}),
    );
    let mut client = Client::connect(&nats);
    let none = json!({});
    // nothing is taken out any more, and little fits in
    let paused = client.request(
        "$JS.API.CONSUMER.PAUSE.JOBS.gateways",
        r#"{"pause_until":"2099-01-01T00:00:00Z"}"#,
        none.clone(),
    );
    assert_eq!(paused["body"]["paused"], true, "{paused}");
    let mut config = client.request("$JS.API.STREAM.INFO.JOBS", "", none.clone())["body"]["config"].clone();
    config["max_msgs"] = json!(3);
    let updated = client.request("$JS.API.STREAM.UPDATE.JOBS", &config.to_string(), none.clone());
    assert_eq!(updated["body"]["config"]["max_msgs"], 3, "{updated}");
    let later = json!({"Neofn-Mode": "async"});
    for _ in 0..3 {
        let taken = client.request("function.js.one", "{}", later.clone());
        assert_eq!(taken["body"]["status"], "queued", "{taken}");
    }
    let full = client.request("function.js.one", "{}", later);
    assert_eq!(
        (&full["body"]["code"], &full["body"]["status"]),
        (&json!("NF1606"), &json!(503)),
        "{full}"
    );
    assert!(full["headers"]["Retry-After"].is_string(), "{full}");
    // calls that wait for their answer do not go through it
    assert_eq!(
        client.request("function.js.one", "{}", none.clone())["body"]["result"],
        1
    );
    let large = format!("\"{}\"", "x".repeat((1 << 20) + 1));
    let answer = client.request("function.js.one", &large, none);
    assert_eq!(answer["body"]["status"], 413, "{answer}");
    // a node that starts now does not accept what was made of the queue
    assert_eq!(node.terminate(), Some(0));
    let config = dir.path().join("cluster.toml");
    let refused =
        NodeProcess::try_start_in(&dir.path().join("data"), &["--config", config.to_str().unwrap()]);
    let stderr = refused.err().unwrap();
    assert!(
        stderr.contains("NF1603") && stderr.contains("max_msgs is 3"),
        "{stderr}"
    );
}

#[test]
fn credentials_in_an_address_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start_with(
        1,
        &NatsConfig {
            more: "authorization { users: [ { user: u, password: \"p@s\" } ] }\n".to_owned(),
            ..NatsConfig::default()
        },
    );
    let url = nats.url().replace("nats://", "nats://u:p%40s@");
    let config = dir.path().join("cluster.toml");
    std::fs::write(
        &config,
        format!("[nats]\nurl = \"{url}\"\nworkers = \"remote\"\n"),
    )
    .unwrap();
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--config", config.to_str().unwrap()]);
    let worker = WorkerProcess::start(&url);
    wait_for_workers(&node, 1);
    assert_eq!(node.ready()["nats"], nats.url(), "without the password");
    let refused = WorkerProcess::try_start(&nats.url(), &[]).err().unwrap();
    assert!(refused.contains("NF1604"), "{refused}");
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
}
