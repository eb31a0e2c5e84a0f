//! The suite of the ports over real servers, and what only a server can show.

use neofn_bus::port::Bus;
use neofn_bus::{BusError, Message, conformance};
use neofn_bus_nats::{Login, Nats, NatsSettings, StreamSettings};
use neofn_testkit::{NatsConfig, NatsServer};
use neofn_types::Code;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn settings(urls: Vec<String>) -> NatsSettings {
    NatsSettings {
        urls,
        login: Login::None,
        ca_file: None,
        name: "test".to_owned(),
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
    assert!(error.message.contains("JOBS") && error.message.contains("max_msgs is 40, must be 41"), "{error}");
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
    let denied = rpc.request("secret.subject", Message::new("x"), Duration::from_secs(1)).await;
    assert!(matches!(denied, Err(BusError::Denied(_))), "{denied:?}");
    let nobody = rpc.request("neofn.nobody", Message::new("x"), SOON).await;
    assert!(matches!(nobody, Err(BusError::NoResponders(_))), "{nobody:?}");
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
    bus.jobs.push("jobs.js.demo.kept", "kept", Message::new("work")).await.unwrap();
    server.kill(0);
    let gone = bus.rpc.request("still.there", Message::new("?"), Duration::from_millis(500)).await;
    assert!(gone.is_err(), "{gone:?}");
    server.go_on(0);
    let until = tokio::time::Instant::now() + SOON * 2;
    loop {
        let answer = nats.rpc().request("still.there", Message::new("?"), Duration::from_secs(1)).await;
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
