//! A node with a chain: the private net beside it, and the nodes of another network.

use neofn_testkit::{Http, Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn call(rpc: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer = Http::new(rpc, None).send("POST", "/", body.as_bytes(), &[]);
    (answer.status == 200).then(|| answer.json()["result"].clone())
}
fn height(rpc: &str) -> Option<u64> {
    Some(call(rpc, "getblockcount", json!([]))?.as_u64()? - 1)
}
fn hash(rpc: &str, height: u64) -> String {
    let header = call(rpc, "getblockheader", json!([height, 1])).expect("a header");
    header["hash"].as_str().expect("its hash").to_owned()
}
fn rpc(node: &NodeProcess) -> String {
    node.ready()["chain"]["rpc"]
        .as_str()
        .expect("an address")
        .to_owned()
}
fn gone(rpc: &str) {
    eventually(
        "the private net ends with its node",
        Duration::from_secs(20),
        || height(rpc).is_none().then_some(()),
    );
}

const FAST: [&str; 3] = ["--dev-chain", "--dev-block-time", "100ms"];

#[test]
fn a_private_net_lives_and_dies_with_its_node_and_keeps_its_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &FAST);
    let chain = &node.ready()["chain"];
    let wallet = std::fs::read_to_string(chain["wallet"].as_str().expect("a wallet")).expect("read it");
    let wallet: Value = serde_json::from_str(&wallet).expect("JSON");
    let address = wallet["accounts"][0]["address"].as_str().expect("an address");
    assert!(chain["password"].is_string());
    let first = rpc(&node);
    let balances = call(&first, "getnep17balances", json!([address])).expect("balances");
    assert_eq!(
        balances["balance"].as_array().expect("a list").len(),
        2,
        "{balances}"
    );

    let (at, known) = eventually("some blocks", Duration::from_secs(20), || {
        let height = height(&first)?;
        (height > 5).then(|| (height, hash(&first, height)))
    });
    node.kill_hard();
    gone(&first);
    let node = NodeProcess::start_in(&data, &FAST);
    let second = rpc(&node);
    eventually("it goes on", Duration::from_secs(20), || {
        (height(&second)? > at).then_some(())
    });
    assert_eq!(hash(&second, at), known, "the same chain");
    assert_eq!(node.terminate(), Some(0));
    gone(&second);
}

#[test]
fn a_net_in_memory_is_new_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_in(
        &dir.path().join("data"),
        &["--dev-chain=memory", "--dev-block-time", "100ms"],
    );
    let files = Path::new(node.ready()["chain"]["wallet"].as_str().expect("a wallet"))
        .parent()
        .expect("a place");
    assert!(!files.join("chain.bolt").exists());
}

#[test]
fn a_node_of_another_network_is_named_by_its_address() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--chain", &neo.rpc()]);
    assert_eq!(rpc(&node), neo.rpc());
    assert!(node.ready()["chain"].get("wallet").is_none());
    drop(node);

    let refused = NodeProcess::try_start_in(&dir.path().join("other"), &["--chain", "http://127.0.0.1:1"]);
    let said = refused.err().expect("it does not start");
    assert!(
        said.contains("NF0801") && said.contains("http://127.0.0.1:1"),
        "{said}"
    );
}
