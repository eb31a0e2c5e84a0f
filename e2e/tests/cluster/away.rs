//! What a node needs is away: it says which, and how to mend it, and it can be stopped while it waits.

use crate::{SOON, gateway, wait_for_workers};
use neofn_testkit::{NatsServer, WorkerProcess, binary, eventually};
use serde_json::json;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn a_deploy_without_a_worker_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let body = json!({"function_name": "f", "source": "export const handler = () => 1"});
    let refused = node.http().post("/api/functions/projects/demo", &body);
    let problem = refused.json();
    assert_eq!(
        (refused.status, &problem["code"]),
        (503, &json!("NF1602")),
        "{problem}"
    );
    assert!(
        problem["hint"].as_str().unwrap().contains("neofn worker"),
        "{problem}"
    );
}

#[test]
fn who_is_told_to_try_again_gets_another_try_under_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&node, 1);
    let source = "export const handler = (e) => e.n";
    assert_eq!(node.http().deploy("demo", "f", source).status, 201);
    let keyed = |n: u32| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
        let body = json!({"n": n}).to_string();
        node.http()
            .send("POST", "/api/v1/functions/demo/f", body.as_bytes(), &headers)
    };
    assert_eq!(worker.terminate(), Some(0));
    for _ in 0..2 {
        let refused = keyed(1);
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (503, &json!("NF1602")),
            "{}",
            refused.body
        );
    }
    let _worker = WorkerProcess::start(&nats.url());
    // the one that went is still listed for a moment
    eventually("there is a worker that takes runs", SOON, || {
        (node.http().get("/ready").status == 200).then_some(())
    });
    let first = keyed(1).expect(200).json();
    assert_eq!(first["result"], json!(1), "{first}");
    let again = keyed(1).expect(200).json();
    assert_eq!(
        again["invocationId"], first["invocationId"],
        "it is answered, not run"
    );
    // one invocation, whatever it took
    let all = node.http().get("/health").expect(200).json();
    assert_eq!(
        (&all["totalInvocations"], &all["failedInvocations"]),
        (&json!(1), &json!(0)),
        "{all}"
    );
    assert_eq!(
        keyed(2).json()["code"],
        json!("NF0306"),
        "the key is the request's"
    );
}

#[test]
fn a_node_that_waits_for_others_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    for (what, scheme, more) in [("nats", "nats", ""), ("postgres", "postgres", "/db")] {
        // takes connections, and never says a word
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        mute.set_nonblocking(true).unwrap();
        let config = dir.path().join(format!("{what}.toml"));
        let address = mute.local_addr().unwrap();
        std::fs::write(
            &config,
            format!("[{what}]\nurl = \"{scheme}://{address}{more}\"\n"),
        )
        .unwrap();
        let mut node = Command::new(binary())
            .args(["up", "--listen", "127.0.0.1:0", "--insecure-no-jail", "--data"])
            .arg(dir.path().join(what))
            .args(["--config", config.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let held = eventually("it connects", SOON, || mute.accept().ok());
        let asked = Instant::now();
        signal(node.id(), "-TERM");
        let status = eventually("it ends", SOON, || node.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{what}");
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{what}: {:?}",
            asked.elapsed()
        );
        drop(held);
    }
}

#[test]
fn a_status_is_not_held_up_by_what_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let status = || {
        let asked = Instant::now();
        let said = Command::new(binary())
            .args(["cluster", "status", "--url", node.url()])
            .env("NEOFN_API_KEY", node.key())
            .output()
            .unwrap();
        let both = [said.stdout, said.stderr].concat();
        (asked.elapsed(), String::from_utf8_lossy(&both).into_owned())
    };
    let (_, said) = status();
    assert!(
        said.contains("messages over nats://") && said.contains("queue   jobs"),
        "{said}"
    );
    // it hangs: its connections stay, and nothing is answered
    signal(nats.pid(0), "-STOP");
    let (took, said) = status();
    signal(nats.pid(0), "-CONT");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(
        said.contains("does not answer") || said.contains("no connection"),
        "{said}"
    );
}
