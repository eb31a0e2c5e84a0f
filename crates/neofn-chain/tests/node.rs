//! The port against a real Neo N3 node.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests stop loudly and wait for the real world"
)]

mod support;
mod until;

use neofn_chain::model::{ExecutionTrigger, Presence, VmState};
use neofn_chain::port::{BLOCKS_MAX, Chain as _};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::stack::StackItem;
use neofn_chain::{Refusal, dev};
use neofn_testkit::Neo;
use neofn_types::{Code, Hash256, ScriptHash};
use std::time::{Duration, Instant};
use support::pool;
use until::until;

const GAS: &str = "0xd2a4cff31913016155e38e474a2c06d08be276cf";
const MANAGEMENT: &str = "0xfffdc93764dbaddd97c48f252a53ea4643faa3fd";

fn gas() -> ScriptHash {
    GAS.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_seen_from_every_side() {
    let neo = Neo::start();
    let chain = pool(&[neo.rpc()]).await;
    assert_eq!(chain.network().0, dev::DEV_NETWORK);

    let [from, to, _] = neo.accounts() else {
        panic!("three accounts")
    };
    let hash: Hash256 = neo.transfer(from, to.address, "GAS", "1.5").parse().unwrap();
    let found = chain.transaction(hash).await.unwrap();
    let place = found.included.unwrap();
    assert_eq!(found.transaction.sender, from.script_hash());
    assert_eq!(found.transaction.signers[0].scopes, "CalledByEntry");
    assert_eq!(
        found.transaction.executions,
        chain.application_log(hash).await.unwrap()
    );

    let block = chain.block(place.height).await.unwrap();
    assert_eq!((block.hash, block.time), (place.block, place.time));
    assert_eq!(block.transactions, [found.transaction]);
    let triggers: Vec<_> = block.executions.iter().map(|e| e.trigger).collect();
    assert_eq!(
        triggers,
        [ExecutionTrigger::OnPersist, ExecutionTrigger::PostPersist]
    );
    let execution = &block.transactions[0].executions[0];
    assert_eq!(
        (execution.trigger, execution.state),
        (ExecutionTrigger::Application, VmState::Halt)
    );
    let said = &execution.notifications[0];
    assert_eq!((said.contract, said.name.as_str()), (gas(), "Transfer"));
    assert_eq!(said.state[0].to_script_hash(), Some(from.script_hash()));
    assert_eq!(said.state[1].to_script_hash(), Some(to.script_hash()));
    assert_eq!(said.state[2], StackItem::from(150_000_000));

    let balance = chain.balance(gas(), to.script_hash()).await.unwrap();
    assert_eq!(balance, 100_000_150_000_000i64.into());
    assert_eq!(
        chain.presence(hash, place.height).await.unwrap(),
        Presence::OnChain(place)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_an_error_of_its_own() {
    let neo = Neo::start();
    let chain = pool(&[neo.rpc()]).await;
    let nobody = Hash256([7; 32]);
    let code = |e: neofn_chain::ChainError| e.code();
    assert_eq!(
        code(chain.transaction(nobody).await.unwrap_err()),
        Code::TransactionNotFound
    );
    assert_eq!(
        code(chain.application_log(nobody).await.unwrap_err()),
        Code::TransactionNotFound
    );
    assert_eq!(
        code(chain.block(1_000_000).await.unwrap_err()),
        Code::BlockNotFound
    );
    assert_eq!(chain.contract_state(ScriptHash([7; 20])).await.unwrap(), None);
    assert_eq!(chain.contract_state(gas()).await.unwrap().unwrap().id, -6);

    let height = chain.head().height;
    assert_eq!(
        chain.presence(nobody, height).await.unwrap(),
        Presence::Absent { witnesses: 1 }
    );
    let early = chain.presence(nobody, height + 1_000_000).await.unwrap_err();
    assert_eq!(code(early), Code::ChainUnreachable);

    let fault = chain
        .invoke_read(ScriptHash([7; 20]), "x", &[])
        .await
        .unwrap()
        .halted()
        .unwrap_err();
    assert_eq!(code(fault), Code::ScriptFault);
    assert_eq!(
        chain.send(&[0, 1, 2]).await.unwrap_err().refusal(),
        Some(Refusal::Other)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_iterators_and_heads() {
    let neo = Neo::start();
    let chain = pool(&[neo.rpc()]).await;
    let policy = chain.policy().await.unwrap();
    assert_eq!(
        (policy.fee_per_byte.0, policy.exec_fee_factor, policy.block_ms),
        (1_000, 30, 100)
    );
    assert_eq!(policy.storage_price, 100_000);

    // every native contract is listed by an iterator, but for those that are: so deploying is needed to see any
    let mut script = ScriptBuilder::new();
    script
        .call(
            MANAGEMENT.parse().unwrap(),
            "getContractHashes",
            CallFlags::ReadOnly,
            &[],
        )
        .unwrap();
    let listed = chain.invoke_script(&script.into_bytes(), &[]).await.unwrap();
    let session = listed.session.clone().expect("a session");
    let StackItem::Interop(interop) = &listed.stack[0] else {
        panic!("{listed:?}")
    };
    let id = interop.iterator.clone().expect("an iterator");
    assert_eq!(chain.iterate(&session, &id, 10).await.unwrap(), []);
    chain.end_session(&session).await.unwrap();
    let gone = chain.iterate(&session, &id, 10).await.unwrap_err();
    assert_eq!(gone.code(), Code::IteratorEnded);

    let mut heads = chain.watch();
    let first = heads.borrow_and_update().height;
    for _ in 0..3 {
        heads.changed().await.unwrap();
    }
    assert!(chain.head().height > first);
    let status = &chain.nodes()[0];
    assert!(status.subscribed && status.ejected.is_none(), "{status:?}");
    assert_eq!(status.agent.as_deref(), Some("/NEO-GO:0.105.1/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catching_up_is_fast_and_complete() {
    // one block a millisecond or so
    let neo = Neo::start_with(dev::Keep::InMemory, 1);
    neo.wait_for_height(3_000);
    let chain = pool(&[neo.rpc()]).await;
    let began = Instant::now();
    let mut next = 0;
    while next < 3_000 {
        let blocks = chain.blocks(next..3_000).await.unwrap();
        assert!(u64::try_from(blocks.len()).unwrap() <= BLOCKS_MAX);
        for block in &blocks {
            assert_eq!((block.height, block.executions.len()), (next, 2));
            next += 1;
        }
    }
    let rate = 3_000.0 / began.elapsed().as_secs_f64();
    println!("{rate:.0} blocks/s with their logs");
    // a debug build on a busy machine; the benchmark measures the real figure
    assert!(rate > 300.0, "{rate}");
    // a range that reaches beyond the head ends there
    let head = chain.head().height;
    let last = chain.blocks(head..head + 1_000_000).await.unwrap();
    assert_eq!(last[0].height, head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_and_started_goes_on() {
    let mut neo = Neo::start_with(dev::Keep::OnDisk, 100);
    let chain = pool(&[neo.rpc()]).await;
    let before = chain.head();
    neo.stop();
    until("the pool says so", || chain.nodes()[0].ejected.is_some()).await;
    let refused = chain.block(1).await.unwrap_err();
    assert_eq!(refused.code(), Code::ChainUnreachable);
    neo.go_on();
    let mut heads = chain.watch();
    let waiting = async {
        while heads.borrow_and_update().height <= before.height + 3 {
            heads.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
    assert_eq!(
        chain.block(before.height).await.unwrap().hash,
        before.hash,
        "the same chain"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_ends_with_its_parent() {
    let neo = Neo::start();
    let pid = neo.pid();
    drop(neo);
    until("the node is gone", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    })
    .await;
}
