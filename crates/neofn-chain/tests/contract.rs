//! Contracts and transactions on a real node: put on chain, asked, updated; what is refused, and why.

#![expect(clippy::unwrap_used, reason = "tests stop loudly and wait for the real world")]

mod support;

use neofn_chain::contract::{self, Manifest, Nef};
use neofn_chain::fee;
use neofn_chain::key::PrivateKey;
use neofn_chain::model::{FoundTransaction, Sent, VmState};
use neofn_chain::pool::Pool;
use neofn_chain::port::{Caller, Chain};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::stack::StackItem;
use neofn_chain::tx::{Scope, Signer, Transaction};
use neofn_chain::wallet::Wallet;
use neofn_testkit::Neo;
use neofn_types::{Code, Datoshi, Hash256};
use std::time::Duration;
use support::pool;

/// A contract whose `answer` is a number and whose `update` lets anybody replace it, in the machine's own code.
fn contract_of(answer: u8) -> (Nef, Manifest) {
    let mut script = vec![0x00, answer, 0x40];
    // INITSLOT 0 3; the arguments as an array; a call of the native contract; its null dropped
    script.extend([0x57, 0, 3, 0x7a, 0x79, 0x78, 0x13, 0xc0, 0x1f]);
    let mut builder = ScriptBuilder::new();
    let management: neofn_types::ScriptHash = contract::MANAGEMENT.parse().unwrap();
    builder.bytes(b"update").bytes(&management.0);
    script.extend(builder.into_bytes());
    script.extend([0x41, 0x62, 0x7d, 0x5b, 0x52, 0x45, 0x40]);
    let manifest = r#"{"name":"Answer","groups":[],"features":{},"supportedstandards":[],"abi":{"methods":[
        {"name":"answer","parameters":[],"returntype":"Integer","offset":0,"safe":true},
        {"name":"update","parameters":[{"name":"nef","type":"ByteArray"},{"name":"manifest","type":"String"},
            {"name":"data","type":"Any"}],"returntype":"Void","offset":3,"safe":false}],
        "events":[{"name":"Asked","parameters":[{"name":"by","type":"Hash160"}]}]},
        "permissions":[{"contract":"*","methods":"*"}],"trusts":[],"extra":null}"#;
    (
        Nef::of_script("neofn tests", &script).unwrap(),
        Manifest::read(manifest).unwrap(),
    )
}

/// Tries, pays, signs.
async fn signed(chain: &Pool, key: &PrivateKey, script: Vec<u8>) -> Transaction {
    let account = key.public().account();
    let tried = chain
        .invoke_script(&script, &[Caller::by_entry(account)])
        .await
        .unwrap();
    let tried = tried.halted().unwrap();
    let mut transaction = Transaction {
        nonce: 7,
        system_fee: tried.gas,
        network_fee: Datoshi::ZERO,
        valid_until: u32::try_from(chain.head().height + 100).unwrap(),
        signers: vec![Signer {
            account,
            scope: Scope::CalledByEntry,
        }],
        attributes: Vec::new(),
        script,
        witnesses: Vec::new(),
    };
    let policy = chain.policy().await.unwrap();
    let verification = key.public().verification_script();
    transaction.network_fee = fee::network_fee(&transaction, &[verification], &policy).unwrap();
    sign(chain, key, &mut transaction);
    let nodes_own = chain.network_fee(&transaction.to_bytes()).await.unwrap();
    assert_eq!(transaction.network_fee, nodes_own);
    transaction
}
fn sign(chain: &Pool, key: &PrivateKey, transaction: &mut Transaction) {
    transaction.witnesses = vec![key.witness(&transaction.message(chain.network().0))];
}
async fn mined(chain: &Pool, hash: Hash256) -> FoundTransaction {
    let mut heads = chain.watch();
    let waiting = async {
        loop {
            heads.borrow_and_update();
            match chain.transaction(hash).await {
                Ok(found) if found.included.is_some() => return found,
                _ => heads.changed().await.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap()
}
async fn run(chain: &Pool, key: &PrivateKey, script: Vec<u8>) {
    let transaction = signed(chain, key, script).await;
    chain.send(&transaction.to_bytes()).await.unwrap();
    let found = mined(chain, transaction.hash()).await;
    let execution = found.transaction.executions.first().unwrap();
    assert_eq!(execution.state, VmState::Halt, "{execution:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_is_deployed_asked_listed_and_updated() {
    let neo = Neo::start();
    let chain = pool(&[neo.rpc()]).await;
    let wallet = Wallet::read(&std::fs::read_to_string(neo.wallet()).unwrap()).unwrap();
    let key = wallet.key(None, neo.password()).unwrap();
    let first = neo.accounts().first().unwrap();
    assert_eq!(
        key.public().account(),
        first.script_hash(),
        "the published wallet opens"
    );
    assert_eq!(key.to_wif().as_str(), first.wif);

    let (nef, manifest) = contract_of(42);
    let deployment = contract::deploy(key.public().account(), &nef, &manifest, &StackItem::Null).unwrap();
    run(&chain, &key, deployment.script).await;
    let (state, deployed) = contract::find(&chain, deployment.contract).await.unwrap();
    assert_eq!((state.script, state.updates), (nef.script, 0));
    assert_eq!((deployed.name.as_str(), deployed.events.len()), ("Answer", 1));
    assert_eq!(deployed.event("Asked").unwrap().parameters.len(), 1);

    let answer = contract::read(&chain, deployment.contract, "answer", &[])
        .await
        .unwrap();
    assert_eq!(answer.stack, [StackItem::from(42)]);
    let message = |e: neofn_chain::ChainError| (e.code(), e.to_string());
    let (code, words) = message(
        contract::read(&chain, deployment.contract, "answer", &[1.into()])
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (code, words.as_str()),
        (
            Code::ContractMethod,
            "answer was given 1 arguments, but it is answer()"
        )
    );
    let (code, words) = message(
        contract::read(&chain, deployment.contract, "anwser", &[])
            .await
            .unwrap_err(),
    );
    assert_eq!(code, Code::ContractMethod);
    assert!(words.ends_with("it has answer, update"), "{words}");

    // an iterator, read to its end
    let mut script = ScriptBuilder::new();
    let management = contract::MANAGEMENT.parse().unwrap();
    script
        .call(management, "getContractHashes", CallFlags::ReadOnly, &[])
        .unwrap();
    let listed = chain.invoke_script(&script.into_bytes(), &[]).await.unwrap();
    let (items, more) = contract::items(&chain, &listed, 10).await.unwrap().unwrap();
    assert!(!more && items.len() == 1, "{items:?}");
    assert!(contract::items(&chain, &answer, 10).await.unwrap().is_none());

    let (newer, same) = contract_of(43);
    let script = contract::update(deployment.contract, Some(&newer), Some(&same), &StackItem::Null).unwrap();
    run(&chain, &key, script).await;
    let (state, _) = contract::find(&chain, deployment.contract).await.unwrap();
    assert_eq!(state.updates, 1);
    let answer = contract::read(&chain, deployment.contract, "answer", &[])
        .await
        .unwrap();
    assert_eq!(answer.stack, [StackItem::from(43)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_again_is_harmless_and_refusals_say_why() {
    let neo = Neo::start();
    let chain = pool(&[neo.rpc()]).await;
    let [first, _, poor] = neo.accounts() else {
        panic!("three accounts")
    };
    let key = PrivateKey::from_wif(first.wif).unwrap();
    let gas = "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap();
    let pay = |amount: i64| {
        let arguments = [
            first.script_hash().into(),
            poor.script_hash().into(),
            amount.into(),
            StackItem::Null,
        ];
        contract::call(gas, "transfer", &arguments).unwrap()
    };
    let transaction = signed(&chain, &key, pay(5)).await;
    let bytes = transaction.to_bytes();
    assert_eq!(chain.send(&bytes).await.unwrap(), Sent::Accepted);
    let again = chain.send(&bytes).await.unwrap();
    assert!(
        matches!(again, Sent::AlreadyPooled | Sent::AlreadyOnChain),
        "{again:?}"
    );
    mined(&chain, transaction.hash()).await;
    assert_eq!(chain.send(&bytes).await.unwrap(), Sent::AlreadyOnChain);

    let code = |sent: Result<Sent, neofn_chain::ChainError>| sent.unwrap_err().code();
    let mut expired = signed(&chain, &key, pay(6)).await;
    expired.valid_until = 1;
    sign(&chain, &key, &mut expired);
    assert_eq!(
        code(chain.send(&expired.to_bytes()).await),
        Code::TransactionExpired
    );

    let mut cheap = signed(&chain, &key, pay(7)).await;
    cheap.network_fee = Datoshi(1);
    sign(&chain, &key, &mut cheap);
    assert_eq!(
        code(chain.send(&cheap.to_bytes()).await),
        Code::TransactionInvalid
    );

    let mut forged = signed(&chain, &key, pay(8)).await;
    forged.nonce += 1;
    assert_eq!(
        code(chain.send(&forged.to_bytes()).await),
        Code::TransactionInvalid
    );

    let broke = PrivateKey::from_bytes(&[9; 32]).unwrap();
    let mut unpaid = signed(&chain, &key, pay(9)).await;
    unpaid.signers = vec![Signer {
        account: broke.public().account(),
        scope: Scope::CalledByEntry,
    }];
    sign(&chain, &broke, &mut unpaid);
    assert_eq!(
        code(chain.send(&unpaid.to_bytes()).await),
        Code::InsufficientFunds
    );
}
