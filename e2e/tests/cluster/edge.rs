//! Functions over NATS, with a client that we did not write.

use crate::client::Client;
use crate::{SOON, deploy, gateway};
use neofn_testkit::{NatsConfig, NatsServer, NodeProcess, eventually};
use serde_json::json;

const HELLO: &str = "export const handler = (e) => { console.log('hi'); return { hello: e.name ?? e.data?.name, type: e.type } }";

#[test]
fn nats_py_invokes_functions() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    deploy(&node, "default", "hello", HELLO, json!({"public": true}));
    deploy(&node, "demo", "private", HELLO, json!({}));
    deploy(
        &node,
        "demo",
        "broken",
        "export const handler = () => { throw new Error('no') }",
        json!({"public": true}),
    );
    let mut client = Client::connect(&nats);
    let none = json!({});
    let key = json!({"Authorization": format!("Bearer {}", node.key())});

    // the same document as over HTTP
    let answer = client.request("function.js.hello", r#"{"name":"Neo"}"#, none.clone());
    let body = &answer["body"];
    assert_eq!(
        (&body["success"], &body["result"]["hello"]),
        (&json!(true), &json!("Neo")),
        "{answer}"
    );
    assert_eq!(body["logs"], json!([]), "strangers see nothing of the inside");
    let answer = client.request("function.js.hello", "{}", key.clone());
    assert_eq!(answer["body"]["logs"], json!(["[LOG] hi"]));
    let http = node
        .http()
        .post("/api/v1/functions/default/hello", &json!({"name": "Neo"}))
        .json();
    let members = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(body), members(&http));
    assert_eq!(body["units"]["total"], http["units"]["total"]);

    // credentials, as over HTTP
    for (subject, headers, status, code) in [
        ("function.js.demo.private", none.clone(), 401, "NF0401"),
        (
            "function.js.demo.private",
            json!({"Authorization": "Bearer nfk_wrong"}),
            401,
            "NF0401",
        ),
        ("function.js.demo.absent", key.clone(), 404, "NF0301"),
        ("function.wasm.hello", none.clone(), 404, "NF1607"),
        ("function.go.hello", none.clone(), 404, "NF1607"),
        ("function.js.HELLO", none.clone(), 404, "NF1607"),
        ("function.js.demo.broken", none.clone(), 500, "NF0201"),
        ("function.js.hello", json!({"Neofn-Mode": "asink"}), 400, "NF0317"),
    ] {
        let answer = client.request(subject, r#"{"name":"x"}"#, headers);
        assert_eq!(answer["body"]["code"], code, "{subject}: {answer}");
        assert_eq!(answer["body"]["status"], status, "{subject}: {answer}");
        assert_eq!(
            answer["headers"]["Nats-Service-Error-Code"],
            status.to_string(),
            "{answer}"
        );
    }
    let answer = client.request("function.js.demo.private", r#"{"name":"Key"}"#, key);
    assert_eq!(answer["body"]["result"]["hello"], "Key", "{answer}");
    let answer = client.request("function.js.hello", "{not json", none.clone());
    assert_eq!(answer["body"]["code"], "NF0308", "{answer}");
    let nobody = client.request("function.cobol.hello", "1", none.clone());
    assert_eq!(nobody["error"], "no responders");

    // CloudEvents, in both modes
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t.x","data":{"name":"CE"}}"#;
    let structured = json!({"Content-Type": "application/cloudevents+json"});
    let answer = client.request("function.js.hello", event, structured);
    assert_eq!(
        answer["body"]["result"],
        json!({"hello": "CE", "type": "t.x"}),
        "{answer}"
    );
    let binary = json!({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t.y"});
    let answer = client.request("function.js.hello", r#"{"name":"B"}"#, binary);
    assert_eq!(
        answer["body"]["result"],
        json!({"hello": "B", "type": "t.y"}),
        "{answer}"
    );
    let answer = client.request(
        "function.js.hello",
        "{}",
        json!({"Content-Type": "application/cloudevents+json"}),
    );
    assert_eq!(answer["body"]["code"], "NF0707", "{answer}");
    // an event that brings its trace along stays in it, whichever way it comes
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t.x", "traceparent": parent});
    let structured = json!({"Content-Type": "application/cloudevents+json"});
    let answer = client.request("function.js.hello", &event.to_string(), structured);
    let said = answer["headers"]["traceparent"].as_str().unwrap();
    assert!(said.contains(trace) && said != parent, "{answer}");
    let mut binary = json!({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t.y"});
    binary["ce-traceparent"] = json!(parent);
    let answer = client.request("function.js.hello", "{}", binary);
    let said = answer["headers"]["traceparent"].as_str().unwrap();
    assert!(said.contains(trace), "{answer}");

    // a gateway that runs functions itself is seen to do so
    let shown = || node.http().get("/api/v1/services").expect(200).json()["nodes"][0].clone();
    eventually("what ran is counted", SOON, || {
        let seen = shown();
        (seen["runs"].as_u64() >= Some(7) && seen["sandboxes"].as_u64() >= Some(1)).then_some(())
    });
    let endless = "export const handler = () => { for (;;) {} }";
    deploy(
        &node,
        "demo",
        "endless",
        endless,
        json!({"limits": {"time": "8s"}}),
    );
    let path = "/api/v1/functions/demo/endless?mode=async";
    let _ = node.http().post(path, &json!(null)).expect(202);
    eventually("what runs is counted", SOON, || {
        (shown()["running"] == 1).then_some(())
    });
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn messages_without_a_reply_are_run_once_and_their_end_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let count =
        "export async function handler(e, ctx) { console.log('in'); return await ctx.kv.increment('n', 1) }";
    deploy(
        &node,
        "demo",
        "count",
        count,
        json!({"public": true, "allow": {"kv": true}}),
    );
    let mut client = Client::connect(&nats);
    let subscribed = client.send(json!({"do": "subscribe", "subject": "function.result.>"}));
    assert_eq!(subscribed, json!({}));
    // the same message twice: by its id it is one
    for _ in 0..2 {
        let sent = json!({"do": "publish", "subject": "function.js.demo.count", "data": "{}", "headers": {"Nats-Msg-Id": "order-7"}});
        assert_eq!(client.send(sent), json!({}));
    }
    let said = client.send(json!({"do": "next", "subject": "function.result.>"}));
    assert_eq!(said["subject"], "function.result.demo.count.order-7", "{said}");
    assert_eq!(said["body"]["logs"], json!([]), "others may hear it, too");
    assert_eq!(
        (&said["body"]["status"], &said["body"]["result"]),
        (&json!("succeeded"), &json!(1)),
        "{said}"
    );
    // kept for those who come later
    let kept = client
        .send(json!({"do": "last", "stream": "RESULTS", "subject": "function.result.demo.count.order-7"}));
    assert_eq!(kept["body"]["result"], 1, "{kept}");
    // straight into the stream, with an acknowledgement
    let ack = json!({"do": "js", "subject": "jobs.js.demo.count", "data": "{}", "headers": {"Nats-Msg-Id": "order-8"}});
    assert_eq!(client.send(ack.clone())["stream"], "JOBS");
    assert_eq!(client.send(ack)["duplicate"], true);
    let said = client.send(json!({"do": "next", "subject": "function.result.>"}));
    assert_eq!(
        (&said["subject"], &said["body"]["result"]),
        (&json!("function.result.demo.count.order-8"), &json!(2)),
        "{said}"
    );
    // asked for with a reply: taken, and where the end will be
    let taken = client.request("function.js.demo.count", "{}", json!({"Neofn-Mode": "async"}));
    let result = taken["body"]["result"].as_str().unwrap().to_owned();
    let said = client.send(json!({"do": "next", "subject": "function.result.>"}));
    assert_eq!(
        (said["subject"].as_str().unwrap(), &said["body"]["result"]),
        (&*result, &json!(3)),
        "{said}"
    );
    // what can never work is said, and taken out
    client.send(json!({"do": "js", "subject": "jobs.js.demo.absent", "data": "{}", "headers": {"Nats-Msg-Id": "poison"}}));
    let said = client.send(json!({"do": "next", "subject": "function.result.>"}));
    assert_eq!(
        (&said["subject"], &said["body"]["status"]),
        (&json!("function.result.demo.absent.poison"), &json!(401)),
        "{said}"
    );
    eventually("the queue is empty", SOON, || {
        let services = node.http().get("/api/v1/services").json();
        let jobs = services["queues"]
            .as_array()?
            .iter()
            .find(|q| q["name"] == "jobs")?
            .clone();
        (jobs["waiting"] == 0 && jobs["taken"] == 0).then_some(())
    });
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn the_node_is_found_and_says_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start_with(
        1,
        &NatsConfig {
            payload_bytes_max: 64 << 10,
            ..NatsConfig::default()
        },
    );
    let node = gateway(dir.path(), &nats, "embedded");
    assert!(
        node.stderr().contains("max_payload"),
        "a small limit is said: {}",
        node.stderr()
    );
    deploy(
        &node,
        "default",
        "big",
        "export const handler = (n) => 'x'.repeat(n)",
        json!({"public": true}),
    );
    let mut client = Client::connect(&nats);
    let none = json!({});
    let info = client.request("$SRV.INFO.neofn", "", none.clone())["body"].clone();
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    let id = info["id"].as_str().unwrap().to_owned();
    let subjects: Vec<&str> = info["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["subject"].as_str().unwrap())
        .collect();
    assert!(
        subjects.contains(&"function.js.*") && subjects.contains(&"function.js.*.*"),
        "{subjects:?}"
    );
    assert_eq!(client.request("$SRV.PING", "", none.clone())["body"]["id"], *id);
    assert_eq!(
        client.request("function.js.big", "3", none.clone())["body"]["result"],
        "xxx"
    );
    // an answer that the server does not take is said to be one
    let large = client.request("function.js.big", "100000", none.clone());
    assert_eq!(large["body"]["code"], "NF1605", "{large}");
    let stats = client.request(&format!("$SRV.STATS.neofn.{id}"), "", none.clone())["body"].clone();
    let endpoint = stats["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["subject"] == "function.js.*")
        .unwrap();
    assert_eq!(
        (&endpoint["num_requests"], &endpoint["num_errors"]),
        (&json!(2), &json!(1)),
        "{stats}"
    );
    let health = client.request(&format!("function.health.{id}"), "", none.clone());
    assert_eq!(health["body"]["status"], "ok", "{health}");
    let status = client.request(&format!("function.status.{id}"), "", none);
    assert_eq!(status["body"]["ready"], true, "{status}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn what_is_in_a_queue_waits_for_its_rate_and_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let config = dir.path().join("cluster.toml");
    // one in three seconds, twenty of them at once
    let text = format!(
        "[nats]\nurl = {:?}\nworkers = \"embedded\"\n[rates]\nkey = 20\nproject = 1000\n",
        nats.url()
    );
    std::fs::write(&config, text).unwrap();
    let args = ["--config", config.to_str().unwrap()];
    let node = NodeProcess::start_in(&dir.path().join("data"), &args);
    deploy(&node, "demo", "hello", HELLO, json!({}));
    let made = node
        .http()
        .post("/api/v1/keys/demo", &json!({"name": "k", "scopes": ["invoke"]}));
    let key = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    let mut client = Client::connect(&nats);
    client.send(json!({"do": "subscribe", "subject": "function.result.>"}));
    let headers = |id: usize| json!({"Authorization": format!("Bearer {key}"), "Nats-Msg-Id": format!("demo.hello.n{id}")});
    let begun = std::time::Instant::now();
    for id in 0..22 {
        let job = json!({"do": "js", "subject": "jobs.js.demo.hello", "data": "{}", "headers": headers(id)});
        let ack = client.send(job);
        assert_eq!(ack["stream"], "JOBS", "{ack}");
    }
    // all of them run, each once, and none is told that it was too many
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < 22 {
        let said = client.send(json!({"do": "next", "subject": "function.result.>", "timeout": 60}));
        assert_eq!(said["body"]["success"], true, "{said}");
        ended.insert(said["subject"].as_str().unwrap().to_owned());
    }
    assert!(
        begun.elapsed() >= std::time::Duration::from_secs(3),
        "the last two waited"
    );
    // who asks to be queued when there is no room is told at once
    let mut asked = 0;
    let refused = loop {
        asked += 1;
        assert!(asked < 100, "there is always room");
        let mut headers = headers(100 + asked);
        headers["Neofn-Mode"] = json!("async");
        let answer = client.request("function.js.demo.hello", "{}", headers);
        if answer["body"]["status"] != "queued" {
            break answer;
        }
    };
    assert_eq!(refused["body"]["code"], "NF0407", "{refused}");
    assert!(refused["headers"]["Retry-After"].is_string(), "{refused}");
}

#[test]
fn requests_are_counted_as_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let config = dir.path().join("cluster.toml");
    let text = format!(
        "[nats]\nurl = {:?}\nworkers = \"embedded\"\n[rates]\nkey = 2\nproject = 4\n",
        nats.url()
    );
    std::fs::write(&config, text).unwrap();
    let args = ["--config", config.to_str().unwrap()];
    let node = NodeProcess::start_in(&dir.path().join("data"), &args);
    deploy(&node, "demo", "hello", HELLO, json!({"public": true}));
    let made = node
        .http()
        .post("/api/v1/keys/demo", &json!({"name": "k", "scopes": ["invoke"]}));
    let key = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    let mut client = Client::connect(&nats);
    let mut ask =
        |headers: &serde_json::Value| client.request("function.js.demo.hello", "{}", headers.clone());
    let refused = |answer: serde_json::Value| {
        assert_eq!(answer["body"]["code"], "NF0407", "{answer}");
        assert_eq!(answer["headers"]["Nats-Service-Error-Code"], "429", "{answer}");
        let wait = answer["headers"]["Retry-After"].as_str().unwrap();
        assert!(wait.parse::<u64>().unwrap() > 1, "{answer}");
    };
    let with_key = json!({"Authorization": format!("Bearer {key}")});
    for _ in 0..2 {
        let answer = ask(&with_key);
        assert_eq!(answer["body"]["success"], true, "{answer}");
    }
    refused(ask(&with_key));
    // strangers have no address here: what they send counts for all strangers of the project
    for _ in 0..4 {
        let answer = ask(&json!({}));
        assert_eq!(answer["body"]["success"], true, "{answer}");
    }
    refused(ask(&json!({})));
    // and for them alone: its own people are let in, and so is nobody's word about what is not public counted
    for _ in 0..5 {
        let answer = client.request("function.js.demo.none", "{}", json!({}));
        assert_eq!(answer["body"]["code"], "NF0401", "{answer}");
    }
    let made = node
        .http()
        .post("/api/v1/keys/demo", &json!({"name": "k2", "scopes": ["invoke"]}));
    let other = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    let mut ask =
        |headers: &serde_json::Value| client.request("function.js.demo.hello", "{}", headers.clone());
    let answer = ask(&json!({"Authorization": format!("Bearer {other}")}));
    assert_eq!(answer["body"]["success"], true, "{answer}");
    // who runs the node is not counted
    let operator = json!({"Authorization": format!("Bearer {}", node.key())});
    let answer = ask(&operator);
    assert_eq!(answer["body"]["success"], true, "{answer}");
}
