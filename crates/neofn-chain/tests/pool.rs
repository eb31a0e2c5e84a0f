//! Nodes that misbehave beside one that does not: the pool goes on, and says what is wrong.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests stop loudly and wait for the real world"
)]

mod fake;
mod support;
mod until;

use fake::{Fake, Mood};
use neofn_chain::ChainError;
use neofn_chain::model::{NetworkId, Presence, VmState};
use neofn_chain::pool::Pool;
use neofn_chain::port::Chain as _;
use neofn_testkit::Neo;
use neofn_types::{Code, Hash256};
use std::time::Duration;
use support::{options, pool};
use until::until;

/// Waits until the node is put aside for a reason that contains `words`.
async fn put_aside(pool: &Pool, node: usize, words: &str) {
    until(
        &format!("node {node} is put aside: {words}: {:?}", pool.nodes()),
        || {
            let status = &pool.nodes()[node];
            status.ejected.as_deref().is_some_and(|why| why.contains(words))
        },
    )
    .await;
}
async fn in_use(pool: &Pool, node: usize) {
    until(&format!("node {node} is in use: {:?}", pool.nodes()), || {
        pool.nodes()[node].ejected.is_none()
    })
    .await;
}
/// What a user notices: blocks are read, and heads come.
async fn goes_on(pool: &Pool) {
    let mut heads = pool.watch();
    let height = heads.borrow_and_update().height;
    let work = async {
        heads.changed().await.unwrap();
        let block = pool.block(height).await.unwrap();
        assert_eq!(block.height, height);
        let blocks = pool.blocks(0..height + 1).await.unwrap();
        assert!(!blocks.is_empty());
        pool.policy().await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(15), work)
        .await
        .expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_changes_its_mind_is_put_aside_and_comes_back() {
    let neo = Neo::start();
    let fake = Fake::start(&neo.rpc(), Mood::Honest).await;
    let pool = pool(&[fake.url(), neo.rpc()]).await;
    in_use(&pool, 0).await;
    neo.wait_for_height(20);
    let moods = [
        (Mood::Foreign, "is on network 7"),
        (Mood::Html, "does not answer"),
        (Mood::Nonsense, "does not answer"),
        (Mood::WrongIds, "does not answer"),
        (Mood::HangUp, "does not answer"),
        (Mood::Silent, "no answer within three seconds"),
        (Mood::Boasting, "which cannot be"),
    ];
    for (mood, words) in moods {
        fake.feels(mood);
        goes_on(&pool).await;
        put_aside(&pool, 0, words).await;
        goes_on(&pool).await;
        fake.feels(Mood::Honest);
        in_use(&pool, 0).await;
    }
    let status = &pool.nodes()[0];
    assert!(!status.subscribed, "it has no socket: {status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_node_is_put_aside() {
    let neo = Neo::start();
    neo.wait_for_height(10);
    let fake = Fake::start(&neo.rpc(), Mood::Late(8)).await;
    let mut options = options(&[fake.url(), neo.rpc()]);
    options.lag_max = Duration::from_millis(400);
    let pool = Pool::connect(options).await.unwrap();
    put_aside(&pool, 0, "blocks behind").await;
    goes_on(&pool).await;
    fake.feels(Mood::Honest);
    in_use(&pool, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_another_chain_is_put_aside_where_two_disagree_with_it() {
    let neo = Neo::start();
    neo.wait_for_height(3);
    let forked = Fake::start(&neo.rpc(), Mood::Forked).await;
    let second = Fake::start(&neo.rpc(), Mood::Honest).await;
    let pool = pool(&[forked.url(), second.url(), neo.rpc()]).await;
    put_aside(&pool, 0, "is on another chain").await;
    goes_on(&pool).await;
    assert!(pool.nodes()[1].ejected.is_none() && pool.nodes()[2].ejected.is_none());

    // alone it is believed at first, but its blocks do not continue each other
    let alone = support::pool(&[forked.url()]).await;
    let error = alone.blocks(0..5).await.unwrap_err();
    assert_eq!(error.code(), Code::ChainForked, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_end_and_nodes_without_batches() {
    let neo = Neo::start();
    neo.wait_for_height(120);
    let fake = Fake::start(&neo.rpc(), Mood::NoBatches).await;
    let alone = pool(&[fake.url()]).await;
    let blocks = alone.blocks(0..110).await.unwrap();
    assert_eq!(blocks.len(), 110);
    assert_eq!(blocks[109].executions.len(), 2);

    fake.feels(Mood::Endless);
    let error = tokio::time::timeout(Duration::from_secs(30), alone.block(1))
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.is_the_nodes_fault(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_start_is_said() {
    let neo = Neo::start();
    let fake = Fake::start(&neo.rpc(), Mood::Html).await;
    let mut wanted = options(&[fake.url()]);
    wanted.patience = Duration::from_millis(200);
    let said = |e: Option<ChainError>| e.map(|e| (e.code(), e.to_string())).unwrap();
    let (code, words) = said(Pool::connect(wanted).await.err());
    assert_eq!(code, Code::ChainAnswer.min(Code::ChainUnreachable), "{words}");
    assert!(words.contains(&fake.url()), "{words}");

    fake.feels(Mood::Useless);
    let mut wanted = options(&[fake.url()]);
    wanted.patience = Duration::from_millis(200);
    let (_, words) = said(Pool::connect(wanted).await.err());
    assert!(words.contains("valid for 0 blocks"), "{words}");

    let mut wanted = options(&[neo.rpc()]);
    wanted.patience = Duration::from_millis(200);
    wanted.networks = vec![NetworkId(860_833_102)];
    let (code, words) = said(Pool::connect(wanted).await.err());
    assert_eq!(code, Code::ChainNetwork, "{words}");

    for bad in ["", "localhost:1", "ftp://x"] {
        assert!(Pool::connect(options(&[bad.to_owned()])).await.is_err(), "{bad}");
    }
    assert!(Pool::connect(options(&[])).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absence_needs_two_nodes_where_there_are_two() {
    let neo = Neo::start();
    let fake = Fake::start(&neo.rpc(), Mood::Honest).await;
    let pool = pool(&[fake.url(), neo.rpc()]).await;
    in_use(&pool, 0).await;
    let nobody = Hash256([7; 32]);
    let height = pool.head().height;
    neo.wait_for_height(height + 1);
    assert_eq!(
        pool.presence(nobody, height).await.unwrap(),
        Presence::Absent { witnesses: 2 }
    );
    fake.feels(Mood::Html);
    let unknown = pool.presence(nobody, height).await.unwrap_err();
    assert_eq!(unknown.code(), Code::ChainUnreachable, "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_without_a_log_is_never_absent() {
    let neo = Neo::start();
    let fake = Fake::start(&neo.rpc(), Mood::NoLogs).await;
    let pool = pool(&[fake.url()]).await;
    let [from, to, ..] = neo.accounts() else {
        panic!("two accounts")
    };
    let hash: Hash256 = neo.transfer(from, to.address, "GAS", "1").parse().unwrap();
    until("the node has told of the block", || {
        pool.head().height >= neo.height() && neo.height() > 0
    })
    .await;
    let found = pool.presence(hash, 0).await.unwrap();
    assert!(
        matches!(found, Presence::OnChain(place) if place.height > 0),
        "{found:?}"
    );
    let error = pool.transaction(hash).await.unwrap_err();
    assert_eq!(error.code(), Code::ChainAnswer, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_under_two_names_is_one_witness() {
    let neo = Neo::start();
    let pool = pool(&[neo.rpc(), format!("{}/", neo.rpc())]).await;
    assert_eq!(pool.nodes().len(), 1);
    assert_eq!(
        pool.presence(Hash256([7; 32]), 0).await.unwrap(),
        Presence::Absent { witnesses: 1 }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_transaction_is_not_one_nodes_word() {
    let neo = Neo::start();
    let liar = Fake::start(&neo.rpc(), Mood::Faulting).await;
    let honest = Fake::start(&neo.rpc(), Mood::Honest).await;
    let two = pool(&[liar.url(), neo.rpc()]).await;
    let three = pool(&[liar.url(), honest.url(), neo.rpc()]).await;
    let [from, to, ..] = neo.accounts() else {
        panic!("two accounts")
    };
    let hash: Hash256 = neo.transfer(from, to.address, "GAS", "1").parse().unwrap();
    let at = neo.height();
    until("all have told of the block", || {
        let all = [&two, &three];
        all.iter()
            .all(|p| p.head().height >= at && p.nodes().iter().all(|n| n.height.is_some_and(|h| h >= at)))
    })
    .await;
    let said = two.settled(hash).await.unwrap();
    assert_eq!(said.included, None, "one says FAULT, the other HALT: {said:?}");
    let said = three.settled(hash).await.unwrap();
    assert!(said.included.is_some(), "{said:?}");
    assert_eq!(said.transaction.executions[0].state, VmState::Halt);
    // of two, one that cannot be asked is not waited for
    liar.feels(Mood::Html);
    let said = two.settled(hash).await.unwrap();
    assert!(
        said.included.is_some() && said.transaction.executions[0].state == VmState::Halt,
        "{said:?}"
    );
    liar.feels(Mood::Honest);
    in_use(&two, 0).await;
    let said = two.settled(hash).await.unwrap();
    assert!(
        said.included.is_some() && said.transaction.executions[0].state == VmState::Halt,
        "{said:?}"
    );
}
