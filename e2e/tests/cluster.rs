//! Several nodes over a real NATS server: gateways without sandboxes, workers, and clients that we did not write.

#[path = "cluster/away.rs"]
mod away;
#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/deleted.rs"]
mod deleted;
#[path = "cluster/edge.rs"]
mod edge;
#[path = "cluster/events.rs"]
mod events;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/malformed.rs"]
mod malformed;
#[path = "cluster/permissions.rs"]
mod permissions;

use neofn_testkit::{NatsServer, NodeProcess, WorkerProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub const SOON: Duration = Duration::from_secs(30);

/// Writes a configuration and starts a gateway that runs nothing itself.
pub fn gateway(dir: &Path, nats: &NatsServer, workers: &str) -> NodeProcess {
    std::fs::create_dir_all(dir).unwrap();
    let config = dir.join("cluster.toml");
    let urls: Vec<String> = nats.urls().iter().map(|u| format!("\"{u}\"")).collect();
    let text = format!("[nats]\nurl = [{}]\nworkers = \"{workers}\"\n", urls.join(", "));
    std::fs::write(&config, text).unwrap();
    NodeProcess::start_in(&dir.join("data"), &["--config", config.to_str().unwrap()])
}

pub fn deploy(node: &NodeProcess, project: &str, name: &str, source: &str, more: Value) {
    let mut body = json!({"function_name": name, "source": source});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let path = format!("/api/functions/projects/{project}");
    let answer = node.http().post(&path, &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// Waits until the gateway knows so many workers.
pub fn wait_for_workers(node: &NodeProcess, count: usize) {
    eventually("the workers are known", SOON, || {
        let services = node.http().get("/api/v1/services").json();
        let nodes = services["nodes"].as_array()?;
        (nodes.iter().filter(|n| n["role"] == "worker").count() == count).then_some(())
    });
}

#[test]
fn a_gateway_with_another_database_takes_nobodys_work() {
    let (dir, nats) = (tempfile::tempdir().unwrap(), NatsServer::start());
    let first = gateway(&dir.path().join("a"), &nats, "embedded");
    // it says that it is there right after it is ready
    let refused = eventually("the second one is refused", SOON, || {
        let (data, config) = (dir.path().join("b"), dir.path().join("a/cluster.toml"));
        NodeProcess::try_start_in(&data, &["--config", config.to_str().unwrap()]).err()
    });
    assert!(
        refused.contains("NF1603") && refused.contains("another database"),
        "{refused}"
    );
    assert_eq!(first.terminate(), Some(0));
    // whose work it was is gone, so another one's may be
    let _ = NodeProcess::start_in(
        &dir.path().join("b"),
        &["--config", dir.path().join("a/cluster.toml").to_str().unwrap()],
    );
}

#[test]
fn a_gateway_runs_nothing_itself_and_a_worker_everything() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let gateway = gateway(dir.path(), &nats, "remote");
    assert_eq!(gateway.ready()["nats"], nats.url());
    assert_eq!(gateway.http().get("/ready").status, 503, "there is no worker yet");
    let worker = WorkerProcess::start(&nats.url());
    wait_for_workers(&gateway, 1);
    deploy(
        &gateway,
        "demo",
        "hello",
        "export async function handler(e, ctx) {
           console.log('hi');
           await ctx.kv.put('seen', e.name);
           const again = await ctx.invoke('echo', { name: e.name });
           return { greeting: 'Hello, ' + e.name, kept: await ctx.kv.get('seen'), again };
         }",
        json!({"allow": {"kv": true}}),
    );
    deploy(
        &gateway,
        "demo",
        "echo",
        "export const handler = (e) => e",
        json!({}),
    );
    let answer = gateway
        .http()
        .post("/api/v1/functions/demo/hello", &json!({"name": "Neo"}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["result"]["greeting"], "Hello, Neo");
    assert_eq!(body["result"]["kept"], "Neo", "{body}");
    assert_eq!(body["result"]["again"], json!({"name": "Neo"}), "{body}");
    assert_eq!(body["logs"], json!(["[LOG] hi"]));
    let sandboxes = |pid| {
        neofn_testkit::descendants(pid)
            .into_iter()
            .filter(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains("sandbox")
            })
            .count()
    };
    assert_eq!(sandboxes(gateway.pid()), 0, "no tenant code in a gateway");
    assert!(sandboxes(worker.pid()) > 0);
    // what a node says of itself is up to a second old
    eventually("the worker's runs are counted", SOON, || {
        let services = gateway.http().get("/api/v1/services").json();
        let shown = services["nodes"].as_array()?;
        assert_eq!(shown.len(), 2, "{services}");
        let node = shown.iter().find(|n| n["role"] == "worker")?;
        assert_eq!(node["id"], worker.id());
        (node["runs"].as_u64()? >= 2).then_some(())
    });
    // found by name: where it is called, and where it is ready
    let found = eventually("the worker says what it has ready", SOON, || {
        let found = gateway
            .http()
            .get("/api/v1/services/demo/hello")
            .expect(200)
            .json();
        (found["warm"] == 1).then_some(found)
    });
    assert_eq!(
        found,
        json!({
            "project": "demo", "function": "hello", "runtime": "js", "version": 1, "is_active": true, "public": false,
            "http": "/api/v1/functions/demo/hello", "nats": "function.js.demo.hello",
            "able": 1, "warm": 1, "nodes": [{"id": worker.id(), "warm": true, "busy": false}],
        })
    );
    deploy(
        &gateway,
        "demo",
        "never",
        "export const handler = () => 1",
        json!({}),
    );
    let all = gateway
        .http()
        .get("/api/v1/services/demo?limit=2")
        .expect(200)
        .json();
    let rows = |all: &Value| -> Vec<Value> {
        let rows = all["functions"].as_array().unwrap().iter();
        rows.map(|f| json!([f["function"], f["able"], f.get("nodes")]))
            .collect()
    };
    assert_eq!(rows(&all), [json!(["echo", 1, null]), json!(["hello", 1, null])]);
    let path = format!(
        "/api/v1/services/demo?limit=2&cursor={}",
        all["next"].as_str().unwrap()
    );
    let rest = gateway.http().get(&path).expect(200).json();
    assert_eq!(rows(&rest), [json!(["never", 1, null])]);
    assert_eq!(rest["functions"][0]["warm"], 0, "deployed, and never run");
    // drained: it leaves at once, and calls say that nobody is there
    assert_eq!(worker.terminate(), Some(0));
    let answer = gateway.http().post("/api/v1/functions/demo/echo", &json!(1));
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("NF1602")),
        "{}",
        answer.body
    );
    let found = gateway
        .http()
        .get("/api/v1/services/demo/hello")
        .expect(200)
        .json();
    assert_eq!(
        (&found["able"], &found["warm"]),
        (&json!(0), &json!(0)),
        "{found}"
    );
    assert_eq!(gateway.terminate(), Some(0));
}

/// The lanes: while its home keeps up a function is warm in one place, and a burst goes wherever there is room.
#[test]
fn a_function_stays_at_home_and_a_burst_goes_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let gateway = gateway(dir.path(), &nats, "remote");
    let workers = [
        WorkerProcess::start(&nats.url()),
        WorkerProcess::start(&nats.url()),
    ];
    wait_for_workers(&gateway, 2);
    let slow =
        "export const handler = (e) => { let x = 0; for (let i = 0; i < 300000; i++) x += i % 7; return e };";
    deploy(
        &gateway,
        "demo",
        "f",
        slow,
        json!({"limits": {"concurrency": 64}}),
    );
    let call = |n: u32| {
        let answer = gateway.http().invoke("demo", "f", &json!(n)).expect(200);
        assert_eq!(answer.json()["result"], n);
    };
    // what a node says of itself is up to a second old
    let counted = |all: u64| -> Vec<u64> {
        eventually("the runs are counted, and over", SOON, || {
            let services = gateway.http().get("/api/v1/services").json();
            let nodes = services["nodes"].as_array()?;
            let of = |id: &str| nodes.iter().find(|n| n["id"] == id);
            let found: Option<Vec<_>> = workers.iter().map(|w| of(w.id())).collect();
            let found = found?;
            let over = found.iter().all(|n| n["running"] == 0);
            let runs: Vec<u64> = found.iter().filter_map(|n| n["runs"].as_u64()).collect();
            (over && runs.iter().sum::<u64>() == all).then_some(runs)
        })
    };
    (0..20).for_each(call);
    let at_home = counted(20);
    assert!(
        at_home.contains(&0),
        "one after another they stay in one place: {at_home:?}"
    );
    let found = gateway.http().get("/api/v1/services/demo/f").json();
    assert_eq!(
        (&found["able"], &found["warm"]),
        (&json!(2), &json!(1)),
        "{found}"
    );
    assert_eq!(found["nodes"][0]["warm"], true, "the warm ones first: {found}");

    std::thread::scope(|scope| {
        for n in 0..40 {
            scope.spawn(move || call(n));
        }
    });
    let after = counted(60);
    assert!(!after.contains(&0), "side by side they go to both: {after:?}");
    let home = usize::from(at_home[0] == 0);
    let before = after[1 - home];
    (0..10).for_each(call);
    let again = counted(70);
    assert_eq!(again[1 - home], before, "at home again: {again:?}");
    assert_eq!(gateway.terminate(), Some(0));
}

/// In the middle of an upgrade: a worker whose words this gateway does not have is seen, named, and given nothing.
#[test]
fn a_worker_of_another_protocol_is_named_and_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let gateway = gateway(dir.path(), &nats, "remote");
    let mut client = client::Client::connect(&nats);
    let beat =
        json!({"id": "worker-next", "role": "worker", "version": "9.9.9", "protocol": 99, "unheard": ["of"]});
    let say = json!({"do": "publish", "subject": "neofn.beat.worker.worker-next", "data": beat.to_string()});
    let node = eventually("the worker is listed", SOON, || {
        assert_eq!(client.send(say.clone()), json!({}));
        let services = gateway.http().get("/api/v1/services").json();
        let nodes = services["nodes"].as_array()?;
        nodes.iter().find(|n| n["id"] == "worker-next").cloned()
    });
    let why = "it speaks protocol 99 (neofn 9.9.9), this gateway 2";
    assert_eq!(
        (&node["misfit"], &node["version"]),
        (&json!(why), &json!("9.9.9")),
        "{node}"
    );
    assert_eq!(
        gateway.http().get("/ready").status,
        503,
        "it is no worker for this gateway"
    );
    let shown = eventually("the command shows it", SOON, || {
        client.send(say.clone());
        let status = std::process::Command::new(neofn_testkit::binary())
            .args(["cluster", "status", "--url", gateway.url()])
            .env("NEOFN_API_KEY", gateway.key())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        text.contains("worker-next").then_some(text)
    });
    assert!(shown.contains(&format!("gets no runs: {why}")), "{shown}");
    assert!(
        gateway.stderr().contains("it gets no runs from this gateway"),
        "{}",
        gateway.stderr()
    );
    // beside it, one that fits does the work
    let worker = WorkerProcess::start(&nats.url());
    eventually("the gateway is ready", SOON, || {
        (gateway.http().get("/ready").status == 200).then_some(())
    });
    deploy(
        &gateway,
        "demo",
        "f",
        "export const handler = (e) => e;",
        json!({}),
    );
    client.send(say);
    let _ = gateway.http().invoke("demo", "f", &json!(1)).expect(200);
    let found = gateway.http().get("/api/v1/services/demo/f").expect(200).json();
    assert_eq!(
        (&found["able"], &found["nodes"][0]["id"]),
        (&json!(1), &json!(worker.id())),
        "{found}"
    );
    assert_eq!(gateway.terminate(), Some(0));
}
