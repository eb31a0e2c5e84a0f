//! Requests and answers as they are on the wire: redirects, limits, encryption, the breaker, values by handle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use neofn_egress::{EgressLimits, Fetch, Handle, Redirects, handle_names};
use neofn_types::Code;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::*;
use zeroize::Zeroizing;

#[tokio::test]
async fn a_request_goes_out_as_it_was_meant() {
    let server = Server::plain(|_| {
        answer(
            "201 Made",
            &[("X-Two", "a"), ("X-Two", "b"), ("Connection", "close")],
            b"{\"ok\":1}",
        )
    })
    .await;
    let world = open_world();
    world.names.set("api.example", &[&["127.0.0.1"]]);
    let p = server.port();
    let fetch = Fetch {
        method: "post".to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), "text/plain".to_owned()),
            ("Host".to_owned(), "evil.example".to_owned()),
        ],
        body: Some(Bytes::from_static(b"hello")),
        ..get(
            &format!("http://api.example:{p}/a%20b?q=1#part"),
            &[&format!("http://api.example:{p}")],
        )
    };
    let got = world.broker.fetch(&fetch, &[]).await.unwrap();
    assert_eq!(
        (got.status, got.redirected, &got.body[..]),
        (201, false, &b"{\"ok\":1}"[..])
    );
    assert_eq!(got.url, format!("http://api.example:{p}/a%20b?q=1"));
    assert_eq!(got.headers.iter().filter(|(n, _)| n == "x-two").count(), 2);
    assert!(got.headers.iter().all(|(n, _)| n != "connection"));
    let seen = server.last();
    assert_eq!(seen.line(), "POST /a%20b?q=1 HTTP/1.1");
    assert_eq!(seen.header("host").unwrap(), format!("api.example:{p}"));
    assert_eq!(seen.header("content-length"), Some("5"));
    assert!(seen.header("user-agent").unwrap().starts_with("neofn/"));
    assert_eq!(seen.body, b"hello");
}

#[tokio::test]
async fn redirects_keep_and_drop_what_the_web_says() {
    let last = Server::start("127.0.0.2", None, &[], Arc::new(|_: &Seen| ok("end"))).await;
    let q = last.port();
    for (status, method, after, body) in [
        ("301 M", "POST", "GET", false),
        ("302 F", "POST", "GET", false),
        ("303 S", "PUT", "GET", false),
        ("307 T", "POST", "POST", true),
        ("308 P", "PUT", "PUT", true),
        ("302 F", "PUT", "PUT", true),
    ] {
        let first = Server::plain(move |_| redirect(status, &format!("http://second.example:{q}/end"))).await;
        let world = open_world();
        world.names.set("first.example", &[&["127.0.0.1"]]);
        world.names.set("second.example", &[&["127.0.0.2"]]);
        let p = first.port();
        let fetch = Fetch {
            method: method.to_owned(),
            headers: vec![
                ("Authorization".to_owned(), "Bearer mine".to_owned()),
                ("Cookie".to_owned(), "a=b".to_owned()),
                ("Content-Type".to_owned(), "text/plain".to_owned()),
                ("X-Kept".to_owned(), "yes".to_owned()),
            ],
            body: Some(Bytes::from_static(b"body")),
            ..get(
                &format!("http://first.example:{p}/"),
                &[
                    &format!("http://first.example:{p}"),
                    &format!("http://second.example:{q}"),
                ],
            )
        };
        let got = world.broker.fetch(&fetch, &[]).await.unwrap();
        assert!(got.redirected && got.url.ends_with("/end"));
        assert_eq!(first.last().header("authorization"), Some("Bearer mine"));
        let seen = last.last();
        assert_eq!(seen.line(), format!("{after} /end HTTP/1.1"), "{status} {method}");
        assert_eq!(seen.body == b"body", body, "{status} {method}");
        assert_eq!(seen.header("content-type").is_some(), body);
        assert_eq!(seen.header("x-kept"), Some("yes"));
        assert_eq!(
            (seen.header("authorization"), seen.header("cookie")),
            (None, None)
        );
    }
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::plain(|seen| {
        let n: u32 = seen.line().split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        if n == 0 {
            ok("end")
        } else {
            redirect("302 Found", &format!("/{}", n - 1))
        }
    })
    .await;
    let world = open_world();
    let p = server.port();
    let origin = format!("http://127.0.0.1:{p}");
    let three = world
        .broker
        .fetch(&get(&format!("{origin}/3"), &[&origin]), &[])
        .await
        .unwrap();
    assert_eq!(three.url, format!("{origin}/0"));
    let four = world
        .broker
        .fetch(&get(&format!("{origin}/4"), &[&origin]), &[])
        .await
        .unwrap_err();
    assert_eq!(four.code, Code::EgressRedirect);
    let manual = Fetch {
        redirects: Redirects::Manual,
        ..get(&format!("{origin}/1"), &[&origin])
    };
    let manual = world.broker.fetch(&manual, &[]).await.unwrap();
    assert_eq!((manual.status, manual.redirected), (302, false));
    let error = Fetch {
        redirects: Redirects::Error,
        ..get(&format!("{origin}/1"), &[&origin])
    };
    assert_eq!(
        world.broker.fetch(&error, &[]).await.unwrap_err().code,
        Code::EgressRedirect
    );
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 32 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let server = Server::plain(move |seen| match seen.line().split(' ').nth(1).unwrap() {
        "/bomb" => answer("200 OK", &[("Content-Encoding", "gzip")], &bomb),
        "/large" => answer("200 OK", &[], &vec![b'x'; (4 << 20) + 1]),
        "/most" => answer("200 OK", &[], &vec![b'x'; 4 << 20]),
        "/header" => answer("200 OK", &[("X", &"y".repeat(40 << 10))], b""),
        "/headers" => answer("200 OK", &[("X", "y"); 80], b""),
        "/endless" => [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 6 << 20]].concat(),
        _ => b"hello, this is no HTTP\r\n\r\n".to_vec(),
    })
    .await;
    let world = open_world();
    let origin = format!("http://127.0.0.1:{}", server.port());
    for (path, code) in [
        ("bomb", Code::EgressTooLarge),
        ("large", Code::EgressTooLarge),
        ("header", Code::EgressTooLarge),
        ("headers", Code::EgressTooLarge),
        ("endless", Code::EgressTooLarge),
        ("nonsense", Code::EgressProtocol),
    ] {
        let refused = world
            .broker
            .fetch(&get(&format!("{origin}/{path}"), &[&origin]), &[])
            .await
            .unwrap_err();
        assert_eq!(refused.code, code, "{path}: {refused}");
    }
    let most = world
        .broker
        .fetch(&get(&format!("{origin}/most"), &[&origin]), &[])
        .await
        .unwrap();
    assert_eq!(most.body.len(), 4 << 20);
    let body = Some(Bytes::from(vec![0; (1 << 20) + 1]));
    let large = Fetch {
        method: "POST".to_owned(),
        body,
        ..get(&origin, &[&origin])
    };
    assert_eq!(
        world.broker.fetch(&large, &[]).await.unwrap_err().code,
        Code::EgressTooLarge
    );
}

#[tokio::test]
async fn a_host_that_is_silent_costs_no_more_than_the_time_and_then_a_pause() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let limits = EgressLimits {
        time: Duration::from_millis(100),
        failures: 2,
        ..EgressLimits::default()
    };
    let world = world(&["127.0.0.0/8"], None, limits);
    for _ in 0..2 {
        let late = world
            .broker
            .fetch(&get(&origin, &[&origin]), &[])
            .await
            .unwrap_err();
        assert_eq!(late.code, Code::EgressTimeout);
    }
    let paused = world
        .broker
        .fetch(&get(&origin, &[&origin]), &[])
        .await
        .unwrap_err();
    assert_eq!(paused.code, Code::EgressCircuit);
    // another function is not held for it
    let mut other = get(&origin, &[&origin]);
    other.function.function = "g".parse().unwrap();
    assert_eq!(
        world.broker.fetch(&other, &[]).await.unwrap_err().code,
        Code::EgressTimeout
    );
    world.clock.0.store(5_000, Ordering::SeqCst);
    assert_eq!(
        world
            .broker
            .fetch(&get(&origin, &[&origin]), &[])
            .await
            .unwrap_err()
            .code,
        Code::EgressTimeout
    );
    assert_eq!(
        world
            .broker
            .fetch(&get(&origin, &[&origin]), &[])
            .await
            .unwrap_err()
            .code,
        Code::EgressCircuit
    );
}

#[tokio::test]
async fn a_function_has_its_number_of_requests_at_once() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let limits = EgressLimits {
        time: Duration::from_secs(30),
        per_function: 2,
        failures: 100,
        ..EgressLimits::default()
    };
    let world = world(&["127.0.0.0/8"], None, limits);
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (broker, fetch) = (Arc::clone(&world.broker), get(&origin, &[&origin]));
        tasks.push(tokio::spawn(async move { broker.fetch(&fetch, &[]).await }));
    }
    let mut held = vec![silent.accept().await.unwrap().0, silent.accept().await.unwrap().0];
    let third = tokio::time::timeout(Duration::from_millis(200), silent.accept()).await;
    assert!(third.is_err(), "a third connection came");
    held.remove(0);
    // a place came free, so that the third goes out
    let third = tokio::time::timeout(Duration::from_secs(10), silent.accept())
        .await
        .unwrap();
    drop((third, held));
    for task in tasks {
        assert!(task.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn encryption_is_checked() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let reply: Reply = Arc::new(|_: &Seen| ok("hello"));
    let good = Server::start("127.0.0.1", Some(&ours), &["api.example"], Arc::clone(&reply)).await;
    let other_name = Server::start("127.0.0.1", Some(&ours), &["else.example"], Arc::clone(&reply)).await;
    let other_root = Server::start("127.0.0.1", Some(&theirs), &["api.example"], Arc::clone(&reply)).await;
    let plain = Server::plain(|_| ok("hello")).await;
    let world = world(&["127.0.0.0/8"], Some(&ours), EgressLimits::default());
    world.names.set("api.example", &[&["127.0.0.1"]]);
    let url = |s: &Server| format!("https://api.example:{}", s.port());
    let got = world
        .broker
        .fetch(&get(&url(&good), &[&url(&good)]), &[])
        .await
        .unwrap();
    assert_eq!(&got.body[..], b"hello");
    for bad in [&other_name, &other_root, &plain] {
        let refused = world
            .broker
            .fetch(&get(&url(bad), &[&url(bad)]), &[])
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::EgressUnreachable);
    }
    assert!(other_name.seen.lock().unwrap().is_empty() && other_root.seen.lock().unwrap().is_empty());
    // from https to http no redirect is followed
    let down = format!("http://api.example:{}", plain.port());
    let to = down.clone();
    let first = Server::start(
        "127.0.0.1",
        Some(&ours),
        &["api.example"],
        Arc::new(move |_: &Seen| redirect("302 F", &to)),
    )
    .await;
    let before = plain.count();
    let refused = world
        .broker
        .fetch(&get(&url(&first), &[&url(&first), &down]), &[])
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::EgressRedirect);
    assert_eq!(plain.count(), before);
}

#[tokio::test]
async fn a_ca_file_is_read_strictly() {
    let authority = Authority::new();
    let path = std::env::temp_dir().join(format!("neofn-ca-{}.pem", std::process::id()));
    std::fs::write(&path, format!("{0}{0}", authority.pem)).unwrap();
    assert_eq!(
        neofn_egress::read_ca_file(&path).unwrap().own,
        vec![authority.certificate.clone(); 2]
    );
    for bad in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        std::fs::write(&path, bad).unwrap();
        assert_eq!(
            neofn_egress::read_ca_file(&path).unwrap_err().code,
            Code::ConfigInvalid,
            "{bad}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    assert!(neofn_egress::read_ca_file(&path).is_err());
}

fn key(host: &str) -> Handle {
    Handle {
        name: "KEY".parse().unwrap(),
        value: Zeroizing::new(b"canary-\"5&d".to_vec()),
        hosts: vec![host.parse().unwrap()],
    }
}

#[tokio::test]
async fn values_go_in_on_the_way_out_and_only_to_their_hosts() {
    let authority = Authority::new();
    let names = ["api.example", "evil.example"];
    let evil = Server::start(
        "127.0.0.1",
        Some(&authority),
        &names,
        Arc::new(|_: &Seen| ok("got you")),
    )
    .await;
    let q = evil.port();
    let server = Server::start(
        "127.0.0.1",
        Some(&authority),
        &names,
        Arc::new(move |seen: &Seen| {
            if seen.line().contains("/away") {
                redirect("307 T", &format!("https://evil.example:{q}/"))
            } else {
                ok("fine")
            }
        }),
    )
    .await;
    let p = server.port();
    let world = world(&["127.0.0.0/8"], Some(&authority), EgressLimits::default());
    for name in names {
        world.names.set(name, &[&["127.0.0.1"]]);
    }
    let allow = [
        format!("https://api.example:{p}"),
        format!("https://evil.example:{q}"),
        format!("http://api.example:{p}"),
    ];
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    let with = |url: &str, headers: &[(&str, &str)], body: Option<&'static str>| Fetch {
        method: "POST".to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: body.map(|b| Bytes::from_static(b.as_bytes())),
        ..get(url, &allow)
    };
    let home = format!("https://api.example:{p}");
    let json = [
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer {{secret:KEY}}"),
    ];
    let fetch = with(
        &format!("{home}/x?k={{{{secret:KEY}}}}"),
        &json,
        Some("{\"k\":\"{{secret:KEY}}\"}"),
    );
    assert_eq!(handle_names(&fetch).unwrap().len(), 1);
    let got = world.broker.fetch(&fetch, &[key("api.example")]).await.unwrap();
    let seen = server.last();
    assert_eq!(seen.header("authorization"), Some("Bearer canary-\"5&d"));
    assert_eq!(seen.line(), "POST /x?k=canary-%225%26d HTTP/1.1");
    assert_eq!(seen.body, b"{\"k\":\"canary-\\\"5&d\"}");
    // what the function sees of its own request is the handle
    assert!(!format!("{got:?}").contains("canary"));
    // a header with a value does not follow to another host, a body with one stops the request
    let fetch = with(&format!("{home}/away"), &json[1..], None);
    let got = world.broker.fetch(&fetch, &[key("api.example")]).await.unwrap();
    assert_eq!(&got.body[..], b"got you");
    assert!(!evil.last().head.contains("canary") && !evil.last().head.contains("secret"));
    let before = evil.count();
    let fetch = with(&format!("{home}/away"), &[], Some("{{secret:KEY}}"));
    let refused = world.broker.fetch(&fetch, &[key("*")]).await.unwrap_err();
    assert_eq!(refused.code, Code::SecretHost);
    // and to a host that the secret does not name, or without encryption, nothing goes at all
    for (url, host) in [
        (format!("https://evil.example:{q}/"), "api.example"),
        (format!("http://api.example:{p}/"), "*"),
    ] {
        let refused = world
            .broker
            .fetch(&with(&url, &json[1..], None), &[key(host)])
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::SecretHost);
        assert!(!format!("{refused:?}").contains("canary"));
    }
    assert_eq!(evil.count(), before);
}
