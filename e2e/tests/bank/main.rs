//! Money on a real private net.

mod gifts;
mod money;
mod proofs;

use neofn_testkit::{Neo, NodeProcess, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);
/// 0.01 GAS for a million units.
const PRICE: i64 = 1_000_000;

fn datoshi(gas: &Value) -> i64 {
    let text = gas.as_str().expect("an amount");
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = format!("{part:0<8}");
    sign * (whole.parse::<i64>().expect("a number") * 100_000_000 + part.parse::<i64>().expect("a number"))
}

fn start(data: &Path, neo: &Neo, more: &[&str]) -> NodeProcess {
    let [wallet, password] = neo
        .quick_wallet(&neo.accounts()[0])
        .map(|p| p.display().to_string());
    let rpc = neo.rpc();
    let price = PRICE.to_string();
    let common = [
        "--chain",
        &rpc,
        "--wallet",
        &wallet,
        "--wallet-password-file",
        &password,
        "--pay-max",
        "10",
        "--gas-price",
        &price,
    ];
    NodeProcess::start_in(data, &[&common, more].concat())
}

fn gas(node: &NodeProcess, project: &str) -> Value {
    node.http()
        .get(&format!("/api/v1/gas/{project}"))
        .expect(200)
        .json()
}

fn lines(node: &NodeProcess, project: &str) -> Vec<Value> {
    let answer = node
        .http()
        .get(&format!("/api/v1/gas/{project}/statement?limit=1000"));
    answer.expect(200).json()["lines"]
        .as_array()
        .expect("lines")
        .clone()
}

fn pay_in(neo: &Neo, to: &Value, amount: &str) {
    let rpc = neo.rpc();
    let memo = format!("string:{}", to["memo"].as_str().expect("a memo"));
    let said = neo.cli(
        &["wallet", "nep17", "transfer", "--force", "--await"],
        &[
            "--from",
            neo.accounts()[1].address,
            "--to",
            to["address"].as_str().expect("an address"),
            "--token",
            "GAS",
            "--amount",
            amount,
            "-r",
            &rpc,
            &memo,
        ],
    );
    assert!(said.contains("0x") || !said.is_empty(), "{said}");
}

fn on_chain(neo: &Neo, address: &str) -> i64 {
    let balances = neo.call("getnep17balances", json!([address]));
    let gas = "0xd2a4cff31913016155e38e474a2c06d08be276cf";
    let found = balances["balance"]
        .as_array()
        .expect("balances")
        .iter()
        .find(|b| b["assethash"] == gas);
    found.map_or(0, |b| {
        b["amount"]
            .as_str()
            .expect("an amount")
            .parse()
            .expect("a number")
    })
}

/// Waits until ledger and chain speak of the same block, and demands that they agree.
fn sound(node: &NodeProcess) -> Value {
    eventually("ledger and chain agree", WITHIN, || {
        let seen = node.http().get("/api/v1/gas").expect(200).json();
        assert_eq!(seen["sum"], "0", "{seen}");
        let chain = &seen["chain"];
        let together = chain["next"].as_u64()? == chain["height"].as_u64()? + 1;
        (together && seen["sound"] == true && chain["chain"] == chain["ledger"] && chain["open"] == 0)
            .then(|| seen.clone())
    })
}
