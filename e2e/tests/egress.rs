//! Requests of functions to where nobody should get: no spelling of an address of this machine or of a private network
//! connects, nor does a redirect there. Servers on this machine count who comes.

mod support;

use neofn_testkit::NodeProcess;
use serde_json::{Value, json};
use support::server::{Server, ok};

/// Tries each URL and tells what came of it.
const TRY: &str = r#"export async function handler(event) {
  const out = [];
  for (const url of event.urls) {
    try { const answer = await fetch(url, { timeoutMs: 3000 }); out.push([url, answer.status, await answer.text()]); }
    catch (error) { out.push([url, error.code ?? error.name, error.message]); }
  }
  return out;
}"#;

const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
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
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "ⓛocalhost",
    "user:pass@127.0.0.1",
    "evil.com@127.0.0.1",
];

fn deploy(node: &NodeProcess, name: &str, ports: &[u16]) {
    let net: Vec<String> = ports
        .iter()
        .flat_map(|p| [format!("http://*:{p}"), format!("https://*:{p}")])
        .chain(["http://*".to_owned(), "https://*".to_owned()])
        .collect();
    let limits = json!({"time": "30s"});
    let request = json!({"function_name": name, "source": TRY, "allow": {"net": net}, "limits": limits});
    let _ = node.http().deploy_with("demo", request).expect(201);
}

/// What came of each URL: its error's code.
fn attempts(node: &NodeProcess, name: &str, urls: &[String]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for some in urls.chunks(20) {
        let answer = node
            .http()
            .invoke("demo", name, &json!({"urls": some}))
            .expect(200);
        for tried in answer.json()["result"].as_array().unwrap() {
            let text = |at: usize| match &tried[at] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            all.push((text(0), text(1)));
        }
    }
    assert_eq!(all.len(), urls.len());
    all
}

#[test]
fn no_spelling_of_an_inner_address_connects() {
    let (four, six) = (
        Server::plain("127.0.0.1", |_| ok("inner")),
        Server::plain("::1", |_| ok("inner")),
    );
    let node = NodeProcess::start();
    deploy(&node, "try", &[four.port, six.port]);
    let mut urls: Vec<String> = HOSTS
        .iter()
        .flat_map(|host| {
            [
                format!("http://{host}:{}/", four.port),
                format!("https://{host}:{}/", six.port),
            ]
        })
        .collect();
    let p = four.port;
    urls.extend([
        format!("http://[::1]:{}/", six.port),
        format!("http://127.0.0.1:{p}@evil.com/"),
        format!("http://127.0.0.1:{p}\\@good.com/"),
        format!("http:/\\127.0.0.1:{p}/"),
        format!("http:127.0.0.1:{p}/"),
        format!("http:////127.0.0.1:{p}/"),
        format!("http://127.0.0.1:{p}#@good.com/"),
        format!("\thttp://127.0.0.1:{p}/"),
        format!("ht\ntp://127.0.0.1:{p}/"),
        format!("ftp://127.0.0.1:{p}/"),
        format!("gopher://127.0.0.1:{p}/"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        format!("//127.0.0.1:{p}/"),
        String::new(),
        // the node itself, with whatever trust it has in callers from here
        format!("{}/metrics", node.url()),
    ]);
    for (url, code) in attempts(&node, "try", &urls) {
        assert!(
            code.starts_with("NF12") || code == "TypeError" || code == "NF0210",
            "{url:?}: {code}"
        );
    }
    assert_eq!((four.connections(), six.connections()), (0, 0));
}

#[test]
fn a_redirect_leads_no_further_than_a_request_would() {
    let inner = Server::plain("127.0.0.2", |_| ok("inner"));
    let (port, six) = (inner.port, Server::plain("::1", |_| ok("inner")));
    let targets: Vec<String> = [
        format!("http://127.0.0.2:{port}/"),
        format!("http://[::1]:{}/", six.port),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        format!("http://2130706434:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("//127.0.0.2:{port}/"),
        "file:///etc/passwd".to_owned(),
    ]
    .into();
    let to = targets.clone();
    let outer = Server::plain("127.0.0.1", move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let at: usize = path.trim_start_matches('/').parse().unwrap();
        let status = [
            "301 Moved",
            "302 Found",
            "303 Other",
            "307 Temporary",
            "308 Permanent",
        ][at % 5];
        format!(
            "HTTP/1.1 {status}\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            to[at]
        )
    });
    let dir = tempfile::tempdir().unwrap();
    // this one address stands for the public network
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--egress-allow", "127.0.0.1/32"]);
    deploy(&node, "try", &[outer.port, port, six.port]);
    for (at, target) in targets.iter().enumerate() {
        let url = format!("http://127.0.0.1:{}/{at}", outer.port);
        let (_, code) = attempts(&node, "try", &[url]).remove(0);
        assert!(code.starts_with("NF12"), "{target}: {code}");
    }
    assert_eq!(outer.connections(), targets.len());
    assert_eq!((inner.connections(), six.connections()), (0, 0));
}

#[test]
fn an_estimate_sends_nothing() {
    let outer = Server::plain("127.0.0.1", |_| ok("here"));
    let dir = tempfile::tempdir().unwrap();
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--egress-allow", "127.0.0.1/32"]);
    deploy(&node, "try", &[outer.port]);
    let urls = json!({"urls": [format!("http://127.0.0.1:{}/", outer.port)]});
    let path = "/api/v1/functions/demo/try/estimate";
    let _ = node.http().post(path, &urls).expect(200);
    assert_eq!(
        outer.connections(),
        0,
        "nobody pays for an estimate, so it reaches nobody"
    );
    let called = node.http().invoke("demo", "try", &urls).expect(200).json();
    assert_eq!(called["result"][0][2], "here");
    assert_eq!(outer.connections(), 1);
}

/// What a core would hold of a node: its root key, its sessions, the values of secrets on their way.
#[test]
fn a_node_leaves_no_core() {
    let node = NodeProcess::start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.pid())).unwrap();
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .unwrap();
    let figures: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(figures, ["0", "0"], "{core}");
}
