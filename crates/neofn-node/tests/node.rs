//! Whole nodes in this process, with their real children, over real sockets. This program also plays the children's
//! roles, which is why it has a `main` of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop loudly, and waits for the real world"
)]

#[path = "node_cases/stacks.rs"]
mod stacks;

use libtest_mimic::{Arguments, Failed, Trial};
use neofn_node::{Node, NodeOptions};
use serde_json::{Value, json};
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    if let Some(exit) = neofn_node::child_role(std::env::args_os()) {
        return exit;
    }
    let trials = vec![
        trial("deploys_runs_and_comes_back", deploys_runs_and_comes_back),
        trial("keys_do_not_reach_tenants", keys_do_not_reach_tenants),
        trial("stacks_point_at_the_line", stacks::stacks_point_at_the_line),
        trial("drains_what_runs", drains_what_runs),
        trial("one_node_to_a_directory", one_node_to_a_directory),
        trial("slow_heads_are_given_up", slow_heads_are_given_up),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn(PathBuf) -> F) -> Trial {
    Trial::test(name, move || {
        let dir = tempfile::tempdir()?;
        let runtime = neofn_node::runtime().map_err(Failed::from)?;
        runtime.block_on(test(dir.path().to_owned()));
        Ok(())
    })
}

fn options(dir: &Path) -> NodeOptions {
    let mut options = NodeOptions::new(dir.join("data")).unwrap();
    options.listen = ([127, 0, 0, 1], 0).into();
    options.state_dir = Some(dir.join("state"));
    options.children = 1;
    options
}

fn runtime_files(dir: &Path) -> [bool; 2] {
    ["data", "state"].map(|d| dir.join(d).join("runtime.json").exists())
}

fn key(node: &Node) -> String {
    std::fs::read_to_string(node.admin_key_file())
        .unwrap()
        .trim()
        .to_owned()
}

/// One request over a connection of its own, as text.
fn exchange(url: &str, key: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Status and body.
fn read(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}")),
    )
}

async fn call(node: &Node, request: &str, body: &str) -> (u16, Value) {
    let (url, key) = (node.url().to_owned(), key(node));
    let (request, body) = (request.to_owned(), body.to_owned());
    let text = tokio::task::spawn_blocking(move || exchange(&url, &key, &request, &body));
    read(&text.await.unwrap())
}

async fn deploy(node: &Node, name: &str, source: &str) {
    let body = json!({"function_name": name, "source": source}).to_string();
    let (status, answer) = call(node, "POST /api/functions/projects/demo", &body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn deploys_runs_and_comes_back(dir: PathBuf) {
    let node = Node::start(options(&dir)).await.unwrap();
    assert_eq!(runtime_files(&dir), [true, true]);
    let told: Value = serde_json::from_slice(&std::fs::read(dir.join("data/runtime.json")).unwrap()).unwrap();
    let pid = u64::from(std::process::id());
    assert_eq!(
        (told["url"].as_str(), told["pid"].as_u64()),
        (Some(node.url()), Some(pid))
    );
    let source =
        "export const handler = (e: {name: string}) => { console.log('hi'); return `Hello, ${e.name}`; }";
    deploy(&node, "hello", source).await;
    let path = "POST /api/v1/functions/demo/hello";
    let (status, first) = call(&node, path, r#"{"name":"Neo"}"#).await;
    assert_eq!(
        (status, &first["result"], &first["logs"]),
        (200, &json!("Hello, Neo"), &json!(["[LOG] hi"]))
    );
    let first_key = key(&node);
    assert!(node.drain(Duration::from_secs(20)).await);
    assert_eq!(runtime_files(&dir), [false, false]);

    let node = Node::start(options(&dir)).await.unwrap();
    assert_eq!(key(&node), first_key);
    let (_, again) = call(&node, path, r#"{"name":"Neo"}"#).await;
    assert_eq!(
        (&again["result"], &again["units"]),
        (&first["result"], &first["units"])
    );
    let id = first["invocationId"].as_str().unwrap();
    let (_, replay) = call(&node, &format!("POST /api/v1/invocations/{id}/replay"), "").await;
    assert_eq!(replay["identical"], true, "{replay}");
    deploy(
        &node,
        "broken",
        "export function handler() {\n  return nope.x;\n}\n",
    )
    .await;
    let (status, failed) = call(&node, "POST /api/v1/functions/demo/broken", "").await;
    assert_eq!((status, &failed["code"]), (500, &json!("NF0201")));
    assert!(
        failed["stack"][0].as_str().unwrap().contains("index.ts:2:"),
        "{failed}"
    );
    assert!(node.drain(Duration::from_secs(20)).await);
}

/// Whether any file of the data directory but the key's own holds `text`.
fn on_disk(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return on_disk(&path, text);
        }
        path.file_name().unwrap() != "admin.key"
            && std::fs::read(&path)
                .unwrap()
                .windows(text.len())
                .any(|part| part == text.as_bytes())
    })
}

async fn keys_do_not_reach_tenants(dir: PathBuf) {
    let node = Node::start(options(&dir)).await.unwrap();
    let source = "export const handler = (e) => ({body: JSON.stringify(e.headers)})";
    let body = json!({"function_name": "open", "source": source, "public": true}).to_string();
    let (status, answer) = call(&node, "POST /api/functions/projects/demo", &body).await;
    assert_eq!(status, 201, "{answer}");
    let (status, seen) = call(&node, "GET /f/demo/open/a?marker=kept-in-history", "").await;
    assert_eq!((status, &seen["host"]), (200, &json!("x")), "{seen}");
    assert_eq!(seen.get("authorization"), None, "{seen}");
    // a credential that is not ours is the function's own
    let url = node.url().to_owned();
    let foreign = tokio::task::spawn_blocking(move || exchange(&url, "theirs", "GET /f/demo/open", ""));
    let (_, seen) = read(&foreign.await.unwrap());
    assert_eq!(seen["authorization"], "Bearer theirs");
    let key = key(&node);
    assert!(node.drain(Duration::from_secs(20)).await);
    let data = dir.join("data");
    assert!(on_disk(&data, "kept-in-history"), "events are kept as they are");
    let secret = key.split('_').nth(2).unwrap();
    assert!(!on_disk(&data, secret));
}

async fn drains_what_runs(dir: PathBuf) {
    let node = Node::start(options(&dir)).await.unwrap();
    // runs for some hundred milliseconds: long enough to be seen running, short enough for its limits
    let source = "export function handler(n) { let x = 0; for (let i = 0; i < n; i++) x = (x * 31 + i) | 0; return 'done'; }";
    deploy(&node, "busy", source).await;
    let (url, key) = (node.url().to_owned(), key(&node));
    let running = tokio::task::spawn_blocking(move || {
        read(&exchange(
            &url,
            &key,
            "POST /api/v1/functions/demo/busy",
            "3000000",
        ))
    });
    while !running.is_finished() {
        let (url, key) = (node.url().to_owned(), self::key(&node));
        let metrics = tokio::task::spawn_blocking(move || exchange(&url, &key, "GET /metrics", ""));
        if metrics.await.unwrap().contains("\nneofn_in_flight 1\n") {
            break;
        }
    }
    let (url, key) = (node.url().to_owned(), self::key(&node));
    let address = url.trim_start_matches("http://").to_owned();
    let draining = tokio::spawn(node.drain(Duration::from_secs(20)));
    // while the call runs others are told to come back, on connections of their own
    let told = tokio::task::spawn_blocking(move || {
        ["GET /ready", "POST /api/v1/functions/demo/busy"].map(|request| {
            let mut answer = exchange(&url, &key, request, "1");
            while answer.starts_with("HTTP/1.1 200") {
                answer = exchange(&url, &key, request, "1");
            }
            answer.to_lowercase()
        })
    });
    for answer in told.await.unwrap() {
        assert!(
            answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: "),
            "{answer}"
        );
    }
    assert!(!running.is_finished(), "told while it ran");
    assert!(draining.await.unwrap());
    let (status, answer) = running.await.unwrap();
    assert_eq!((status, &answer["result"]), (200, &json!("done")), "{answer}");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
}

async fn one_node_to_a_directory(dir: PathBuf) {
    let node = Node::start(options(&dir)).await.unwrap();
    let second = Node::start(options(&dir)).await.err().unwrap();
    assert_eq!(second.code.as_str(), "NF0604");
    let mut taken = options(&dir);
    taken.data = dir.join("other");
    taken.listen = node.url().trim_start_matches("http://").parse().unwrap();
    assert_eq!(Node::start(taken).await.err().unwrap().code.as_str(), "NF0605");
    assert_eq!(runtime_files(&dir), [true, true], "the running node's files stay");
    assert!(node.drain(Duration::from_secs(20)).await);
}

async fn slow_heads_are_given_up(dir: PathBuf) {
    let mut options = options(&dir);
    options.server.head_time_max = Duration::from_millis(200);
    options.server.connections_max = 1;
    let node = Node::start(options).await.unwrap();
    let mut silent = TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    silent.write_all(b"POST /health HTTP/1.1\r\nhost:").unwrap();
    // the silent one holds the only place until it is given up
    let (status, _) = call(&node, "GET /health", "").await;
    assert_eq!(status, 200);
    let ended = tokio::task::spawn_blocking(move || {
        silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // an answer or nothing, and then the end; a time-out would be an error
        silent.read_to_end(&mut Vec::new()).is_ok()
    });
    assert!(ended.await.unwrap(), "its connection was ended");
    assert!(node.drain(Duration::from_secs(20)).await);
}
