//! ctx.neo and ctx.emit: answers, grants, one transaction for one call, and replays that ask nobody.

use crate::chain_fakes::{ACCOUNT, gas};
use crate::rig::{Rig, deploy_of};
use neofn_engine::port::Status;
use neofn_engine::request::Deploy;
use neofn_types::{ChainGrant, ChainWrite, Grants};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const GAS: &str = "0xd2a4cff31913016155e38e474a2c06d08be276cf";

async fn deploy(rig: &Rig, name: &str, code: &str, chain: ChainGrant) {
    let grants = Grants {
        chain,
        ..Grants::default()
    };
    let deploy = Deploy {
        grants,
        ..deploy_of(name, code)
    };
    rig.engine.deploy(deploy).await.unwrap();
}

fn write(gas: &str) -> ChainGrant {
    ChainGrant::Write(ChainWrite::new(["GAS"], gas).unwrap())
}

fn transfer(amount: u32) -> Value {
    json!(["neo_invoke", {"contract": "GAS", "method": "transfer", "args": [ACCOUNT.to_address(), amount]}])
}

#[tokio::test]
async fn the_chain_is_read_and_a_replay_reads_the_record() {
    let (rig, chain, _) = Rig::on_chain();
    deploy(&rig, "f", "host", ChainGrant::Read).await;
    let account = ACCOUNT.to_address();
    let calls = json!([
        ["neo_head", {}], ["neo_block", {"height": 4}], ["neo_block", {"height": 11}], ["neo_log", {"hash": "0x".to_owned() + &"01".repeat(32)}],
        ["neo_balance", {"token": "NEO", "account": account}], ["neo_read", {"contract": "GAS", "method": "owner", "args": [GAS]}],
        ["neo_read", {"contract": "GAS", "method": "broken"}], ["neo_call", {"contract": GAS, "method": "broken", "args": []}],
        ["neo_call", {"contract": "GAS", "method": "balanceOf", "args": [account]}], ["neo_read", {"contract": "NEO", "method": "symbol"}],
        ["neo_read", {"contract": "GAS", "method": "owner", "args": [1]}], ["neo_decode", {"script": "0x40"}], ["neo_block", {"height": -1}],
    ])
    .to_string();
    let first = rig.invoke("f", &calls).await.unwrap();
    let answers: Value = serde_json::from_slice(first.outcome.as_ref().unwrap()).unwrap();
    assert_eq!(
        (
            &answers[0]["height"],
            &answers[0]["account"],
            &answers[0]["network"]
        ),
        (&json!(10), &json!(account), &json!(42))
    );
    assert_eq!(
        (&answers[1]["time"], &answers[1]["transactions"][0]["state"]),
        (&json!(4_000), &json!("HALT"))
    );
    assert_eq!(answers[2]["code"], "NF0806");
    assert_eq!(
        answers[3]["executions"][0]["notifications"][0]["name"],
        "Transfer"
    );
    assert_eq!(answers[4]["amount"], "1180591620717411303424");
    assert_eq!(answers[5]["value"], gas().to_address());
    assert_eq!(
        answers[6],
        json!({"code": "NF0810", "message": "broken: at instruction 5: no"})
    );
    assert_eq!(
        (&answers[7]["state"], &answers[7]["gas"], &answers[7]["result"]),
        (&json!("FAULT"), &json!("77"), &Value::Null)
    );
    assert_eq!(answers[8]["result"], "1267650600228229401496703205376");
    assert_eq!(answers[9]["code"], "NF0808");
    assert_eq!(
        answers[10],
        json!({"code": "NF0809", "message": "owner: argument `of` (Hash160): a number cannot be Hash160"})
    );
    assert_eq!(answers[11]["instructions"][0]["opcode"], "RET");
    assert_eq!(answers[12]["code"], "NF0216");

    let asked = chain.asked();
    let replayed = rig.engine.replay(first.id, None).await.unwrap();
    assert_eq!(replayed.diverged, None);
    assert_eq!(replayed.outcome.unwrap(), first.outcome.unwrap());
    assert_eq!((replayed.units, chain.asked()), (first.units, asked));
}

#[tokio::test]
async fn transfers_are_read_from_blocks_and_priced_by_them() {
    let (rig, ..) = Rig::on_chain();
    deploy(&rig, "f", "host", ChainGrant::Read).await;
    let account = ACCOUNT.to_address();
    let calls = json!([
        ["neo_transfers", {"account": account}], ["neo_transfers", {"account": account, "from": 2, "to": 3}],
        ["neo_transfers", {"account": GAS}], ["neo_transfers", {"account": account, "token": "NEO"}],
        ["neo_transfers", {"account": account, "from": 9, "to": 3}],
    ]);
    let answers = rig.result("f", &calls.to_string()).await;
    let heights = |n: usize| -> Vec<u64> {
        let list = answers[n]["transfers"].as_array().unwrap();
        list.iter().map(|t| t["height"].as_u64().unwrap()).collect()
    };
    // what block 3 says was undone
    assert_eq!(heights(0), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((heights(1), &answers[1]["next"]), (vec![2], &json!(4)));
    assert!(heights(2).is_empty() && heights(3).is_empty());
    assert_eq!(answers[4]["code"], "NF0216");
    let last = &answers[0]["transfers"][9];
    assert_eq!(
        (&last["from"], &last["to"], &last["amount"]),
        (&Value::Null, &json!(account), &json!("10"))
    );
}

#[tokio::test]
async fn a_run_that_is_tried_again_sends_nothing_twice() {
    let (rig, _, writer) = Rig::on_chain();
    deploy(&rig, "f", "host-throw-once", write("1")).await;
    let calls = json!([transfer(1), transfer(1), transfer(2)]).to_string();
    let id = rig.enqueue("f", &calls).await;
    let record = rig.until_later(id, Status::Succeeded).await;
    // two equal transfers are two, and the second try asked for the same three
    assert_eq!(writer.counts(), (3, 6));
    let answers: Value = serde_json::from_slice(&record.result.unwrap()).unwrap();
    assert_ne!(answers[0]["hash"], answers[1]["hash"]);
    let requests = writer.requests.lock().clone();
    assert!(
        requests[..3]
            .iter()
            .zip(&requests[3..])
            .all(|(a, b)| a.idempotency == b.idempotency)
    );

    let replayed = rig.engine.replay(id, None).await.unwrap();
    assert_eq!((replayed.diverged, writer.counts()), (None, (3, 6)));
    // another invocation of the same event is another matter
    rig.enqueue("f", &calls).await;
    crate::rig::eventually("sent", || async { writer.counts() == (6, 9) }).await;
}

#[tokio::test]
async fn a_callee_sends_nothing_twice_when_its_caller_is_tried_again() {
    let (rig, _, writer) = Rig::on_chain();
    deploy(&rig, "callee", "host", write("1")).await;
    deploy(&rig, "caller", "call-throw-once callee", ChainGrant::None).await;
    let id = rig.enqueue("caller", &json!([transfer(7)]).to_string()).await;
    rig.until_later(id, Status::Succeeded).await;
    assert_eq!(writer.counts(), (1, 2));
}

#[tokio::test]
async fn fees_stay_within_the_grant_and_the_call() {
    let (rig, _, writer) = Rig::on_chain();
    deploy(&rig, "f", "host", write("0.5")).await;
    let mut dear = transfer(9);
    dear[1]["gas"] = json!("0.1");
    let mut confirmed = transfer(3);
    confirmed[1]["confirm"] = json!(true);
    let calls = json!([dear, transfer(1), confirmed, transfer(2), {"0": 0}]);
    let calls = Value::Array(calls.as_array().unwrap()[..4].to_vec());
    let answers = rig.result("f", &calls.to_string()).await;
    assert_eq!(answers[0]["code"], "NF0218");
    assert_eq!(
        (&answers[1]["state"], &answers[1]["fee"]),
        (&json!("broadcast"), &json!("20000000"))
    );
    assert_eq!(
        (&answers[2]["state"], &answers[2]["height"]),
        (&json!("halt"), &json!(11))
    );
    assert_eq!(answers[3]["code"], "NF0218");
    let most: Vec<i64> = writer.requests.lock().iter().map(|r| r.fee_max.0).collect();
    assert_eq!(most, [50_000_000, 30_000_000]);
}

#[tokio::test]
async fn an_estimate_tries_out_and_sends_nothing() {
    let (rig, _, writer) = Rig::on_chain();
    deploy(&rig, "f", "host", write("0.5")).await;
    let event = json!([transfer(1), ["emit", {"type": "a"}]]).to_string();
    let estimate = rig
        .engine
        .estimate(&crate::rig::key("f"), event.into())
        .await
        .unwrap();
    let answers: Value = serde_json::from_slice(&estimate.outcome.unwrap()).unwrap();
    assert_eq!(
        (&answers[0]["state"], &answers[0]["hash"]),
        (&json!("dry-run"), &Value::Null)
    );
    assert_eq!(
        (writer.counts(), writer.tried.load(Ordering::SeqCst)),
        ((0, 0), 1)
    );
}

#[tokio::test]
async fn what_is_not_granted_is_denied_with_the_line_to_add() {
    let (rig, chain, writer) = Rig::on_chain();
    let before = chain.asked();
    for (name, grant) in [
        ("none", ChainGrant::None),
        ("read", ChainGrant::Read),
        ("write", write("0.5")),
    ] {
        deploy(&rig, name, "host", grant).await;
    }
    let neo = json!(["neo_invoke", {"contract": "NEO", "method": "vote", "args": []}]);
    let calls = json!([["neo_block", {"height": 4}], neo]).to_string();
    let none = rig.result("none", &calls).await;
    let message = |answers: &Value, n: usize| answers[n]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        message(&none, 0),
        "ctx.neo is not granted: add `allow = { chain = \"read\" }` to [function.none] in neofn.toml"
    );
    assert_eq!(chain.asked(), before);
    let neo = "0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5";
    let read = rig.result("read", &calls).await;
    assert_eq!(
        message(&read, 1),
        format!(
            "ctx.neo.invoke of {neo} is not granted: add `allow = {{ chain = {{ write = {{ contracts = [\"{neo}\"], gas = \"0.5\" }} }} }}` to [function.read] in neofn.toml"
        )
    );
    let write = rig.result("write", &calls).await;
    assert!(
        message(&write, 1).contains(&format!("contracts = [\"{GAS}\", \"{neo}\"]")),
        "{write}"
    );
    assert_eq!(writer.counts(), (0, 0));
}

#[tokio::test]
async fn a_node_without_a_chain_says_so() {
    let rig = Rig::new();
    deploy(&rig, "f", "host", write("1")).await;
    let answers = rig
        .result("f", &json!([["neo_head", {}], transfer(1)]).to_string())
        .await;
    assert_eq!(
        answers[0],
        json!({"code": "NF0219", "message": "this node runs without a chain"})
    );
    assert_eq!(answers[1]["code"], "NF0219");
}

#[tokio::test]
async fn emitted_events_are_named_and_bad_ones_refused() {
    let rig = Rig::new();
    deploy(&rig, "f", "host", ChainGrant::None).await;
    let calls = json!([["emit", {"type": "a.b", "data": {"x": 1}}], ["emit", {"type": ""}], ["emit", {"type": "c", "id": "mine"}]]);
    let invoked = rig.invoke("f", &calls.to_string()).await.unwrap();
    let answers: Value = serde_json::from_slice(&invoked.outcome.unwrap()).unwrap();
    assert_eq!(answers[0], json!({"id": format!("{}-0", invoked.id)}));
    assert_eq!(
        (&answers[1]["code"], &answers[2]["id"]),
        (&json!("NF0220"), &json!("mine"))
    );
    assert_eq!(rig.engine.replay(invoked.id, None).await.unwrap().diverged, None);
}
