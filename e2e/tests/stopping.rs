//! A node that is told to end from a terminal: Ctrl-C reaches its whole process group, and what runs may end first.

mod support;

use neofn_testkit::{NodeProcess, descendants, eventually};
use serde_json::json;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use support::server::{Server, ok};

const SOON: Duration = Duration::from_secs(30);

/// The process group, while there is such a process.
fn group(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name stands in brackets and may hold anything; then come the state, the parent and the group
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(2)?.parse().ok()
}

#[test]
fn ctrl_c_lets_a_call_end_and_the_node_after_it() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    // the run is under way until the test says so
    let server = Server::plain("127.0.0.1", move |_| {
        let _ = held.lock().unwrap().recv_timeout(SOON);
        ok("held")
    });
    let dir = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start_group_in(&dir.path().join("data"), &["--egress-allow", "127.0.0.1/32"]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let source = "export async function handler(e) { return await (await fetch(e.url)).text(); }";
    let request = json!({"function_name": "wait", "source": source, "allow": {"net": [url]}});
    let _ = node.http().deploy_with("demo", request).expect(201);

    let http = node.http();
    let event = json!({"url": format!("{url}/")});
    let call = std::thread::spawn(move || http.invoke("demo", "wait", &event));
    eventually("the run is under way", SOON, || {
        (server.seen().len() == 1).then_some(())
    });
    let children = descendants(node.pid());
    assert!(!children.is_empty(), "nothing runs in a sandbox");
    for child in children {
        assert_ne!(group(child), Some(node.pid()), "process {child} hears Ctrl-C");
    }
    node.interrupt_group();
    eventually("the node drains", SOON, || {
        (node.anonymous().get("/ready").status == 503).then_some(())
    });
    release.send(()).unwrap();
    let answer = call.join().unwrap().expect(200);
    assert_eq!(answer.json()["result"], "held");
    let code = eventually("the node ends", SOON, || node.ended());
    assert_eq!(code, Some(0));
}
