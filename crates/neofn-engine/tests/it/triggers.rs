//! From events to invocations: each once, whatever happens in between.

use crate::fake_chain::FakeChain;
use crate::fakes::TestClock;
use crate::rig::{Rig, deploy_of, eventually, key};
use neofn_engine::EngineOptions;
use neofn_engine::port::{InvocationFilter, InvocationRecord, Origin, Status};
use neofn_engine::triggers::port::{FiredFilter, Redo};
use neofn_engine::triggers::request::{Switch, TestOn};
use neofn_event::{CloudEvent, TriggerId, Triggers};
use neofn_types::{Code, TraceContext};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn rig(chain: &Arc<FakeChain>, change: impl FnOnce(&mut EngineOptions)) -> Rig {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    Rig::following(dir, Arc::new(TestClock::new()), Some(chain.clone()), change)
}
async fn deploy(rig: &Rig, name: &str, code: &str, on: Value) {
    let mut deploy = deploy_of(name, code);
    deploy.on = Triggers::read(&on).unwrap();
    rig.engine.deploy(deploy).await.unwrap();
}
async fn ended(rig: &Rig, name: &str) -> Vec<InvocationRecord> {
    let filter = InvocationFilter {
        limit: 10_000,
        ..Default::default()
    };
    let rows = rig.engine.invocations(&key(name), filter).await.unwrap();
    rows.into_iter().filter(|r| r.finished_at.is_some()).collect()
}
fn heights(rows: &[InvocationRecord]) -> Vec<u64> {
    let height = |r: &InvocationRecord| {
        let event: Value = serde_json::from_slice(r.result.as_ref().unwrap()).unwrap();
        event["data"]["block"]["height"].as_u64().unwrap()
    };
    let mut found: Vec<u64> = rows.iter().map(height).collect();
    found.sort_unstable();
    found
}
async fn until(rig: &Rig, name: &str, count: usize) -> Vec<InvocationRecord> {
    eventually(&format!("{count} ends of {name}"), || async {
        ended(rig, name).await.len() >= count
    })
    .await;
    let rows = ended(rig, name).await;
    assert_eq!(rows.len(), count);
    rows
}
fn trigger(name: &str, trigger: &str) -> TriggerId {
    TriggerId::new(key(name), trigger.parse().unwrap())
}
fn event(id: &str, data: Value) -> CloudEvent {
    let event =
        json!({"specversion": "1.0", "id": id, "source": "/test", "type": "order.paid", "data": data});
    CloudEvent::from_json(event).unwrap()
}

#[tokio::test]
async fn every_block_runs_the_function_once() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{}]})).await;
    chain.grow(30, 1);
    let rows = until(&rig, "f", 25).await;
    assert_eq!(heights(&rows), (6..=30).collect::<Vec<_>>());
    assert!(
        rows.iter()
            .all(|r| r.origin == Origin::Block && r.status == Status::Succeeded)
    );
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_old_one_died() {
    let chain = Arc::new(FakeChain::at(5));
    let first = rig(&chain, |_| {});
    deploy(&first, "f", "echo", json!({"block": [{}]})).await;
    chain.grow(40, 1);
    eventually("some", || async { !ended(&first, "f").await.is_empty() }).await;
    let (dir, clock) = first.crash().await;
    chain.grow(80, 1);
    let second = Rig::following(dir, clock, Some(chain.clone()), |_| {});
    let rows = until(&second, "f", 75).await;
    assert_eq!(heights(&rows), (6..=80).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_past_is_caught_up_and_joined() {
    let chain = Arc::new(FakeChain::at(20));
    let rig = rig(&chain, |o| o.chain.batch = 7);
    deploy(&rig, "new", "echo", json!({"block": [{}]})).await;
    deploy(&rig, "old", "echo", json!({"block": [{"start": "genesis"}]})).await;
    deploy(&rig, "future", "echo", json!({"block": [{"start": 30}]})).await;
    chain.grow(35, 1);
    assert_eq!(
        heights(&until(&rig, "new", 15).await),
        (21..=35).collect::<Vec<_>>()
    );
    assert_eq!(
        heights(&until(&rig, "old", 36).await),
        (0..=35).collect::<Vec<_>>()
    );
    assert_eq!(
        heights(&until(&rig, "future", 6).await),
        (30..=35).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_full_queue_holds_up_nobody_else() {
    let chain = Arc::new(FakeChain::at(0));
    let rig = rig(&chain, |o| o.queue_max = 5);
    deploy(&rig, "slow", "block", json!({"block": [{}]})).await;
    deploy(&rig, "quick", "echo", json!({"block": [{}]})).await;
    for height in 1..=40 {
        chain.grow(height, 1);
        until(&rig, "quick", usize::try_from(height).unwrap()).await;
    }
    rig.runtime.gate.0.add_permits(1_000);
    assert_eq!(
        heights(&until(&rig, "slow", 40).await),
        (1..=40).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn another_chain_of_blocks_is_not_followed() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{}]})).await;
    chain.grow(8, 1);
    until(&rig, "f", 3).await;
    chain.grow(10, 2);
    eventually("trouble", || async {
        rig.engine
            .chain_state()
            .unwrap()
            .error
            .is_some_and(|(code, _)| code == Code::ChainForked)
    })
    .await;
    assert_eq!(ended(&rig, "f").await.len(), 3);
}

/// A node told of blocks that nobody else has, and is gone: block 8 was another one.
async fn misled(nodes: usize) -> (Arc<FakeChain>, Rig) {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{}]})).await;
    chain.grow(7, 1);
    until(&rig, "f", 2).await;
    chain.turn(8, 8, 9);
    until(&rig, "f", 3).await;
    chain.nodes.store(nodes, Ordering::SeqCst);
    chain.turn(8, 10, 1);
    (chain, rig)
}
async fn stands(rig: &Rig) {
    eventually("trouble", || async {
        let state = rig.engine.chain_state().unwrap();
        state.error.is_some_and(|(code, _)| code == Code::ChainForked)
    })
    .await;
}

#[tokio::test]
async fn a_wrong_block_is_read_again_where_two_nodes_agree() {
    let (_chain, rig) = misled(2).await;
    // block 8 had its event; the other block 8 is the same event, and has no effect again
    let rows = until(&rig, "f", 5).await;
    assert_eq!(heights(&rows), (6..=10).collect::<Vec<_>>());
    eventually("no trouble", || async {
        let state = rig.engine.chain_state().unwrap();
        state.error.is_none() && state.lag == 0
    })
    .await;
    assert_eq!(ended(&rig, "f").await.len(), 5);
}

#[tokio::test]
async fn a_wrong_block_stays_while_nodes_disagree_or_one_alone_speaks() {
    let (chain, rig) = misled(1).await;
    stands(&rig).await;
    chain.divided.store(true, Ordering::SeqCst);
    chain.nodes.store(3, Ordering::SeqCst);
    let seen = rig.engine.recheck_chain(true).await.unwrap();
    assert_eq!((seen.height, seen.agreed, seen.moved), (8, None, false));
    assert_eq!(seen.nodes.len(), 3);
    assert_eq!(ended(&rig, "f").await.len(), 3);
    chain.nodes.store(1, Ordering::SeqCst);
    chain.divided.store(false, Ordering::SeqCst);
    // by an operator's word the only node is believed; without it nothing changes
    let seen = rig.engine.recheck_chain(false).await.unwrap();
    assert!(seen.agreed.is_some() && !seen.moved, "{seen:?}");
    stands(&rig).await;
    let seen = rig.engine.recheck_chain(true).await.unwrap();
    assert!(seen.moved, "{seen:?}");
    let rows = until(&rig, "f", 5).await;
    assert_eq!(heights(&rows), (6..=10).collect::<Vec<_>>());
    // and once it agrees there is nothing to do
    eventually("it is read", || async {
        rig.engine.chain_state().unwrap().lag == 0
    })
    .await;
    let seen = rig.engine.recheck_chain(true).await.unwrap();
    assert_eq!((seen.agreed, seen.moved), (None, false));
    assert_eq!(ended(&rig, "f").await.len(), 5);
}

#[tokio::test]
async fn a_chain_that_ends_before_the_place_that_was_read_is_said() {
    let chain = Arc::new(FakeChain::at(5));
    let first = rig(&chain, |_| {});
    deploy(&first, "f", "echo", json!({"block": [{}]})).await;
    chain.grow(12, 1);
    until(&first, "f", 7).await;
    let (dir, clock) = first.crash().await;
    let shorter = Arc::new(FakeChain::at(9));
    let second = Rig::following(dir, clock, Some(shorter.clone()), |_| {});
    eventually("trouble", || async {
        let state = second.engine.chain_state().unwrap();
        state
            .error
            .is_some_and(|(code, _)| code == Code::ChainUnreachable)
    })
    .await;
    shorter.grow(14, 1);
    assert_eq!(
        heights(&until(&second, "f", 9).await),
        (6..=14).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_chain_that_is_down_is_waited_for() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{}]})).await;
    chain.down.store(true, Ordering::SeqCst);
    chain.grow(8, 1);
    eventually("trouble", || async {
        rig.engine.chain_state().unwrap().error.is_some()
    })
    .await;
    chain.down.store(false, Ordering::SeqCst);
    until(&rig, "f", 3).await;
    eventually("no trouble", || async {
        rig.engine.chain_state().unwrap().error.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_sequential_trigger_keeps_the_order_of_the_chain() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{"order": "sequential"}]})).await;
    chain.grow(25, 1);
    let mut rows = until(&rig, "f", 20).await;
    rows.sort_by_key(|r| r.id);
    assert_eq!(rig.runtime.running_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn pausing_loses_nothing() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"block": [{"name": "b"}]})).await;
    let id = trigger("f", "b");
    chain.grow(7, 1);
    until(&rig, "f", 2).await;
    rig.engine.switch_trigger(&id, Switch::Pause).await.unwrap();
    chain.grow(20, 1);
    eventually("the cursor moves on", || async {
        rig.engine.chain_state().unwrap().lag == 0
    })
    .await;
    assert_eq!(ended(&rig, "f").await.len(), 2);
    rig.engine.switch_trigger(&id, Switch::Resume).await.unwrap();
    assert_eq!(heights(&until(&rig, "f", 15).await), (6..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn time_brings_runs() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(
        &rig,
        "f",
        "echo",
        json!({"cron": [{"schedule": "@every 60s", "data": {"n": 1}}]}),
    )
    .await;
    for runs in 1..=3 {
        rig.clock.advance(Duration::from_secs(60));
        let rows = until(&rig, "f", runs).await;
        let event: Value = serde_json::from_slice(rows[0].result.as_ref().unwrap()).unwrap();
        assert_eq!(
            (&event["type"], &event["data"]["n"]),
            (&json!("neofn.cron"), &json!(1))
        );
    }
}

/// What a new schedule would have brought before it was there was never wanted.
#[tokio::test]
async fn another_schedule_begins_when_it_is_deployed() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "echo", json!({"cron": [{"schedule": "0 0 1 1 *"}]})).await;
    rig.clock.advance(Duration::from_secs(3_600));
    deploy(&rig, "f", "echo", json!({"cron": [{"schedule": "@every 60s"}]})).await;
    rig.clock.advance(Duration::from_secs(60));
    let rows = until(&rig, "f", 1).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rig.clock.advance(Duration::from_secs(60));
    until(&rig, "f", 2).await;
}

#[tokio::test]
async fn a_clock_that_leapt_ahead_stops_no_schedule() {
    let chain = Arc::new(FakeChain::at(5));
    let clock = Arc::new(TestClock::new());
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::following(dir, clock.clone(), Some(chain), |_| {});
    deploy(&rig, "f", "echo", json!({"cron": [{"schedule": "@every 60s"}]})).await;
    clock.leap(Duration::from_secs(365 * 24 * 3_600));
    // the last of those that were missed, and the one of this minute
    until(&rig, "f", 2).await;
    clock.leap(Duration::ZERO);
    eventually("it goes on", || async {
        clock.advance(Duration::from_secs(61));
        ended(&rig, "f").await.len() > 2
    })
    .await;
}

#[tokio::test]
async fn published_events_reach_their_triggers_once() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(
        &rig,
        "f",
        "echo",
        json!({"event": [{"type": "order.*", "where": "data.total > 5"}]}),
    )
    .await;
    let project = key("f").project;
    let trace = TraceContext::start(&*rig.entropy);
    let events = vec![event("1", json!({"total": 9})), event("2", json!({"total": 1}))];
    let first = rig.engine.publish(&project, events.clone(), trace).await.unwrap();
    assert_eq!((first[0].deliveries.len(), first[1].deliveries.len()), (1, 0));
    let again = rig.engine.publish(&project, events, trace).await.unwrap();
    assert!(again[0].deliveries[0].known);
    assert_eq!(again[0].deliveries[0].id, first[0].deliveries[0].id);
    until(&rig, "f", 1).await;
    let stats = rig.engine.trigger_stats();
    assert_eq!(stats.duplicates, 1);
    // twice in one batch: it runs for the first
    let twice = vec![event("3", json!({"total": 9})), event("3", json!({"total": 9}))];
    let both = rig.engine.publish(&project, twice, trace).await.unwrap();
    let known: Vec<bool> = both.iter().map(|p| p.deliveries[0].known).collect();
    assert_eq!(known, [false, true]);
    until(&rig, "f", 2).await;
}

#[tokio::test]
async fn events_that_reach_too_much_are_refused() {
    let rig = Rig::new();
    let triggers: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("t{n}"), "type": "*"}))
        .collect();
    deploy(&rig, "f", "echo", json!({"event": triggers})).await;
    rig.deploy("teller", "host").await;
    let project = key("f").project;
    let trace = TraceContext::start(&*rig.entropy);
    let large = "x".repeat(700 << 10);
    let events = vec![event("1", json!(large))];
    let refused = rig.engine.publish(&project, events, trace).await.unwrap_err();
    assert_eq!(refused.code, Code::BodyTooLarge);
    let many = (0..101).map(|n| event(&n.to_string(), json!(n))).collect();
    let refused = rig.engine.publish(&project, many, trace).await.unwrap_err();
    assert_eq!(refused.code, Code::BodyTooLarge);
    let emit = json!([["emit", {"type": "a", "data": large}]]).to_string();
    let failure = rig.invoke("teller", &emit).await.unwrap().outcome.unwrap_err();
    assert_eq!(failure.code, Code::EmitInvalid);
    assert!(failure.message.contains("64 MiB"), "{}", failure.message);
    assert!(ended(&rig, "f").await.is_empty());
    // what most do fits
    let events = vec![event("1", json!("y".repeat(10 << 10)))];
    let published = rig.engine.publish(&project, events, trace).await.unwrap();
    assert_eq!(published[0].deliveries.len(), 100);
}

#[tokio::test]
async fn a_run_whose_events_find_no_room_has_failed() {
    let rig = Rig::with(|o| o.queue_max = 2);
    deploy(&rig, "f", "echo", json!({"event": [{"type": "a"}]})).await;
    rig.deploy("teller", "host").await;
    let emit = |count: usize| json!(vec![json!(["emit", {"type": "a"}]); count]).to_string();
    let failure = rig.invoke("teller", &emit(3)).await.unwrap().outcome.unwrap_err();
    assert_eq!(failure.code, Code::QueueFull);
    assert!(ended(&rig, "f").await.is_empty());
    rig.invoke("teller", &emit(2)).await.unwrap().outcome.unwrap();
    until(&rig, "f", 2).await;
}

#[tokio::test]
async fn what_fails_for_good_waits_for_somebody() {
    let chain = Arc::new(FakeChain::at(5));
    let rig = rig(&chain, |_| {});
    deploy(&rig, "f", "fail NF0203", json!({"block": [{}]})).await;
    chain.grow(7, 1);
    let rows = until(&rig, "f", 2).await;
    let all: HashSet<Status> = rows.iter().map(|r| r.status).collect();
    assert_eq!(all, HashSet::from([Status::Dead]));
    deploy(&rig, "f", "echo", json!({"block": [{}]})).await;
    let filter = FiredFilter {
        dead: true,
        to: Some(6),
        limit: 10,
        ..Default::default()
    };
    let dead = rig.engine.fired(&key("f").project, filter).await.unwrap();
    assert_eq!((dead.len(), dead[0].height), (1, Some(6)));
    let id = dead[0].record.id;
    rig.engine.redo(id, Redo::Retry).await.unwrap();
    let row = rig.until(id, Status::Succeeded).await;
    assert_eq!(row.version.0, 2);
    assert_eq!(
        rig.engine.redo(id, Redo::Drop).await.unwrap_err().code,
        Code::DeadLetterNotFound
    );
}

#[tokio::test]
async fn triggers_are_tried_before_they_are_trusted() {
    let chain = Arc::new(FakeChain::at(50));
    let rig = rig(&chain, |_| {});
    deploy(
        &rig,
        "f",
        "echo",
        json!({"block": [{"name": "tenth", "every": 10}]}),
    )
    .await;
    let id = trigger("f", "tenth");
    let no = rig.engine.test_trigger(&id, TestOn::Block(11)).await.unwrap();
    assert!(
        !no.matched
            && rig
                .engine
                .test_trigger(&id, TestOn::Block(20))
                .await
                .unwrap()
                .matched
    );
    let back = rig.engine.backtest_trigger(&id, 1, 50).await.unwrap();
    assert_eq!((back.matched, back.samples.len(), back.measured), (5, 5, 3));
    assert!(back.units_each.is_some());
    let listed = rig.engine.triggers(&key("f").project, None).await.unwrap();
    assert_eq!((listed.len(), listed[0].lag), (1, Some(0)));
    let unknown = rig
        .engine
        .test_trigger(&trigger("f", "none"), TestOn::Block(1))
        .await;
    assert_eq!(unknown.unwrap_err().code, Code::TriggerNotFound);
}

#[tokio::test]
async fn a_node_without_a_chain_refuses_what_would_never_run() {
    let rig = Rig::new();
    let mut deploy = deploy_of("f", "echo");
    deploy.on = Triggers::read(&json!({"block": [{}]})).unwrap();
    assert_eq!(
        rig.engine.deploy(deploy).await.unwrap_err().error.code,
        Code::ChainAbsent
    );
}
