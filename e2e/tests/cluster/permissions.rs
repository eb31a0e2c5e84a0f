//! Whole processes under the permissions that we publish: they are enough for everything that a cluster does, and what is
//! missing is said as NF1604 instead of running out of time.

use crate::client::Client;
use crate::{SOON, deploy, wait_for_workers};
use neofn_testkit::{Http, NatsConfig, NatsServer, NodeProcess, WorkerProcess, binary, eventually};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

const CLIENT: &str = "user: demo, password: secret";

/// A server with the published users; those of gateway and worker have their keys in files, the client has a password, because
/// a client that we did not write brings no keys along.
struct Published {
    nats: NatsServer,
    dir: tempfile::TempDir,
}

impl Published {
    /// With something else in the place of `from`, which must be there.
    fn but(changes: &[(&str, &str)]) -> Self {
        let published = include_str!("../../../deploy/nats/nats.conf");
        let (_, users) = published.split_once("authorization {").expect("users");
        let mut more = format!("authorization {{{users}").replace("nkey: $NEOFN_CLIENT_NKEY", CLIENT);
        for (from, to) in changes {
            assert!(more.contains(from), "{from} is no longer published");
            more = more.replace(from, to);
        }
        let dir = tempfile::tempdir().unwrap();
        for role in ["gateway", "worker"] {
            let pair = nkeys::KeyPair::new_user();
            let name = format!("$NEOFN_{}_NKEY", role.to_uppercase());
            more = more.replace(&name, &pair.public_key());
            std::fs::write(dir.path().join(format!("{role}.nk")), pair.seed().unwrap()).unwrap();
        }
        let config = NatsConfig {
            more,
            ..NatsConfig::default()
        };
        Self {
            nats: NatsServer::start_with(1, &config),
            dir,
        }
    }
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn gateway(&self) -> Result<NodeProcess, String> {
        let config = self.file("cluster.toml");
        let text = format!(
            "max_units = 100000000\n[nats]\nurl = \"{}\"\nnkey_file = \"gateway.nk\"\nworkers = \"remote\"\n",
            self.nats.url()
        );
        std::fs::write(&config, text).unwrap();
        NodeProcess::try_start_in(&self.file("data"), &["--config", config.to_str().unwrap()])
    }
    fn worker(&self, name: &str) -> Result<WorkerProcess, String> {
        let seed = self.file("worker.nk");
        let args = [
            "--children",
            "1",
            "--name",
            name,
            "--nkey",
            seed.to_str().unwrap(),
        ];
        WorkerProcess::try_start(&self.nats.url(), &args)
    }
    fn client(&self) -> Client {
        let url = self.nats.url().replace("nats://", "nats://demo:secret@");
        Client::connect_as(&url, "_INBOX.demo")
    }
}

const HELLO: &str = "export async function handler(e, ctx) {
  await ctx.kv.put('seen', e.name);
  const again = e.deep ? null : await ctx.invoke('hello', { name: 'inner', deep: true });
  return { name: e.name, kept: await ctx.kv.get('seen'), again: again?.name };
}";

#[test]
fn a_whole_cluster_keeps_to_what_is_published() {
    let published = Published::but(&[]);
    let gateway = published.gateway().unwrap();
    let worker = published.worker("w1").unwrap();
    wait_for_workers(&gateway, 1);
    // bytes of versions, snapshots, runs, host calls, calls of calls
    deploy(
        &gateway,
        "demo",
        "hello",
        HELLO,
        json!({"public": true, "allow": {"kv": true}}),
    );
    let wanted = json!({"name": "Neo", "kept": "Neo", "again": "inner"});
    let answer = gateway
        .http()
        .invoke("demo", "hello", &json!({"name": "Neo"}))
        .expect(200);
    assert_eq!(answer.json()["result"], wanted);
    let later = gateway.http().post(
        "/api/v1/functions/demo/hello?mode=async",
        &json!({"name": "later"}),
    );
    let id = later.expect(202).json()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    ends(&gateway.http(), &id);
    // a run that is given up is cancelled there
    let endless = "export const handler = () => { for (;;) {} }";
    deploy(
        &gateway,
        "demo",
        "endless",
        endless,
        json!({"limits": {"time": "200ms"}}),
    );
    let answer = gateway.http().invoke("demo", "endless", &json!(null));
    assert_eq!(answer.status, 504, "{answer:?}");

    // a client of one project: requests, messages, results, the nodes' own endpoints
    let mut client = published.client();
    assert_eq!(
        client.send(json!({"do": "subscribe", "subject": "function.result.demo.>"})),
        json!({})
    );
    let answer = client.request("function.js.demo.hello", r#"{"name":"Neo"}"#, json!({}));
    assert_eq!(answer["body"]["result"], wanted, "{answer}");
    let sent = client.request(
        "function.js.demo.hello",
        r#"{"name":"sent"}"#,
        json!({"Neofn-Mode": "async", "Nats-Msg-Id": "a"}),
    );
    assert_eq!(sent["body"]["status"], "queued", "{sent}");
    let put = json!({"do": "js", "subject": "jobs.js.demo.hello", "data": "{\"name\":\"put\"}",
        "headers": {"Nats-Msg-Id": "demo.hello.b"}});
    assert_eq!(client.send(put)["stream"], "JOBS");
    let poison = json!({"do": "js", "subject": "jobs.js.demo.hello", "data": "no JSON", "headers": {"Nats-Msg-Id": "demo.hello.c"}});
    assert_eq!(client.send(poison)["stream"], "JOBS");
    let event = json!({"do": "js", "subject": "events.demo", "data": "{}", "headers": {"Nats-Msg-Id": "d"}});
    assert_eq!(client.send(event)["stream"], "EVENTS");
    let mut said = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let result = client.send(json!({"do": "next", "subject": "function.result.demo.>", "timeout": 30}));
        said.insert(
            result["subject"]
                .as_str()
                .unwrap_or_else(|| panic!("{result}"))
                .to_owned(),
        );
    }
    let names =
        ["_events.d", "hello.a", "hello.b", "hello.c"].map(|name| format!("function.result.demo.{name}"));
    assert_eq!(said, names.into_iter().collect());
    let id = client.request("$SRV.INFO.neofn", "", json!({}))["body"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for endpoint in ["health", "status"] {
        let answer = client.request(&format!("function.{endpoint}.{id}"), "", json!({}));
        assert!(answer["body"].is_object(), "{answer}");
    }
    let letters = gateway
        .http()
        .get("/api/v1/deadletters?project=demo")
        .expect(200)
        .json();
    assert_eq!(letters["messages"].as_array().map(Vec::len), Some(2), "{letters}");
    // JetStream acknowledges wherever the client says: in a queue, that is a job without an id that is refused, and nothing
    // of it is among the letters
    for place in ["dead.jobs.demo", "neofn.dead.jobs.demo", "jobs.js.demo.nothing"] {
        let put = json!({"do": "publish", "subject": "jobs.js.demo.hello", "reply": place, "data": "{\"name\":\"put\"}",
            "headers": {"Nats-Msg-Id": "demo.hello.b"}});
        assert_eq!(client.send(put), json!({}));
    }
    loop {
        let said = client.send(json!({"do": "next", "subject": "function.result.demo.>", "timeout": 30}));
        let subject = said["subject"].as_str().unwrap_or_else(|| panic!("{said}"));
        if subject.starts_with("function.result.demo.nothing.") {
            break;
        }
    }
    let list = |query: &str| {
        let path = format!("/api/v1/deadletters?project=demo{query}");
        gateway.http().get(&path).expect(200).json()["messages"].clone()
    };
    assert_eq!(list(""), letters["messages"]);
    assert_eq!(list("&limit=1"), json!([letters["messages"][0]]));
    let services = gateway.http().get("/api/v1/services").expect(200).json();
    assert_eq!(services["queues"].as_array().map(Vec::len), Some(2), "{services}");
    // what it has is what it was given, whatever the machine has
    let nodes = services["nodes"].as_array().unwrap();
    let w1 = nodes.iter().find(|node| node["id"] == "w1").unwrap();
    assert_eq!((&w1["cores"], &w1["runs_max"]), (&json!(1), &json!(64)), "{w1}");

    // a worker that comes under its name again, and both go in order
    assert_eq!(worker.terminate(), Some(0));
    let worker = published.worker("w1").unwrap();
    eventually("it is there again", SOON, || {
        (gateway
            .http()
            .invoke("demo", "hello", &json!({"name": "x"}))
            .status
            == 200)
            .then_some(())
    });
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(gateway.terminate(), Some(0));
    let log = published.nats.log(0);
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("Violation")).collect();
    assert!(
        refused.is_empty(),
        "something that is used is not published: {refused:#?}"
    );
}

fn ends(http: &Http, id: &str) {
    eventually("it ends", SOON, || {
        let status = http.get(&format!("/api/v1/invocations/{id}")).json()["status"].clone();
        assert!(status != "failed" && status != "dead", "{status}");
        (status == "succeeded").then_some(())
    });
}

/// A gateway and the worker `w1`, with a function.
fn with_hello(published: &Published) -> (NodeProcess, WorkerProcess) {
    let gateway = published.gateway().unwrap();
    let worker = published.worker("w1").unwrap();
    wait_for_workers(&gateway, 1);
    deploy(
        &gateway,
        "demo",
        "hello",
        HELLO,
        json!({"public": true, "allow": {"kv": true}}),
    );
    (gateway, worker)
}

/// Within this time, and not when a run, or JetStream, would have run out of it.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(5);

#[test]
fn a_permission_that_is_missing_is_said() {
    // at the start: who may not make streams, or hear what he is there for, does not come up
    let refused = |published: Published, who: &str| {
        let (out, subject) = match who {
            "gateway" => (published.gateway().err(), "$JS.API."),
            _ => (published.worker("w1").err(), "neofn.worker."),
        };
        let stderr = out.unwrap_or_else(|| panic!("the {who} came up"));
        assert!(stderr.contains("NF1604") && stderr.contains(subject), "{stderr}");
    };
    refused(Published::but(&[("\"$JS.>\", \"$KV", "\"$KV")]), "gateway");
    refused(
        Published::but(&[("subscribe: [\"neofn.worker.w1.*\", ", "subscribe: [")]),
        "worker",
    );

    // while it runs: the sender of a message, and whoever waits for a run, are told what is missing
    let published = Published::but(&[(
        "[\"neofn.>\", \"jobs.>\"",
        "[\"neofn.beat.>\", \"neofn.who\", \"neofn.worker.*.prepare\"",
    )]);
    let (gateway, worker) = with_hello(&published);
    let begun = std::time::Instant::now();
    let answer = gateway.http().invoke("demo", "hello", &json!({"name": "Neo"}));
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("NF1604")),
        "{answer:?}"
    );
    assert!(answer.body.contains("neofn.worker.w1.run"), "{answer:?}");
    let mut client = published.client();
    let sent = client.request("function.js.demo.hello", "{}", json!({"Neofn-Mode": "async"}));
    assert_eq!(
        (&sent["body"]["status"], &sent["body"]["code"]),
        (&json!(503), &json!("NF1604")),
        "{sent}"
    );
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert!(
        gateway
            .stderr()
            .contains("NATS refuses something that this role needs"),
        "{}",
        gateway.stderr()
    );
    let explained = Command::new(binary())
        .args(["explain", "NF1604"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&explained.stdout).contains("permissions of each role"));
    drop(worker);

    // a worker that may not ask its gateway: what a function asked for fails, and says why
    let published = Published::but(&[("\"neofn.host.*.*\", ", "")]);
    let (gateway, _worker) = with_hello(&published);
    let begun = std::time::Instant::now();
    let answer = gateway.http().invoke("demo", "hello", &json!({"name": "Neo"}));
    assert!(
        answer.status >= 500 && answer.body.contains("neofn.host."),
        "{answer:?}"
    );
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// A server knows who may answer what only of requests over the same connection: the answer to an older one is refused, and
/// the gateway asks for it once more.
#[test]
fn a_run_outlives_the_nats_server_that_it_came_over() {
    let mut published = Published::but(&[]);
    let (gateway, worker) = with_hello(&published);
    let busy = "export const handler = (e) => { let x = 0; for (let i = 0; i < 25000000; i++) x += i % 7; return e.n }";
    let limits = json!({"limits": {"time": "30s", "units": 100_000_000}});
    deploy(&gateway, "demo", "busy", busy, limits);
    let http = gateway.http();
    let begun = std::time::Instant::now();
    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(|| http.invoke("demo", "busy", &json!({"n": 7})));
        eventually("it runs", SOON, || {
            let services = http.get("/api/v1/services").json();
            let nodes = services["nodes"].as_array().cloned().unwrap_or_default();
            let w1 = nodes.into_iter().find(|node| node["id"] == "w1")?;
            (w1["running"] == 1).then_some(())
        });
        published.nats.kill(0);
        published.nats.go_on(0);
        call.join().unwrap()
    });
    assert_eq!(
        (answer.status, &answer.json()["result"]),
        (200, &json!(7)),
        "{answer:?}"
    );
    // and not when its time was over
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(28),
        "{:?}",
        begun.elapsed()
    );
    let log = published.nats.log(0);
    assert!(
        log.contains("Publish Violation"),
        "it was answered over the old connection: {log}"
    );
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(gateway.terminate(), Some(0));
}

#[test]
fn a_worker_under_another_name_is_refused() {
    let published = Published::but(&[]);
    let _gateway = published.gateway().unwrap();
    let stderr = published
        .worker("w2")
        .err()
        .expect("the name of another worker's permissions");
    assert!(
        stderr.contains("NF1604") && stderr.contains("neofn.worker.w2"),
        "{stderr}"
    );
}

#[test]
fn a_second_worker_of_a_name_is_refused() {
    let published = Published::but(&[]);
    let gateway = published.gateway().unwrap();
    let first = published.worker("w1").unwrap();
    let stderr = published.worker("w1").err().expect("the name is taken");
    assert!(
        stderr.contains("NF0601") && stderr.contains("a worker called w1 is there already"),
        "{stderr}"
    );
    assert_eq!(first.terminate(), Some(0));
    drop(published.worker("w1").unwrap());
    assert_eq!(gateway.terminate(), Some(0));
}
