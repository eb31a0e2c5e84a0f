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

/// Each thing that cannot be has an error of its own, as the function sees it.
#[test]
fn what_cannot_be_called_or_sent_says_why() {
    let neo = Neo::start();
    let dir = tempfile::tempdir().expect("a directory");
    // one of them will have too little for a transfer's fees
    let poor = &neo.accounts()[2];
    let rich = &neo.accounts()[0];
    let wallet = |account| neo.quick_wallet(account).map(|f| f.display().to_string());
    let start = |name: &str, [file, password]: [String; 2]| {
        let rpc = neo.rpc();
        let more = [
            "--chain",
            &rpc,
            "--wallet",
            &file,
            "--wallet-password-file",
            &password,
        ];
        NodeProcess::start_in(&dir.path().join(name), &more)
    };
    const TRY: &str = "export async function handler(e, ctx) {
      const from = await ctx.neo.account();
      const args = (e.args ?? []).map((a) => (a === 'FROM' ? from : a));
      try { return await ctx.neo[e.op](e.contract, e.method, args, e.options); }
      catch (error) { return { code: error.code, message: error.message }; }
    }";
    let unknown = format!("0x{}", "07".repeat(20));
    let deploy = |http: &Http| {
        let grants = json!({"chain": {"write": {"contracts": ["GAS", "NEO", unknown], "gas": "0.5"}}});
        let request = json!({"function_name": "try", "source": TRY, "allow": grants});
        let _ = http.deploy_with("demo", request).expect(201);
    };
    let tried = |http: &Http, call: Value| -> (String, String) {
        let answer = http.invoke("demo", "try", &call).expect(200).json();
        let text = |name: &str| answer["result"][name].as_str().unwrap_or_default().to_owned();
        assert!(!text("message").is_empty(), "{call}: {answer}");
        (text("code"), text("message"))
    };
    let call = |contract: &str, method: &str, args: Value| json!({"op": "invoke", "contract": contract, "method": method, "args": args});
    let to = "NKuyBkoGdZZSLyPbJEetheRhMjeznFZszf";

    let node = start("rich", wallet(rich));
    let http = node.http();
    deploy(&http);
    let table = [
        (call(&unknown, "x", json!([])), "NF0808", unknown.as_str()),
        (call("GAS", "nothing", json!([])), "NF0809", "nothing"),
        (call("GAS", "transfer", json!(["FROM", to])), "NF0809", "transfer"),
        (
            call("GAS", "transfer", json!(["FROM", to, "much", null])),
            "NF0809",
            "amount",
        ),
        (call("NEO", "setGasPerBlock", json!(["1"])), "NF0810", "committee"),
        (
            call("GAS", "transfer", json!(["not an address", to, "1", null])),
            "NF0809",
            "from",
        ),
    ];
    for (call, code, word) in table {
        let (found, message) = tried(&http, call.clone());
        assert_eq!(found, code, "{call}: {message}");
        assert!(message.contains(word), "{call}: {message}");
    }
    let mut dear = call("GAS", "transfer", json!(["FROM", to, "1", null]));
    dear["options"] = json!({"gas": "0.001"});
    let (code, message) = tried(&http, dear);
    assert_eq!(code, "NF0823", "{message}");
    // each code has a page with a cure
    for code in [
        "NF0808", "NF0809", "NF0810", "NF0811", "NF0812", "NF0804", "NF0823",
    ] {
        let page = http.get(&format!("/docs/errors/{code}")).expect(200).body;
        assert!(page.contains("What to do</h2><p>"), "{code}: {page}");
    }
    drop(node);

    let balances = neo.call("getnep17balances", json!([poor.address]));
    let gas = balances["balance"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|b| b["symbol"] == "GAS");
    let has: i64 = gas.and_then(|b| b["amount"].as_str()?.parse().ok()).expect("GAS");
    // its own fees are about 0.114 GAS
    let all_but = has - 15_000_000;
    let amount = format!("{}.{:08}", all_but / 100_000_000, all_but % 100_000_000);
    let _ = neo.transfer(poor, rich.address, "GAS", &amount);
    let node = start("poor", wallet(poor));
    deploy(&node.http());
    let (code, message) = tried(
        &node.http(),
        call("GAS", "transfer", json!(["FROM", to, "1", null])),
    );
    assert_eq!(code, "NF0811", "{message}");
}
