//! What a client may send that is meant for nobody's good: over a real server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop loudly")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use neofn_bus::port::{Bus, DeadLetter};
use neofn_bus::{BusError, Message};
use neofn_bus_nats::{Login, Nats, NatsSettings, StreamSettings};
use neofn_testkit::{NatsConfig, NatsServer};
use neofn_types::{Code, Digest};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn settings(server: &NatsServer) -> NatsSettings {
    NatsSettings {
        urls: server.urls(),
        login: Login::None,
        ca_file: None,
        certificate: None,
        name: "test".to_owned(),
        inbox: "neofn.inbox.gateway.g1".to_owned(),
    }
}

async fn connected(server: &NatsServer) -> (Nats, Bus) {
    let nats = Nats::connect(settings(server)).await.unwrap();
    let bus = nats.bus(&StreamSettings::default()).await.unwrap();
    (nats, bus)
}

/// Whoever asks names where the answer goes, and a gateway may publish where he may not.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_to_an_inbox_and_nowhere_else() {
    let server = NatsServer::start();
    let (_nats, bus) = connected(&server).await;
    let mut served = bus.rpc.serve("function.js.demo.echo", None).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut everything = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    for place in [
        "function.result.shop.pay.order-7",
        "jobs.js.shop.pay",
        "events.shop",
        "$KV.leases.evil",
        "neofn.beat.evil",
        "$O.artifacts.M.x",
    ] {
        client
            .publish_with_reply("function.js.demo.echo", place, "{}".into())
            .await
            .unwrap();
        let reply = served.next().await.unwrap().reply.unwrap();
        let sent = reply.send(Message::new("forged")).await;
        assert!(matches!(sent, Err(BusError::Denied(_))), "{place}: {sent:?}");
    }
    let inbox = client.new_inbox();
    client
        .publish_with_reply("function.js.demo.echo", inbox.clone(), "{}".into())
        .await
        .unwrap();
    let reply = served.next().await.unwrap().reply.unwrap();
    reply.send(Message::new("answer")).await.unwrap();
    // everything that was published comes in order
    loop {
        let heard = futures_util::StreamExt::next(&mut everything).await.unwrap();
        assert_ne!(heard.payload, "forged", "{}", heard.subject);
        if heard.subject.as_str() == inbox {
            break assert_eq!(heard.payload, "answer");
        }
    }
    // our own ask each other with inboxes of their own
    let answer = bus.rpc.request("function.js.demo.echo", Message::new("?"), SOON);
    let serve = async {
        let reply = served.next().await.unwrap().reply.unwrap();
        reply.send(Message::new("ours")).await.unwrap();
    };
    let (answer, ()) = tokio::join!(answer, serve);
    assert_eq!(answer.unwrap().payload, "ours");
}

/// Whoever may send to a subject chooses how large his messages are: what waits for a reader is bounded by that, too.
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_nobody_reads_are_not_kept() {
    const LARGE: usize = 7 << 20;
    let server = NatsServer::start();
    let (_nats, bus) = connected(&server).await;
    let mut flooded = bus.rpc.serve("function.js.demo.slow", None).await.unwrap();
    let mut after = bus.rpc.serve("function.js.demo.after", None).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut round = async |count: usize| {
        for _ in 0..count {
            let sent = client.publish("function.js.demo.slow", vec![b'x'; LARGE].into());
            sent.await.unwrap();
            client.flush().await.unwrap();
        }
        // it comes after all of them
        client.publish("function.js.demo.after", "".into()).await.unwrap();
        after.next().await.unwrap();
        let mut kept = 0;
        while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(100), flooded.next()).await {
            kept += 1;
        }
        kept
    };
    assert_eq!(round(14).await, (64 << 20) / LARGE);
    assert_eq!(round(2).await, 2, "there is room again");
}

/// A client with an account of its own has another name for its inbox there.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_account_is_answered() {
    let config = NatsConfig {
        more: "accounts {\n NODES { users: [ { user: n, password: p } ], exports: [ { service: \"function.js.demo.*\" } ] }\n \
               DEMO { users: [ { user: c, password: p } ], \
               imports: [ { service: { account: NODES, subject: \"function.js.demo.*\" } } ] }\n}\n"
            .to_owned(),
        ..NatsConfig::default()
    };
    let server = NatsServer::start_with(1, &config);
    let login = |name: &str| Login::Password(name.to_owned(), "p".to_owned());
    let connect = |name, inbox: &str| {
        Nats::connect(NatsSettings {
            login: login(name),
            inbox: inbox.to_owned(),
            ..settings(&server)
        })
    };
    let node = connect("n", "neofn.inbox.gateway.g1").await.unwrap();
    let client = connect("c", "_INBOX").await.unwrap().rpc();
    let mut served = node.rpc().serve("function.js.*.*", Some("neofn")).await.unwrap();
    let answer = async {
        loop {
            let answer = client
                .request("function.js.demo.echo", Message::new("?"), SOON)
                .await;
            match answer {
                // it was there before the other connection's subscription
                Err(BusError::NoResponders(_)) => tokio::time::sleep(SOON / 500).await,
                answer => break answer,
            }
        }
    };
    let serve = async {
        let reply = served.next().await.unwrap().reply.unwrap();
        reply.send(Message::new("answer")).await
    };
    let (answer, served) = tokio::join!(answer, serve);
    assert_eq!(served, Ok(()));
    assert_eq!(answer.unwrap().payload, "answer");
}

/// A refused subject that has another one in it, in quotation marks, refuses that one to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_of_the_whole_subject() {
    let config = NatsConfig {
        more: "authorization { users: [ { user: w, password: p, permissions: { publish: [\"neofn.>\"], \
               subscribe: [\"neofn.>\"] } } ] }\n"
            .to_owned(),
        ..NatsConfig::default()
    };
    let server = NatsServer::start_with(1, &config);
    let nats = Nats::connect(NatsSettings {
        login: Login::Password("w".to_owned(), "p".to_owned()),
        ..settings(&server)
    });
    let rpc = nats.await.unwrap().rpc();
    let mut served = rpc.serve("neofn.worker.w1.run", None).await.unwrap();
    let asking = rpc.clone();
    tokio::spawn(async move {
        let reply = served.next().await.unwrap().reply.unwrap();
        rpc.publish("evil\"neofn.worker.w1.run", Message::new("x"))
            .await
            .unwrap();
        // refused after the other one, so that one is known by now
        let denied = rpc.request("evil.too", Message::new("x"), SOON).await;
        assert!(matches!(denied, Err(BusError::Denied(_))), "{denied:?}");
        reply.send(Message::new("ran")).await.unwrap();
    });
    let ran = asking
        .request("neofn.worker.w1.run", Message::new("run"), SOON)
        .await;
    assert_eq!(ran.unwrap().payload, "ran");
}

fn letter(id: &str, message: Message) -> DeadLetter {
    DeadLetter {
        subject: "jobs.js.demo.f".to_owned(),
        id: id.to_owned(),
        reason: "NF0204: no such function".to_owned(),
        project: Some("demo".to_owned()),
        at_ms: 0,
        message,
    }
}

/// JetStream acknowledges a publication wherever its sender says, permissions or not, and one that is a duplicate as well.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_push_out_no_letters() {
    let server = NatsServer::start();
    let (nats, bus) = connected(&server).await;
    bus.dead
        .keep(letter("demo.f.1", Message::new("x")))
        .await
        .unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client.clone());
    let guesses = [
        "dead.jobs.demo",
        "neofn.dead.jobs.demo",
        "neofn.dead.00000000000000000000000000000000.jobs.demo",
    ];
    for n in 0..1_100 {
        for place in guesses {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", "the same");
            let sent = client.publish_with_reply_and_headers("jobs.js.other.f", place, headers, "{}".into());
            sent.await.unwrap();
        }
        if n % 100 == 0 {
            // answered after all before it: none is dropped on the way
            let sent = context.publish("jobs.js.other.g", "{}".into()).await.unwrap();
            sent.await.unwrap();
        }
    }
    let sent = context.publish("jobs.js.other.g", "{}".into()).await.unwrap();
    sent.await.unwrap();
    // one that came as a job of the project is none either
    let ack = Message::new(r#"{"stream":"JOBS", "seq":1,"duplicate":true}"#);
    bus.dead.keep(letter("demo.f.2", ack)).await.unwrap();
    let stream = context.get_stream("LETTERS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
    let ids = |letters: Vec<DeadLetter>| letters.into_iter().map(|l| l.id).collect::<Vec<_>>();
    assert_eq!(ids(bus.dead.list("demo", 10).await.unwrap()), ["demo.f.1"]);
    // nor is what stands among them without being one
    let subject = stream.cached_info().config.subjects[0].replace("*.*", "jobs.demo");
    let sent = context.publish(subject, "{}".into()).await.unwrap();
    sent.await.unwrap();
    assert_eq!(ids(bus.dead.list("demo", 1).await.unwrap()), ["demo.f.1"]);
    // who knows an earlier secret learns the new one
    context.delete_stream("LETTERS").await.unwrap();
    nats.keep(&StreamSettings::default()).await.unwrap();
    bus.dead
        .keep(letter("demo.f.3", Message::new("x")))
        .await
        .unwrap();
    assert_eq!(ids(bus.dead.list("demo", 10).await.unwrap()), ["demo.f.3"]);
}

/// Streams take 64 KiB of headers: a message that has as many is kept as a letter without them.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_nothing_but_headers_is_kept_as_a_letter() {
    let server = NatsServer::start();
    let (_nats, bus) = connected(&server).await;
    let message = Message::new("x")
        .header("Small", "1")
        .header("Large", "y".repeat(65_000))
        .header("Last", "2");
    bus.dead.keep(letter("demo.f.1", message.clone())).await.unwrap();
    let letters = bus.dead.list("demo", 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message.get("Small"), Some("1"));
    assert_eq!(letters[0].message.get("Large"), None);
    assert_eq!(letters[0].message.get("Last"), Some("2"));
    assert_eq!(letters[0].id, "demo.f.1");
    // and who sends too many through us hears how many
    let many = message.header("More", "y".repeat(2_000));
    let refused = bus.jobs.push("jobs.js.demo.f", "1", many).await;
    assert!(
        matches!(refused, Err(BusError::TooLarge { bytes, bytes_max }) if bytes > 67_000 && bytes_max < 1 << 16),
        "{refused:?}"
    );
}

/// An id that is made of the place in the queue is another one when the queue was made anew, and else stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_made_anew_makes_new_ids() {
    let server = NatsServer::start();
    let (nats, mut bus) = connected(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let sent = context.publish("jobs.js.demo.f", "{}".into()).await.unwrap();
        assert_eq!(sent.await.unwrap().sequence, 1);
        let taken = bus.jobs.pull(1, SOON).await.unwrap().pop().unwrap();
        let id = taken.id().to_owned();
        taken.later(Duration::from_millis(1)).await.unwrap();
        let again = bus.jobs.pull(1, SOON).await.unwrap().pop().unwrap();
        assert_eq!((again.id(), again.attempt()), (&*id, 2));
        again.done().await.unwrap();
        ids.push(id);
        context.delete_stream("JOBS").await.unwrap();
        bus = nats.bus(&StreamSettings::default()).await.unwrap();
    }
    assert_ne!(ids[0], ids[1]);
}

/// Whoever may write to the bucket may spoil it: what cannot be read is said to be so, soon, and can be put again.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_whole_is_put_again() {
    let server = NatsServer::start();
    let (_nats, bus) = connected(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let bucket = context.get_object_store("artifacts").await.unwrap();
    let stream = context.get_stream("OBJ_artifacts").await.unwrap();
    for case in [
        "no pieces",
        "fewer pieces",
        "other pieces",
        "no entry",
        "an entry that is none",
    ] {
        let bytes = Bytes::from(case.repeat(100_000));
        let digest = Digest::of(&bytes);
        let name = digest.to_string();
        bus.artifacts.put(digest, bytes.clone()).await.unwrap();
        let info = bucket.info(&name).await.unwrap();
        let pieces = format!("$O.artifacts.C.{}", info.nuid);
        let entry = format!("$O.artifacts.M.{}", URL_SAFE.encode(&name));
        match case {
            "no pieces" => drop(stream.purge().filter(pieces).await.unwrap()),
            "fewer pieces" => drop(stream.purge().filter(pieces).keep(1).await.unwrap()),
            "other pieces" => {
                stream.purge().filter(&pieces).await.unwrap();
                for _ in 0..info.chunks {
                    let sent = context.publish(pieces.clone(), vec![0; 1 << 17].into()).await;
                    sent.unwrap().await.unwrap();
                }
            }
            "no entry" => drop(stream.purge().filter(entry).await.unwrap()),
            _ => {
                let sent = context.publish(entry, "garbage".into()).await;
                sent.unwrap().await.unwrap();
            }
        }
        let read = tokio::time::timeout(SOON, bus.artifacts.get(digest))
            .await
            .unwrap();
        assert!(!matches!(read, Ok(Some(_))), "{case}");
        bus.artifacts.discard(digest).await.unwrap();
        assert!(!bus.artifacts.has(digest).await.unwrap(), "{case}");
        bus.artifacts.put(digest, bytes.clone()).await.unwrap();
        assert_eq!(bus.artifacts.get(digest).await, Ok(Some(bytes)), "{case}");
    }
}

/// What somebody deletes while nodes run is made again, and what cannot be is said.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_made_again() {
    let server = NatsServer::start();
    let (nats, bus) = connected(&server).await;
    let settings = StreamSettings::default();
    assert!(nats.keep(&settings).await.unwrap().is_empty());
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let all = [
        "JOBS",
        "EVENTS",
        "RESULTS",
        "LETTERS",
        "KV_leases",
        "OBJ_artifacts",
    ];
    for name in all {
        context.delete_stream(name).await.unwrap();
    }
    let made = nats.keep(&settings).await.unwrap();
    assert_eq!(made[..all.len()], all, "{made:?}");
    // the handles of before go on
    let bytes = Bytes::from_static(b"bytes");
    bus.artifacts
        .put(Digest::of(&bytes), bytes.clone())
        .await
        .unwrap();
    assert_eq!(
        bus.artifacts.get(Digest::of(&bytes)).await,
        Ok(Some(bytes.clone()))
    );
    bus.leases.put("g1", bytes).await.unwrap();
    bus.jobs
        .push("jobs.js.demo.f", "1", Message::new("1"))
        .await
        .unwrap();
    assert_eq!(bus.jobs.pull(1, SOON).await.unwrap().len(), 1);
    let stream = context.get_stream("JOBS").await.unwrap();
    stream.delete_consumer("gateways").await.unwrap();
    let made = nats.keep(&settings).await.unwrap();
    assert_eq!(made, ["the consumer gateways of JOBS"]);
    context.delete_stream("LETTERS").await.unwrap();
    let other = async_nats::jetstream::stream::Config {
        name: "LETTERS".to_owned(),
        subjects: vec!["neofn.dead.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(other).await.unwrap();
    let refused = nats.keep(&settings).await.unwrap_err();
    assert_eq!(refused.code, Code::BusMismatch, "{refused}");
}

/// A client that does not answer pings is cut off before those who ask it give up.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_servers_cut_off_who_hangs() {
    let [one, compose, kubernetes] = [
        include_str!("../../../deploy/nats/nats.conf"),
        include_str!("../../../deploy/compose/nats.conf"),
        include_str!("../../../deploy/kubernetes/nats.yaml"),
    ]
    .map(|text| {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| line.starts_with("ping_"))
            .collect::<Vec<_>>()
            .join("\n")
    });
    assert_eq!(one, compose);
    assert_eq!(one, kubernetes);
    let config = NatsConfig {
        more: format!("{one}\n"),
        ..NatsConfig::default()
    };
    let server = NatsServer::start_with(1, &config);
    let address = server.url().replace("nats://", "");
    let cut = tokio::task::spawn_blocking(move || {
        let mut hangs = TcpStream::connect(address).unwrap();
        hangs.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
        hangs
            .write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
            .unwrap();
        let mut heard = Vec::new();
        hangs.read_to_end(&mut heard).map(|_| heard)
    });
    let heard = String::from_utf8(cut.await.unwrap().unwrap()).unwrap();
    assert!(heard.contains("Stale Connection"), "{heard}");
}
