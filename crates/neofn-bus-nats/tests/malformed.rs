//! Messages that are none to a client library: each costs itself at most.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop loudly")]

use neofn_bus::Message;
use neofn_bus::subject::is_valid;
use neofn_bus_nats::{Login, Nats, NatsSettings, StreamSettings};
use neofn_testkit::{MALFORMED_HEADERS, MALFORMED_SUBJECTS, NatsServer, RawNats};
use std::time::{Duration, Instant};

/// Less than a queue's patience with whoever took a message and said no word.
const SOON: Duration = Duration::from_secs(8);

async fn connect(server: &NatsServer, name: &str) -> Nats {
    Nats::connect(NatsSettings {
        urls: server.urls(),
        login: Login::None,
        ca_file: None,
        certificate: None,
        name: name.to_owned(),
        inbox: format!("neofn.inbox.gateway.{name}"),
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test waits for real time")]
async fn a_malformed_message_in_a_queue_is_delivered_as_one() {
    let server = NatsServer::start();
    let nats = connect(&server, "g1").await;
    let bus = nats.bus(&StreamSettings::default()).await.unwrap();
    for (queue, subject) in [(&bus.jobs, "jobs.js.demo.f"), (&bus.events, "events.demo")] {
        let mut raw = RawNats::connect(&server.url());
        for (name, headers) in MALFORMED_HEADERS {
            raw.publish(subject.as_bytes(), "", Some(headers), name.as_bytes());
        }
        // a server's own word to whoever pulls, said by somebody else: the end of the consumer, a heartbeat, no more messages.
        // Newer servers take them out of what a stream keeps
        for status in ["409 Consumer Deleted", "100", "404"] {
            let headers = format!("NATS/1.0 {status}\r\n\r\n");
            raw.publish(subject.as_bytes(), "", Some(headers.as_bytes()), b"a status");
        }
        for odd in MALFORMED_SUBJECTS {
            let subject = [subject.as_bytes(), odd].concat();
            raw.publish(&subject, "", None, b"{}");
            raw.publish(&subject, "", Some(b"NATS/1.0\r\nA: b\r\n\r\n"), b"{}");
        }
        let good = Message::new("good").header("A", "b");
        queue.push(subject, "good", good.clone()).await.unwrap();
        let begun = Instant::now();
        let (mut bad, mut odd, mut good) = (0, 0, 0);
        while bad < MALFORMED_HEADERS.len() + 3 || odd < 2 * MALFORMED_SUBJECTS.len() || good < 1 {
            assert!(begun.elapsed() < SOON, "{bad} {odd} {good}");
            for taken in queue.pull(100, SOON).await.unwrap() {
                assert_eq!(taken.attempt(), 1, "{}", taken.subject());
                let message = taken.message();
                if message.payload == "good" {
                    assert_eq!((message.get("A"), &message.unreadable), (Some("b"), &None));
                    good += 1;
                } else if message.payload == "{}" {
                    assert!(!is_valid(taken.subject()), "{}", taken.subject());
                    odd += 1;
                } else {
                    let status = message.payload.starts_with(b"a status");
                    assert!(status || message.unreadable.is_some(), "{message:?}");
                    assert!(status || message.headers.is_empty(), "{message:?}");
                    bad += 1;
                }
                taken.give_up("it is looked at").await.unwrap();
            }
        }
        assert_eq!(queue.depth().await.unwrap().taken, 0);
    }
}

/// What is under way on the connection goes on, and the next message comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_cuts_off_nobody() {
    let server = NatsServer::start();
    let gateway = connect(&server, "g1").await.rpc();
    let worker = connect(&server, "w1").await.rpc();
    let mut incoming = gateway.serve("function.js.>", Some("neofn")).await.unwrap();
    let mut runs = worker.serve("neofn.worker.w1.run", None).await.unwrap();
    let run = {
        let gateway = gateway.clone();
        let long = Duration::from_secs(60);
        tokio::spawn(async move {
            gateway
                .request("neofn.worker.w1.run", Message::new("run"), long)
                .await
        })
    };
    let run_reply = runs.next().await.unwrap().reply.unwrap();
    let mut raw = RawNats::connect(&server.url());
    for (name, headers) in MALFORMED_HEADERS {
        raw.publish(b"function.js.demo.f", "_INBOX.x", Some(headers), b"{}");
        let received = tokio::time::timeout(SOON, incoming.next())
            .await
            .unwrap()
            .unwrap();
        assert!(received.message.unreadable.is_some(), "{name}");
        assert!(received.reply.is_some(), "{name}");
    }
    for odd in MALFORMED_SUBJECTS {
        let subject = [&b"function.js.demo."[..], odd].concat();
        for headers in [None, Some(&b"NATS/1.0\r\nA: b\r\n\r\n"[..])] {
            raw.publish(&subject, "_INBOX.x", headers, b"{}");
            let received = tokio::time::timeout(SOON, incoming.next())
                .await
                .unwrap()
                .unwrap();
            assert!(!is_valid(&received.subject), "{}", received.subject);
            assert_eq!(received.message.unreadable, None);
        }
    }
    // the reply is the sender's choice as well
    raw.publish(
        b"function.js.demo.f",
        "_INBOX.a\u{2003}b",
        Some(b"NATS/1.0\r\nA: b\r\n\r\n"),
        b"{}",
    );
    let received = tokio::time::timeout(SOON, incoming.next())
        .await
        .unwrap()
        .unwrap();
    assert!(received.reply.unwrap().send(Message::new("x")).await.is_err());
    // an answer that was waited for all the while still comes: the connection was never lost
    run_reply.send(Message::new("ran")).await.unwrap();
    assert_eq!(run.await.unwrap().unwrap().payload, "ran");
}
