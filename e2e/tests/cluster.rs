//! Several nodes over a real NATS server: gateways without sandboxes, workers, and clients that we did not write.

#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/edge.rs"]
mod edge;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/kills.rs"]
mod kills;

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
    // drained: it leaves at once, and calls say that nobody is there
    assert_eq!(worker.terminate(), Some(0));
    let answer = gateway.http().post("/api/v1/functions/demo/echo", &json!(1));
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &json!("NF1602")),
        "{}",
        answer.body
    );
    assert_eq!(gateway.terminate(), Some(0));
}
