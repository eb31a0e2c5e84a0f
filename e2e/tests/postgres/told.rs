//! Who sent a message is told its end: once, whichever of the gateways ran it, and also when it can have none any more.

use crate::client::Client;
use crate::kills::{Gateways, SOON};
use neofn_testkit::{NatsServer, Postgres, WorkerProcess, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RESULTS: &str = "function.result.demo.>";
const JOBS: usize = 60;

fn next(client: &mut Client, seconds: u64) -> Value {
    client.send(json!({"do": "next", "subject": RESULTS, "timeout": seconds}))
}

fn job(client: &mut Client, name: &str, id: &str) {
    let subject = format!("jobs.js.demo.{name}");
    let sent =
        client.send(json!({"do": "js", "subject": subject, "data": "{}", "headers": {"Nats-Msg-Id": id}}));
    assert_eq!(sent["stream"], "JOBS", "{sent}");
}

#[test]
fn an_end_is_told_once_and_so_is_that_there_will_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, nats) = (Postgres::start(), NatsServer::start());
    let gateways = Gateways::new(dir.path(), &postgres, &nats);
    gateways.start(0);
    gateways.start(1);
    let _worker = WorkerProcess::start(&nats.url());
    let node = gateways.any();
    eventually("the gateway is ready", SOON, || {
        (node.get("/ready").status == 200).then_some(())
    });
    for (name, source) in [
        ("f", "export const handler = () => 1"),
        ("never", "export const handler = () => { throw new Error('no') }"),
    ] {
        let request = json!({"function_name": name, "source": source, "public": true});
        let _ = node.deploy_with("demo", request).expect(201);
    }
    let mut client = Client::connect(&nats);
    assert_eq!(
        client.send(json!({"do": "subscribe", "subject": RESULTS})),
        json!({})
    );
    for n in 0..JOBS {
        job(&mut client, "f", &format!("demo.f.{n}"));
    }
    let mut heard: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        // once all are there, a while longer for those that come twice
        let said = next(&mut client, if heard.len() < JOBS { 60 } else { 4 });
        let Some(subject) = said["subject"].as_str() else {
            break;
        };
        *heard.entry(subject.to_owned()).or_default() += 1;
    }
    assert_eq!(heard.len(), JOBS);
    let twice: Vec<_> = heard.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        twice.is_empty(),
        "{} of {JOBS} were heard again: {twice:?}",
        twice.len()
    );

    // it fails and waits for its next try when its function is deleted
    job(&mut client, "never", "demo.never.1");
    eventually("it waits for another try", SOON, || {
        let list = node.get("/api/v1/functions/demo/never/invocations").json();
        (list["invocations"].as_array()?.first()?["status"] == "queued").then_some(())
    });
    let _ = node.delete("/api/functions/demo/never").expect(200);
    let said = next(&mut client, 30);
    assert_eq!(
        (&said["subject"], &said["body"]["code"]),
        (&json!("function.result.demo.never.1"), &json!("NF0312")),
        "{said}"
    );
    let message = said["body"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("deleted"), "{said}");
    assert_eq!(next(&mut client, 4)["error"], "timeout", "and once");
}
