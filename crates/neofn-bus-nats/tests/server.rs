//! The suite of the ports over real servers, and what only a server can show.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop loudly")]

use neofn_bus::port::Bus;
use neofn_bus::{BusError, Message, conformance};
use neofn_bus_nats::{Login, Nats, NatsSettings, StreamSettings};
use neofn_testkit::{Authority, NatsConfig, NatsServer};
use neofn_types::Code;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn settings(urls: Vec<String>) -> NatsSettings {
    NatsSettings {
        urls,
        login: Login::None,
        ca_file: None,
        certificate: None,
        name: "test".to_owned(),
        inbox: "_INBOX".to_owned(),
    }
}

async fn connected(server: &NatsServer, streams: &StreamSettings) -> (Nats, Bus) {
    let nats = Nats::connect(settings(server.urls())).await.unwrap();
    let bus = nats.bus(streams).await.unwrap();
    (nats, bus)
}

fn small() -> StreamSettings {
    StreamSettings {
        messages_max: u32::try_from(conformance::QUEUE_MAX).unwrap(),
        share_max: u32::try_from(conformance::SHARE_MAX).unwrap(),
        ..StreamSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_passes_the_suite() {
    let server = NatsServer::start_with(
        1,
        &NatsConfig {
            payload_bytes_max: 1 << 20,
            ..NatsConfig::default()
        },
    );
    let (_nats, bus) = connected(&server, &small()).await;
    conformance::run(&bus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_pass_the_suite() {
    let server = NatsServer::cluster();
    let (_nats, bus) = connected(&server, &small()).await;
    conformance::run(&bus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_is_refused_with_the_difference() {
    let server = NatsServer::start();
    let (nats, _bus) = connected(&server, &small()).await;
    let again = nats.bus(&small()).await;
    assert!(again.is_ok(), "the same settings are the same streams");
    let larger = StreamSettings {
        messages_max: 41,
        ..small()
    };
    let error = nats.bus(&larger).await.err().unwrap();
    assert_eq!(error.code, Code::BusMismatch);
    assert!(
        error.message.contains("JOBS") && error.message.contains("max_msgs is 40, must be 41"),
        "{error}"
    );
}

/// A queue of an earlier version has no share for each subject: it is refused with the command that gives it one.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_shares_is_refused_with_the_cure() {
    let server = NatsServer::start();
    let (nats, _bus) = connected(&server, &small()).await;
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = context.get_stream("JOBS").await.unwrap();
    let ours = stream.cached_info().config.clone();
    let earlier = async_nats::jetstream::stream::Config {
        max_messages_per_subject: -1,
        discard_new_per_subject: false,
        max_message_size: -1,
        ..ours.clone()
    };
    context.update_stream(earlier).await.unwrap();
    let error = nats.bus(&small()).await.err().unwrap();
    assert_eq!(error.code, Code::BusMismatch);
    let text = "discard_new_per_subject is false, must be true; max_msgs_per_subject is -1, must be 30; \
                max_msg_size is unlimited, must be 1114112";
    assert!(error.message.ends_with(text), "{error}");
    let command =
        "nats stream edit JOBS --max-msgs-per-subject=30 --discard-per-subject --max-msg-size=1114112";
    assert!(error.cure().ends_with(command), "{}", error.cure());
    context.update_stream(ours).await.unwrap();
    let (_nats, bus) = connected(&server, &small()).await;
    // an event, and no more
    for (bytes, fits) in [(1 << 20, true), ((1 << 20) + (64 << 10) + 1, false)] {
        let (id, message) = (bytes.to_string(), Message::new(vec![b' '; bytes]));
        match bus.jobs.push("jobs.js.demo.f", &id, message).await {
            Ok(_) => assert!(fits, "{bytes}"),
            Err(error) => assert!(!fits && matches!(error, BusError::TooLarge { .. }), "{error}"),
        }
    }
}

/// The server says the same of a subject that is taken and of a stream that takes no more.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_finds_no_room_is_not_said() {
    let server = NatsServer::start();
    let (_nats, bus) = connected(&server, &small()).await;
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = context.get_stream("RESULTS").await.unwrap();
    let ours = stream.cached_info().config.clone();
    let [first, second] = ["function.result.demo.f.1", "function.result.demo.f.2"];
    assert!(bus.results.settle(first, Message::new("1")).await.unwrap());
    context
        .update_stream(async_nats::jetstream::stream::Config {
            max_messages: 1,
            ..ours.clone()
        })
        .await
        .unwrap();
    let full = bus.results.settle(second, Message::new("2")).await;
    assert_eq!(full, Err(BusError::Full("RESULTS".to_owned())));
    let again = bus.results.settle(first, Message::new("3")).await;
    assert_eq!(again, Ok(false), "that one was said");
    context.update_stream(ours).await.unwrap();
    assert!(bus.results.settle(second, Message::new("2")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subject_is_said_to_be_refused() {
    let server = NatsServer::start_with(
        1,
        &NatsConfig {
            more: "authorization { users: [ { user: w, password: p, permissions: { publish: [\"neofn.>\"], \
                   subscribe: [\"_INBOX.>\", \"neofn.>\"] } } ] }\n"
                .to_owned(),
            ..NatsConfig::default()
        },
    );
    let wrong = Nats::connect(settings(server.urls())).await.err().unwrap();
    assert_eq!(wrong.code, Code::BusDenied, "{wrong}");
    let nats = Nats::connect(NatsSettings {
        login: Login::Password("w".to_owned(), "p".to_owned()),
        ..settings(server.urls())
    });
    let rpc = nats.await.unwrap().rpc();
    // as the address says
    let with = server.url().replace("nats://", "nats://w:p@");
    let by_address = Nats::connect(settings(vec![with])).await.unwrap();
    assert!(!by_address.url().contains("w:p"), "{}", by_address.url());
    let wrong = server.url().replace("nats://", "nats://w:wrong@");
    let wrong = Nats::connect(settings(vec![wrong])).await.err().unwrap();
    assert_eq!(wrong.code, Code::BusDenied, "{wrong}");
    let denied = rpc
        .request("secret.subject", Message::new("x"), Duration::from_secs(1))
        .await;
    assert!(matches!(denied, Err(BusError::Denied(_))), "{denied:?}");
    let nobody = rpc.request("neofn.nobody", Message::new("x"), SOON).await;
    assert!(matches!(nobody, Err(BusError::NoResponders(_))), "{nobody:?}");
}

/// A server that lets in who has a certificate of its authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_certificates_gets_ours_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, others] = [(); 2].map(|()| Authority::new());
    let ca = ours.write(dir.path(), "ca.pem");
    let [cert, key] = ours.sign().write(dir.path(), "server");
    let server = NatsServer::start_with(
        1,
        &NatsConfig {
            more: format!(
                "tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{}\", verify: true }}\n",
                ca.display()
            ),
            ..NatsConfig::default()
        },
    );
    let pair = |[cert, key]: [String; 2]| Some((cert.into(), key.into()));
    let connect = |ca_file: Option<&Path>, certificate| {
        Nats::connect(NatsSettings {
            ca_file: ca_file.map(Path::to_owned),
            certificate,
            ..settings(server.urls())
        })
    };
    let own = pair(ours.sign().write(dir.path(), "own"));
    let nats = connect(Some(&ca), own.clone()).await.unwrap();
    let mut served = nats.rpc().serve("there", None).await.unwrap();
    tokio::spawn(async move {
        let reply = served.next().await.unwrap().reply.unwrap();
        reply.send(Message::new("yes")).await.unwrap();
    });
    let answer = nats
        .rpc()
        .request("there", Message::new("?"), SOON)
        .await
        .unwrap();
    assert_eq!(answer.payload, "yes");

    // none, one of another authority, and a server that another authority signed
    let hint = |refused: Result<Nats, neofn_types::Error>| refused.err().unwrap().cure().to_owned();
    let unshown = hint(connect(Some(&ca), None).await);
    assert!(unshown.contains("cert_file"), "{unshown}");
    let foreign = pair(others.sign().write(dir.path(), "foreign"));
    assert!(connect(Some(&ca), foreign).await.is_err());
    let other_ca = others.write(dir.path(), "other-ca.pem");
    assert!(hint(connect(Some(&other_ca), own.clone()).await).contains("ca_file names the authority"));
    // files that hold something else
    let refused = connect(Some(Path::new(&key)), own.clone()).await.err().unwrap();
    assert_eq!(refused.code, Code::ConfigInvalid);
    assert!(refused.message.contains("holds no CERTIFICATE"), "{refused}");

    // who means TLS does not speak in the clear, whatever the server offers
    let plain = NatsServer::start();
    let in_the_clear = Nats::connect(NatsSettings {
        certificate: own,
        ca_file: Some(ca),
        ..settings(plain.urls())
    });
    assert!(in_the_clear.await.is_err());
}

/// A server with the users that we publish, and a key for each: gateway, worker, client.
fn published_users() -> (NatsServer, Vec<nkeys::KeyPair>) {
    let published = include_str!("../../../deploy/nats/nats.conf");
    let (_, mut more) = published
        .split_once("authorization {")
        .map(|(a, b)| (a, format!("authorization {{{b}")))
        .unwrap();
    let pairs: Vec<nkeys::KeyPair> = (0..3).map(|_| nkeys::KeyPair::new_user()).collect();
    for (role, pair) in ["GATEWAY", "WORKER", "CLIENT"].iter().zip(&pairs) {
        more = more.replace(&format!("$NEOFN_{role}_NKEY"), &pair.public_key());
    }
    let server = NatsServer::start_with(
        1,
        &NatsConfig {
            more,
            ..NatsConfig::default()
        },
    );
    (server, pairs)
}

/// Nobody hears what is not for him: other inboxes carry keys, results and host calls of every tenant.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_what_is_for_others() {
    let (server, pairs) = published_users();
    for (role, own, foreign) in [
        (
            1,
            vec!["neofn.inbox.worker.w1.>", "neofn.worker.w1.*"],
            vec![
                ">",
                "_INBOX.>",
                "neofn.inbox.>",
                "neofn.inbox.worker.*.>",
                "neofn.inbox.gateway.g1.>",
                "neofn.worker.*.*",
                "neofn.worker.w2.run",
                "neofn.host.*.*",
                "jobs.>",
                "function.result.>",
                "$JS.>",
            ],
        ),
        (
            2,
            vec!["_INBOX.demo.>", "function.result.demo.>"],
            vec![
                ">",
                "_INBOX.>",
                "_INBOX.other.>",
                "neofn.>",
                "jobs.>",
                "jobs.js.demo.f",
                "events.>",
                "function.result.>",
                "function.result.other.>",
                "function.js.demo.f",
            ],
        ),
    ] {
        let seed = pairs[role].seed().unwrap();
        for (allowed, subject) in own
            .iter()
            .map(|s| (true, s))
            .chain(foreign.iter().map(|s| (false, s)))
        {
            let refused = std::sync::Arc::new(tokio::sync::Notify::new());
            let told = refused.clone();
            let client = async_nats::ConnectOptions::with_nkey(seed.clone())
                .custom_inbox_prefix(if role == 1 {
                    "neofn.inbox.worker.w1"
                } else {
                    "_INBOX.demo"
                })
                .event_callback(move |event| {
                    let told = told.clone();
                    async move {
                        if event
                            .to_string()
                            .to_lowercase()
                            .contains("permissions violation for subscription")
                        {
                            told.notify_one();
                        }
                    }
                })
                .connect(server.url())
                .await
                .unwrap();
            let _heard = client.subscribe(subject.to_string()).await.unwrap();
            // the server answers in order: after this its refusal would be here
            client.flush().await.unwrap();
            let within = if allowed { Duration::from_millis(300) } else { SOON };
            let was_refused = tokio::time::timeout(within, refused.notified()).await.is_ok();
            assert_eq!(was_refused, !allowed, "{role}: {subject}");
        }
    }
    // nor may a worker take anything out of the object store, or ask for the work itself
    let worker = Nats::connect(NatsSettings {
        login: Login::Nkey(pairs[1].seed().unwrap()),
        inbox: "neofn.inbox.worker.w1".to_owned(),
        ..settings(server.urls())
    });
    let rpc = worker.await.unwrap().rpc();
    for subject in [
        "$JS.API.STREAM.PURGE.OBJ_artifacts",
        "$JS.API.CONSUMER.MSG.NEXT.JOBS.gateways",
        "$JS.API.STREAM.MSG.GET.JOBS",
        "neofn.worker.w2.run",
        "neofn.beat.worker.w2",
    ] {
        let denied = rpc
            .request(subject, Message::new(""), Duration::from_secs(1))
            .await;
        assert!(
            matches!(denied, Err(BusError::Denied(_))),
            "{subject}: {denied:?}"
        );
    }
}

/// The permissions that we publish are enough for each role.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_what_it_needs_by_its_nkey() {
    let (server, pairs) = published_users();
    let inboxes = ["neofn.inbox.gateway.g1", "neofn.inbox.worker.w1", "_INBOX.demo"];
    let connect = |n: usize| {
        let login = Login::Nkey(pairs[n].seed().unwrap());
        let settings = NatsSettings {
            login,
            inbox: inboxes[n].to_owned(),
            ..settings(server.urls())
        };
        async move { Nats::connect(settings).await.unwrap() }
    };
    let gateway = connect(0).await;
    conformance_of_a_gateway(&gateway).await;
    let worker = connect(1).await;
    let (rpc, artifacts) = (worker.rpc(), worker.artifacts());
    let bytes = bytes::Bytes::from(vec![3u8; 300_000]);
    let digest = neofn_types::Digest::of(&bytes);
    for _ in 0..2 {
        artifacts.put(digest, bytes.clone()).await.unwrap();
    }
    assert_eq!(artifacts.get(digest).await.unwrap(), Some(bytes));
    let mut requests = rpc.serve("neofn.worker.w1.*", None).await.unwrap();
    let mut asked = gateway.rpc().serve("neofn.host.g1.*", None).await.unwrap();
    // at the server, before somebody else asks there
    worker.check_subscriptions().await.unwrap();
    gateway.check_subscriptions().await.unwrap();
    tokio::spawn(async move {
        let received = requests.next().await.unwrap();
        // a host call while it works
        let host = rpc
            .request("neofn.host.g1.c1", Message::new("call"), SOON)
            .await
            .unwrap();
        received.reply.unwrap().send(host).await.unwrap();
        rpc.publish("neofn.beat.worker.w1", Message::new("{}"))
            .await
            .unwrap();
        let denied = rpc
            .request("jobs.js.demo.f", Message::new("{}"), Duration::from_secs(1))
            .await;
        assert!(matches!(denied, Err(BusError::Denied(_))), "{denied:?}");
    });
    tokio::spawn(async move {
        let received = asked.next().await.unwrap();
        received
            .reply
            .unwrap()
            .send(Message::new("answer"))
            .await
            .unwrap();
    });
    let ran = gateway
        .rpc()
        .request("neofn.worker.w1.run", Message::new("run"), SOON)
        .await
        .unwrap();
    assert_eq!(ran.payload, "answer");
    let client = connect(2).await.rpc();
    let mut functions = gateway
        .rpc()
        .serve("function.js.*.*", Some("neofn"))
        .await
        .unwrap();
    gateway.check_subscriptions().await.unwrap();
    tokio::spawn(async move {
        let received = functions.next().await.unwrap();
        received
            .reply
            .unwrap()
            .send(Message::new("result"))
            .await
            .unwrap();
    });
    let answer = client
        .request("function.js.demo.hello", Message::new("{}"), SOON)
        .await
        .unwrap();
    assert_eq!(answer.payload, "result");
    let denied = client
        .request("neofn.worker.w1.run", Message::new("{}"), Duration::from_secs(1))
        .await;
    assert!(matches!(denied, Err(BusError::Denied(_))), "{denied:?}");
}

async fn conformance_of_a_gateway(gateway: &Nats) {
    let bus = gateway.bus(&StreamSettings::default()).await.unwrap();
    bus.jobs
        .push("jobs.js.demo.f", "1", Message::new("{}"))
        .await
        .unwrap();
    let mut taken = bus.jobs.pull(1, SOON).await.unwrap();
    taken.pop().unwrap().done().await.unwrap();
    assert!(
        bus.results
            .settle("function.result.demo.f.1", Message::new("{}"))
            .await
            .unwrap()
    );
    assert!(
        bus.results
            .settled("function.result.demo.f.1")
            .await
            .unwrap()
            .is_some()
    );
    bus.leases
        .put("g1", bytes::Bytes::from_static(b"{}"))
        .await
        .unwrap();
    assert_eq!(bus.leases.entries().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_of_three_loses_no_job() {
    const JOBS: usize = 400;
    let mut server = NatsServer::cluster();
    let (_nats, bus) = connected(&server, &StreamSettings::default()).await;
    let pushing = bus.clone();
    let pusher = tokio::spawn(async move {
        let mut tries = 0;
        for n in 0..JOBS {
            let id = format!("job-{n}");
            // the same id again until it is taken: twice would be a duplicate
            while let Err(error) = pushing
                .jobs
                .push("jobs.js.demo.f", &id, Message::new(id.clone()))
                .await
            {
                assert!(matches!(error, BusError::Unavailable(_)), "{error}");
                tries += 1;
                assert!(tries < 400, "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let mut seen = std::collections::HashMap::<String, u32>::new();
    let until = tokio::time::Instant::now() + SOON * 8;
    let mut killed = 0;
    while seen.len() < JOBS {
        assert!(tokio::time::Instant::now() < until, "{} of {JOBS}", seen.len());
        for delivery in bus
            .jobs
            .pull(64, Duration::from_secs(1))
            .await
            .unwrap_or_default()
        {
            let id = delivery.id().to_owned();
            // an acknowledgement that is lost brings it again, which the store would see
            let _ = delivery.done().await;
            *seen.entry(id).or_default() += 1;
        }
        if killed < 3 && seen.len() > JOBS / 5 * (killed + 1) {
            // one after the other, so that the leader is among them
            server.kill(killed);
            tokio::time::sleep(Duration::from_millis(500)).await;
            server.go_on(killed);
            killed += 1;
        }
    }
    pusher.await.unwrap();
    assert_eq!(killed, 3);
    assert!((0..JOBS).all(|n| seen.contains_key(&format!("job-{n}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_finds_us_again() {
    let mut server = NatsServer::start();
    let (nats, bus) = connected(&server, &small()).await;
    let mut incoming = bus.rpc.serve("still.there", None).await.unwrap();
    tokio::spawn(async move {
        while let Some(received) = incoming.next().await {
            if let Some(reply) = received.reply {
                let _ = reply.send(Message::new("yes")).await;
            }
        }
    });
    bus.jobs
        .push("jobs.js.demo.kept", "kept", Message::new("work"))
        .await
        .unwrap();
    server.kill(0);
    let gone = bus
        .rpc
        .request("still.there", Message::new("?"), Duration::from_millis(500))
        .await;
    assert!(gone.is_err(), "{gone:?}");
    server.go_on(0);
    let until = tokio::time::Instant::now() + SOON * 2;
    loop {
        let answer = nats
            .rpc()
            .request("still.there", Message::new("?"), Duration::from_secs(1))
            .await;
        match answer {
            Ok(answer) => break assert_eq!(answer.payload, "yes"),
            Err(error) => assert!(tokio::time::Instant::now() < until, "{error}"),
        }
    }
    let mut kept = Vec::new();
    while kept.is_empty() {
        assert!(tokio::time::Instant::now() < until, "the job is lost");
        kept = bus.jobs.pull(1, Duration::from_secs(1)).await.unwrap_or_default();
    }
    assert_eq!(kept[0].id(), "kept");
}
