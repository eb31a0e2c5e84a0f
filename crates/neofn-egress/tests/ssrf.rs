//! What must never be connected to: every spelling, every resolver's trick, every redirect.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use neofn_egress::EgressLimits;
use neofn_types::Code;
use support::*;

/// Grants that forbid nothing by name, so that only the addresses' own rules are tested.
fn anywhere(port: u16) -> [String; 4] {
    [
        "https://*".to_owned(),
        "http://*".to_owned(),
        format!("http://*:{port}"),
        format!("https://*:{port}"),
    ]
}

#[tokio::test]
async fn no_spelling_of_an_address_that_is_not_public_is_connected_to() {
    let server = Server::plain(|_| ok("secret")).await;
    let six = Server::start("::1", None, &[], std::sync::Arc::new(|_: &Seen| ok("secret"))).await;
    let world = world(&[], None, EgressLimits::default());
    let (p, p6) = (server.port(), six.port());
    let mut urls: Vec<String> = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0x0.0x0.0x1",
        "127.0.0.1.",
        "127.000.000.001",
        "0",
        "0.0.0.0",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        "168.63.129.16",
        "100.64.0.1",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "localhost.localdomain",
        "metadata.google.internal",
        "printer.local",
        "router.lan",
        "x.home.arpa",
        "ⓛocalhost",
    ]
    .iter()
    .flat_map(|host| [format!("http://{host}:{p}/"), format!("https://{host}:{p}/")])
    .collect();
    urls.push(format!("http://[::1]:{p6}/"));
    urls.push(format!("http://[0:0:0:0:0:0:0:1]:{p6}/"));
    for user in [
        format!("http://evil.com@127.0.0.1:{p}/"),
        format!("http://127.0.0.1:{p}@evil.com/"),
        format!("http://user:pass@127.0.0.1:{p}/"),
        format!("http://127.0.0.1:{p}\\@good.com/"),
        format!("http:/\\127.0.0.1:{p}/"),
        format!("http:127.0.0.1:{p}/"),
        format!("http:////127.0.0.1:{p}/"),
        format!("http://127.0.0.1:{p}#@good.com/"),
        format!("http://127.0.0.1:{p}?@good.com/"),
        format!("\thttp://127.0.0.1:{p}/"),
        format!("ht\ntp://127.0.0.1:{p}/"),
        format!("http://127.\t0.0.1:{p}/"),
        format!("http://[fe80::1%25eth0]:{p}/"),
        format!("http://[::1%25lo]:{p6}/"),
        format!("ftp://127.0.0.1:{p}/"),
        format!("gopher://127.0.0.1:{p}/"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        format!("//127.0.0.1:{p}/"),
        format!("http://:{p}/"),
        "http://".to_owned(),
        String::new(),
    ] {
        urls.push(user);
    }
    let allow = anywhere(p);
    let allow6 = anywhere(p6);
    let allow: Vec<&str> = allow.iter().chain(&allow6).map(String::as_str).collect();
    for url in &urls {
        let refused = world.broker.fetch(&get(url, &allow), &[]).await.unwrap_err();
        assert!(
            matches!(refused.code, Code::EgressAddress | Code::EgressUrl),
            "{url}: {refused}"
        );
    }
    assert_eq!((server.count(), six.count()), (0, 0));
    assert!(urls.len() > 130);
}

#[tokio::test]
async fn names_that_resolve_into_a_private_network_are_not_connected_to() {
    let server = Server::plain(|_| ok("secret")).await;
    let world = world(&[], None, EgressLimits::default());
    let p = server.port();
    let allow = anywhere(p);
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    for lists in [
        &["127.0.0.1"][..],
        &["::ffff:127.0.0.1"],
        &["::1"],
        &["169.254.169.254"],
        &["10.0.0.7"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::"],
        // one bad address spoils the answer, wherever it stands
        &["93.184.216.34", "127.0.0.1"],
        &["127.0.0.1", "93.184.216.34"],
        &["2606:4700::1111", "fd00::1"],
        &[
            "1.1.1.1",
            "1.1.1.2",
            "1.1.1.3",
            "1.1.1.4",
            "1.1.1.5",
            "1.1.1.6",
            "1.1.1.7",
            "1.1.1.8",
            "127.0.0.1",
        ],
    ] {
        world.names.set("rebind.example", &[lists]);
        let refused = world
            .broker
            .fetch(&get(&format!("http://rebind.example:{p}/"), &allow), &[])
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::EgressAddress, "{lists:?}");
        // which address it was tells of networks that only the node sees
        assert!(lists.iter().all(|a| !refused.message.contains(a)), "{refused}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    // 127.0.0.2 is opened and stands for the public one; 127.0.0.1 is not
    let inside = Server::plain(|_| ok("secret")).await;
    let world = world(
        &["127.0.0.2/32"],
        None,
        EgressLimits {
            connect_time: std::time::Duration::from_millis(400),
            ..EgressLimits::default()
        },
    );
    let p = inside.port();
    let allow = [format!("http://rebind.example:{p}")];
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    // the first answer is checked and connected to; nobody asks a second time within a request
    world
        .names
        .set("rebind.example", &[&["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://rebind.example:{p}/");
    let first = world.broker.fetch(&get(&url, &allow), &[]).await.unwrap_err();
    assert_eq!(first.code, Code::EgressUnreachable);
    assert_eq!(world.names.asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    let second = world.broker.fetch(&get(&url, &allow), &[]).await.unwrap_err();
    assert_eq!(second.code, Code::EgressAddress);
    assert_eq!(inside.count(), 0);
}

#[tokio::test]
async fn redirects_are_checked_like_first_requests() {
    let inside = Server::plain(|_| ok("secret")).await;
    let p = inside.port();
    let targets = [
        (format!("http://127.0.0.1:{p}/"), Code::EgressAddress),
        (format!("//127.1:{p}/"), Code::EgressAddress),
        (format!("http://[::ffff:127.0.0.1]:{p}/"), Code::EgressAddress),
        (
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            Code::EgressAddress,
        ),
        (format!("http://localhost:{p}/"), Code::EgressAddress),
        (format!("http://inside.example:{p}/"), Code::EgressAddress),
        (format!("http://user@inside.example:{p}/"), Code::EgressUrl),
        ("file:///etc/passwd".to_owned(), Code::EgressUrl),
        ("http://inside.example:22/".to_owned(), Code::EgressUrl),
        ("http://[".to_owned(), Code::EgressRedirect),
        (
            format!("http://elsewhere.example:{}/", p.wrapping_add(1).max(1024)),
            Code::Denied,
        ),
    ];
    for (to, code) in targets {
        for status in [
            "301 Moved",
            "302 Found",
            "303 See Other",
            "307 Again",
            "308 Again",
        ] {
            let location = to.clone();
            let outside = Server::start(
                "127.0.0.2",
                None,
                &[],
                std::sync::Arc::new(move |_: &Seen| redirect(status, &location)),
            )
            .await;
            let world = world(&["127.0.0.2/32"], None, EgressLimits::default());
            world.names.set("outside.example", &[&["127.0.0.2"]]);
            world.names.set("inside.example", &[&["127.0.0.1"]]);
            let o = outside.port();
            let allow = [
                format!("http://outside.example:{o}"),
                "http://*".to_owned(),
                format!("http://*:{p}"),
            ];
            let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
            let refused = world
                .broker
                .fetch(&get(&format!("http://outside.example:{o}/"), &allow), &[])
                .await
                .unwrap_err();
            assert_eq!(refused.code, code, "{status} {to}: {refused}");
            assert_eq!(outside.count(), 1);
        }
    }
    assert_eq!(inside.count(), 0);
}

#[tokio::test]
async fn what_is_not_granted_is_not_even_resolved() {
    let world = world(&[], None, EgressLimits::default());
    let refused = world
        .broker
        .fetch(&get("https://api.example.org/x", &["https://other.example"]), &[])
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::Denied);
    assert_eq!(
        refused.message,
        "fetch of https://api.example.org is not granted: add `allow = { net = [\"https://other.example\", \
         \"https://api.example.org\"] }` to [function.f] in neofn.toml"
    );
    assert_eq!(world.names.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}
