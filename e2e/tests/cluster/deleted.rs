//! Streams and buckets that somebody deletes while everything runs.

use crate::client::Client;
use crate::{SOON, deploy, gateway, wait_for_workers};
use neofn_testkit::{NatsServer, WorkerProcess, eventually};
use serde_json::json;

const ALL: [&str; 6] = [
    "JOBS",
    "EVENTS",
    "RESULTS",
    "LETTERS",
    "KV_leases",
    "OBJ_artifacts",
];

#[test]
fn what_is_deleted_is_made_again_and_what_cannot_be_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "remote");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&node, 1);
    let hello = "export const handler = () => 'hello'";
    deploy(&node, "demo", "hello", hello, json!({"public": true}));
    let mut client = Client::connect(&nats);
    let api = |client: &mut Client, what: &str, data: &str| {
        let answer = client.request(&format!("$JS.API.STREAM.{what}"), data, json!({}));
        answer["body"].clone()
    };
    for name in ALL {
        let gone = api(&mut client, &format!("DELETE.{name}"), "");
        assert_eq!(gone["success"], true, "{gone}");
    }
    for name in ALL {
        eventually("it is there again", SOON, || {
            let info = api(&mut client, &format!("INFO.{name}"), "");
            info["config"]["name"].is_string().then_some(())
        });
    }
    // versions are brought along again, queued jobs are run, and their ends are kept
    let other = "export const handler = () => 'other'";
    deploy(&node, "demo", "other", other, json!({"public": true}));
    let said = client.send(json!({"do": "subscribe", "subject": "function.result.>"}));
    assert_eq!(said, json!({}));
    for name in ["hello", "other"] {
        let headers = json!({"Nats-Msg-Id": name});
        let subject = format!("jobs.js.demo.{name}");
        client.send(json!({"do": "js", "subject": subject, "data": "{}", "headers": headers}));
        let said = client.send(json!({"do": "next", "subject": "function.result.>", "timeout": 30}));
        assert_eq!(said["body"]["result"], name, "{said}");
    }
    eventually("the lease is renewed", SOON, || {
        let info = api(&mut client, "INFO.KV_leases", "");
        (info["state"]["messages"] == 1).then_some(())
    });
    assert_eq!(node.http().get("/ready").status, 200);
    // another one in its place is nothing that a node may mend
    api(&mut client, "DELETE.LETTERS", "");
    let other = json!({"name": "LETTERS", "subjects": ["neofn.dead.>"], "storage": "memory"});
    api(&mut client, "CREATE.LETTERS", &other.to_string());
    let ready = eventually("it is said", SOON, || {
        let ready = node.http().get("/ready");
        (ready.status == 503).then_some(ready.body)
    });
    assert!(
        ready.contains("the stream LETTERS on this NATS server is another one"),
        "{ready}"
    );
    let services = node.http().get("/api/v1/services").json();
    assert!(
        services["faults"][0].as_str().unwrap().contains("LETTERS"),
        "{services}"
    );
    api(&mut client, "DELETE.LETTERS", "");
    eventually("it is mended", SOON, || {
        (node.http().get("/ready").status == 200).then_some(())
    });
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
}
