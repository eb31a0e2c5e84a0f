//! What functions share: threads that resolve names, requests, memory for answers. What one project takes up is its own.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use neofn_egress::port::Resolve;
use neofn_egress::{Broker, BrokerOptions, EgressLimits, Fetch, Reach};
use neofn_types::{Code, FunctionKey};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use support::{Hand, Server, answer, get, world};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn of(project: &str, function: &str, fetch: Fetch) -> Fetch {
    Fetch {
        function: FunctionKey::new(project.parse().unwrap(), function.parse().unwrap()),
        ..fetch
    }
}

/// A resolver whose `*.evil.example` says nothing until it is told to.
#[derive(Default)]
struct Silent {
    asked: Mutex<(usize, bool)>,
    told: Condvar,
}
impl Resolve for Silent {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if host.ends_with(".evil.example.") {
            let mut asked = self.asked.lock().unwrap();
            asked.0 += 1;
            let long = Duration::from_secs(20);
            drop(
                self.told
                    .wait_timeout_while(asked, long, |(_, speaks)| !*speaks)
                    .unwrap(),
            );
        }
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

#[tokio::test]
async fn lookups_that_nobody_waits_for_keep_their_places() {
    let server = Server::plain(|_| support::ok("hello")).await;
    let silent = Arc::<Silent>::default();
    let mut options = BrokerOptions::new(Arc::<Hand>::default());
    options.reach = Reach::with(vec!["127.0.0.0/8".parse().unwrap()]);
    options.resolver = silent.clone();
    options.limits = EgressLimits {
        lookups_per_project: 2,
        lookups_per_node: 3,
        ..EgressLimits::default()
    };
    let broker = Broker::new(options).unwrap();
    let origin = |host: &str| format!("http://{host}:{}", server.port());
    for n in 0..20 {
        let url = origin(&format!("n{n}.evil.example"));
        let mut fetch = of("bad", "f", get(&url, &[&url]));
        fetch.time = Some(Duration::from_millis(20));
        let code = broker.fetch(&fetch, &[]).await.unwrap_err().code;
        let expected = if n < 2 {
            Code::EgressTimeout
        } else {
            Code::EgressBusy
        };
        assert_eq!(code, expected, "{n}");
    }
    let threads = silent.asked.lock().unwrap().0;
    assert!(threads <= 2, "{threads} threads wait");
    // an address needs no lookup, and another project has lookups of its own
    let literal = origin("127.0.0.1");
    let got = broker
        .fetch(&of("bad", "f", get(&literal, &[&literal])), &[])
        .await;
    assert_eq!(got.unwrap().status, 200);
    let good = origin("good.example");
    let got = broker.fetch(&of("good", "f", get(&good, &[&good])), &[]).await;
    assert_eq!(got.unwrap().status, 200);
    silent.asked.lock().unwrap().1 = true;
    silent.told.notify_all();
    let got = broker.fetch(&of("bad", "f", get(&good, &[&good])), &[]).await;
    assert_eq!(got.unwrap().status, 200, "the places came back");
}

#[tokio::test]
async fn a_project_has_its_number_of_requests_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let limits = EgressLimits {
        per_project: 2,
        ..EgressLimits::default()
    };
    let world = world(&["127.0.0.0/8"], None, limits);
    let start = |project: &str, function: &str| {
        let fetch = of(project, function, get(&origin, &[&origin]));
        let broker = Arc::clone(&world.broker);
        tokio::spawn(async move { broker.fetch(&fetch, &[]).await })
    };
    let _first = [start("bad", "a"), start("bad", "b")];
    let mut held = vec![silent.accept().await.unwrap().0, silent.accept().await.unwrap().0];
    let mut third = of("bad", "c", get(&origin, &[&origin]));
    third.time = Some(Duration::from_millis(200));
    let refused = world.broker.fetch(&third, &[]).await.unwrap_err();
    assert_eq!(refused.code, Code::EgressBusy);
    let _other = start("good", "a");
    let accepted = tokio::time::timeout(Duration::from_secs(10), silent.accept()).await;
    held.push(accepted.unwrap().unwrap().0);
}

/// Declares so many bytes, and sends none before it is dropped.
async fn declares(listener: &TcpListener, bytes: usize) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let _ = stream.read(&mut [0; 4096]).await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn memory_for_answers_is_shared_out() {
    const KIB: usize = 1 << 10;
    let large = Server::plain(|_| answer("200 OK", &[], &vec![7; 512 * KIB])).await;
    let small = Server::plain(|_| answer("200 OK", &[], &vec![7; 60 * KIB])).await;
    let packed = Server::plain(|_| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; 512 * KIB]).unwrap();
        answer("200 OK", &[("Content-Encoding", "gzip")], &gzip.finish().unwrap())
    })
    .await;
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = EgressLimits {
        response_bytes: KIB * KIB,
        answer_bytes_per_project: KIB * KIB,
        answer_bytes_per_node: KIB * KIB + 512 * KIB,
        answer_wait: Duration::from_millis(50),
        ..EgressLimits::default()
    };
    let world = world(&["127.0.0.0/8"], None, limits);
    let broker = Arc::clone(&world.broker);
    let ask = async |project: &str, port: u16| {
        let origin = format!("http://127.0.0.1:{port}");
        broker
            .fetch(&of(project, "f", get(&origin, &[&origin])), &[])
            .await
    };
    let origin = format!("http://127.0.0.1:{}", slow.local_addr().unwrap().port());
    let slowly = tokio::spawn({
        let (broker, fetch) = (
            Arc::clone(&world.broker),
            of("bad", "f", get(&origin, &[&origin])),
        );
        async move { broker.fetch(&fetch, &[]).await }
    });
    let held = declares(&slow, KIB * KIB).await;
    // until its head has been read, the room is still there
    let full = async || {
        while ask("bad", large.port()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), full())
        .await
        .unwrap();
    for server in [&large, &packed] {
        let refused = ask("bad", server.port()).await.unwrap_err();
        assert_eq!(refused.code, Code::EgressBusy);
    }
    assert_eq!(ask("bad", small.port()).await.unwrap().body.len(), 60 * KIB);
    // another project has what is left of the node's, for as long as somebody has the answer
    let kept = ask("good", large.port()).await.unwrap();
    assert_eq!(
        ask("good", large.port()).await.unwrap_err().code,
        Code::EgressBusy
    );
    drop(kept);
    assert_eq!(ask("good", packed.port()).await.unwrap().body.len(), 512 * KIB);
    drop(held);
    assert_eq!(slowly.await.unwrap().unwrap_err().code, Code::EgressProtocol);
    assert_eq!(ask("bad", large.port()).await.unwrap().body.len(), 512 * KIB);
}
