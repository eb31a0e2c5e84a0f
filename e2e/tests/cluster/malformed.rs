//! Messages that no client library would send: each costs itself, and nobody else anything.

use crate::client::Client;
use crate::{deploy, gateway, wait_for_workers};
use neofn_testkit::{MALFORMED_HEADERS, MALFORMED_SUBJECTS, NatsServer, RawNats, WorkerProcess};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_malformed_message_costs_itself_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&node, 1);
    let hello = "export const handler = () => 'hello'";
    deploy(&node, "demo", "hello", hello, json!({"public": true}));
    // runs on the worker and asks the gateway: over the connections that must not be lost
    let other = "export const handler = (e, ctx) => ctx.kv.increment('runs', 1)";
    deploy(&node, "other", "count", other, json!({"allow": {"kv": true}}));
    let count = || node.http().post("/api/v1/functions/other/count", &json!({}));
    let mut client = Client::connect(&nats);
    for subject in ["function.result.>", "_INBOX.bad"] {
        assert_eq!(
            client.send(json!({"do": "subscribe", "subject": subject})),
            json!({})
        );
    }
    let next = |client: &mut Client, subject: &str| -> Value {
        client.send(json!({"do": "next", "subject": subject, "timeout": 15}))
    };
    let mut raw = RawNats::connect(&nats.url());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let begun = Instant::now();
            while !over.load(Ordering::Acquire) && begun.elapsed() < Duration::from_secs(120) {
                let ran = count();
                assert_eq!(ran.status, 200, "{}", ran.body);
            }
        });
        for (name, headers) in MALFORMED_HEADERS {
            raw.publish(b"function.js.demo.hello", "_INBOX.bad", Some(headers), b"{}");
            let said = next(&mut client, "_INBOX.bad");
            assert_eq!(said["body"]["code"], "NF0317", "{name}: {said}");
        }
        for odd in MALFORMED_SUBJECTS {
            let subject = [&b"function.js.demo."[..], odd].concat();
            raw.publish(&subject, "_INBOX.bad", Some(b"NATS/1.0\r\nA: b\r\n\r\n"), b"{}");
            let said = next(&mut client, "_INBOX.bad");
            assert_eq!(said["body"]["code"], "NF1607", "{said}");
        }
        let mut bad = 0;
        for subject in ["jobs.js.demo.hello", "events.demo"] {
            // a status is taken out by the server
            for (_, headers) in MALFORMED_HEADERS
                .iter()
                .filter(|(name, _)| !name.contains("status"))
            {
                raw.publish(subject.as_bytes(), "", Some(headers), b"{}");
                bad += 1;
            }
        }
        for odd in MALFORMED_SUBJECTS {
            raw.publish(&[&b"jobs.js.demo."[..], odd].concat(), "", None, b"{}");
            bad += 1;
        }
        raw.publish(
            b"jobs.js.demo.hello",
            "",
            Some(b"NATS/1.0\r\nNats-Msg-Id: good\r\n\r\n"),
            b"{}",
        );
        // the queue goes on, and what was refused is kept and said
        let (mut refused, mut good) = (0, false);
        while !good || refused < bad {
            let said = next(&mut client, "function.result.>");
            match said["body"]["result"] == "hello" {
                true => good = true,
                false => {
                    let code = &said["body"]["code"];
                    assert!(code == "NF0317" || code == "NF1607", "{said}");
                    refused += 1;
                }
            }
        }
        let list = node.http().get("/api/v1/deadletters?project=demo").json();
        assert_eq!(list["messages"].as_array().unwrap().len(), bad, "{list}");
        over.store(true, Ordering::Release);
        others.join().unwrap();
    });
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
}
