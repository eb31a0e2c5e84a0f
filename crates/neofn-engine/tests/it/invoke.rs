//! Synchronous calls: what they may touch, what they promise.

use crate::rig::{Rig, deploy_of, eventually, key};
use neofn_engine::Followed;
use neofn_engine::port::Status;
use neofn_engine::request::{Deploy, Invoke};
use neofn_types::{Code, Grants, Limits};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_plain_call_answers_before_its_row_is_written_and_reads_wait_for_it() {
    let rig = Rig::new();
    rig.deploy("f", "echo").await;
    rig.result("f", "1").await;
    // also waits for the row of the first call
    assert_eq!(rig.engine.totals().await.unwrap().total, 1);
    rig.store.hold_records.store(true, Ordering::SeqCst);
    let reads = rig.store.reads.load(Ordering::SeqCst);
    let invoked = rig.invoke("f", "2").await.unwrap();
    assert_eq!(&invoked.outcome.unwrap()[..], b"2");
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), reads, "the disk was read");
    assert_eq!(rig.engine.stats().records_pending, 1);
    let engine = rig.engine.clone();
    let read = tokio::spawn(async move { engine.invocation(invoked.id).await });
    tokio::task::yield_now().await;
    assert!(!read.is_finished());
    rig.store.records.add_permits(1);
    let record = read.await.unwrap().unwrap();
    assert_eq!(
        (record.status, record.result.as_deref()),
        (Status::Succeeded, Some(&b"2"[..]))
    );
    let count = rig.engine.function(&key("f")).await.unwrap().0.invocation_count;
    assert_eq!(count, 2);
}

#[tokio::test]
async fn answers_wait_once_too_many_rows_are_pending() {
    let rig = Rig::with(|o| o.records_pending_max = 2);
    rig.deploy("f", "echo").await;
    rig.store.hold_records.store(true, Ordering::SeqCst);
    rig.result("f", "1").await;
    rig.result("f", "2").await;
    let (engine, call) = (rig.engine.clone(), rig.call("f", "3"));
    let third = tokio::spawn(async move { engine.invoke(call).await });
    eventually("the third run", || async {
        rig.runtime.invoked.load(Ordering::SeqCst) == 3
    })
    .await;
    assert!(!third.is_finished());
    rig.store.records.add_permits(3);
    third.await.unwrap().unwrap();
    assert_eq!(rig.engine.totals().await.unwrap().succeeded, 3);
}

#[tokio::test]
async fn a_batch_of_rows_that_fails_is_written_row_by_row() {
    let rig = Rig::new();
    rig.deploy("f", "echo").await;
    rig.store.fail_records.store(true, Ordering::SeqCst);
    for n in 0..5 {
        rig.result("f", &n.to_string()).await;
    }
    assert_eq!(rig.engine.totals().await.unwrap().succeeded, 5);
    let stats = rig.engine.stats();
    assert_eq!((stats.records_pending, stats.records_lost), (0, 0));
}

#[tokio::test]
async fn failures_are_in_the_users_terms() {
    let rig = Rig::new();
    rig.deploy("f", "throw").await;
    let invoked = rig.invoke("f", "null").await.unwrap();
    let failure = invoked.outcome.unwrap_err();
    assert_eq!(failure.code, Code::Uncaught);
    assert_eq!(failure.message, "Error: thrown");
    assert_eq!(failure.stack, ["at handler (index.ts:3:10)"]);
    assert_eq!(failure.frame, "> 3:10");
    let stored = rig.record(invoked.id).await;
    assert_eq!(stored.failure.unwrap().stack, failure.stack);
    assert_eq!(rig.engine.stats().outcomes[&Some(Code::Uncaught)], 1);
}

#[tokio::test]
async fn limits_refuse_and_slots_come_back_even_if_the_client_goes() {
    let rig = Rig::with(|o| o.node_concurrency_max = 2);
    let two = Limits {
        concurrency: 1,
        ..Limits::default()
    };
    let deploy = Deploy {
        limits: two,
        ..deploy_of("one", "block")
    };
    rig.engine.deploy(deploy).await.unwrap();
    rig.deploy("more", "block").await;
    let start = |name: &str| {
        let (engine, call) = (rig.engine.clone(), rig.call(name, "1"));
        tokio::spawn(async move { engine.invoke(call).await })
    };
    let first = start("one");
    eventually("one runs", || async { rig.engine.stats().in_flight == 1 }).await;
    assert_eq!(
        rig.invoke("one", "2").await.unwrap_err().code,
        Code::ConcurrencyLimit
    );
    let second = start("more");
    eventually("two run", || async { rig.engine.stats().in_flight == 2 }).await;
    assert_eq!(rig.invoke("more", "3").await.unwrap_err().code, Code::Overloaded);
    first.abort();
    second.abort();
    rig.runtime.gate.0.add_permits(2);
    eventually("all ended", || async { rig.engine.stats().in_flight == 0 }).await;
    // their clients went away; their history is there all the same
    eventually("both recorded", || async {
        rig.engine.totals().await.unwrap().succeeded == 2
    })
    .await;
    assert_eq!(rig.engine.stats().refusals[&Code::ConcurrencyLimit], 1);
}

fn keyed(rig: &Rig, name: &str, event: &str) -> Invoke {
    Invoke {
        idempotency: Some("order-7".into()),
        ..rig.call(name, event)
    }
}

#[tokio::test]
async fn an_idempotency_key_runs_once() {
    let rig = Rig::new();
    rig.deploy("f", "count-block").await;
    let (engine, call) = (rig.engine.clone(), keyed(&rig, "f", "1"));
    let first = tokio::spawn(async move { engine.invoke(call).await });
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    let busy = rig.engine.invoke(keyed(&rig, "f", "1")).await.unwrap_err();
    assert_eq!(busy.code, Code::IdempotencyBusy);
    rig.runtime.gate.0.add_permits(1);
    let first = first.await.unwrap().unwrap();
    let again = rig.engine.invoke(keyed(&rig, "f", "1")).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(
        (again.id, again.outcome.unwrap()),
        (first.id, first.outcome.unwrap())
    );
    let other = rig.engine.invoke(keyed(&rig, "f", "2")).await.unwrap_err();
    assert_eq!(other.code, Code::IdempotencyMismatch);
    let mode = rig.engine.enqueue(keyed(&rig, "f", "1")).await.unwrap_err();
    assert_eq!(mode.code, Code::IdempotencyMismatch);
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
    assert_eq!(rig.runtime.invoked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stored_failure_is_replayed_too_and_an_interrupted_call_runs_again() {
    let rig = Rig::new();
    rig.deploy("bad", "throw").await;
    rig.deploy("slow", "count-block").await;
    rig.engine.invoke(keyed(&rig, "bad", "1")).await.unwrap();
    let again = rig.engine.invoke(keyed(&rig, "bad", "1")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.outcome.unwrap_err().stack, ["at handler (index.ts:3:10)"]);

    let (engine, call) = (rig.engine.clone(), keyed(&rig, "slow", "1"));
    let lost = tokio::spawn(async move { engine.invoke(call).await });
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    let (dir, clock) = rig.crash().await;
    lost.abort();
    let rig = Rig::at(dir, clock, |_| {});
    rig.runtime.gate.0.add_permits(1);
    let second = rig.engine.invoke(keyed(&rig, "slow", "1")).await.unwrap();
    assert!(!second.replayed);
    assert_eq!(&second.outcome.unwrap()[..], br#"{"value":1}"#);
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
    assert_eq!(rig.record(second.id).await.attempt.0, 2);
}

#[tokio::test]
async fn writes_commit_with_the_result_or_not_at_all() {
    let rig = Rig::new();
    rig.deploy("put", "put k").await;
    let seen = rig.result("put", r#"{"v":1}"#).await;
    assert_eq!(seen, json!({"value": {"v": 1}, "revision": null}));
    // on disk before the answer
    assert_eq!(rig.kv("k").await.as_deref(), Some(r#"{"v":1}"#));
    rig.deploy("fails", "count-throw").await;
    rig.invoke("fails", "null").await.unwrap().outcome.unwrap_err();
    assert_eq!(rig.kv("n").await, None);
    rig.deploy("get", "get k").await;
    assert_eq!(rig.result("get", "null").await["value"], json!({"v": 1}));
    rig.deploy("many", "put p/1").await;
    rig.deploy("list", "list p/").await;
    for name in ["p/1", "p/2", "p/3"] {
        rig.deploy("many", &format!("put {name}")).await;
        rig.result("many", "1").await;
    }
    let listed = rig.result("list", "null").await;
    assert_eq!(
        (&listed["entries"][1]["key"], &listed["cursor"]),
        (&json!("p/2"), &json!("p/2"))
    );
}

#[tokio::test]
async fn of_two_that_compare_and_set_one_fails_as_retryable() {
    let rig = Rig::new();
    rig.deploy("f", "swap").await;
    let start = |event: &str| {
        let (engine, call) = (rig.engine.clone(), rig.call("f", event));
        tokio::spawn(async move { engine.invoke(call).await.unwrap().outcome })
    };
    let (a, b) = (start("1"), start("2"));
    eventually("both read", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    rig.runtime.gate.0.add_permits(2);
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert!(a.is_ok() != b.is_ok());
    let failure = a.err().or(b.err()).unwrap();
    // refused at the commit, or already at the call when the other had committed before
    assert!(
        failure.code == Code::KvConflict || failure.message.contains("NF0501"),
        "{failure:?}"
    );
    let totals = rig.engine.totals().await.unwrap();
    assert_eq!((totals.succeeded, totals.failed), (1, 1));
}

#[tokio::test]
async fn quotas_and_grants_hold_whatever_the_sandbox_says() {
    let rig = Rig::with(|o| o.kv_quota.keys_max = 1);
    rig.deploy("a", "put a").await;
    rig.deploy("b", "put b").await;
    rig.result("a", "1").await;
    let failure = rig.invoke("b", "1").await.unwrap().outcome.unwrap_err();
    assert_eq!(failure.code, Code::KvQuota);
    assert_eq!(rig.kv("b").await, None);
    let deploy = Deploy {
        grants: Grants::default(),
        ..deploy_of("c", "get a")
    };
    rig.engine.deploy(deploy).await.unwrap();
    let failure = rig.invoke("c", "1").await.unwrap().outcome.unwrap_err();
    assert!(
        failure
            .message
            .contains("NF0210 ctx.kv is not granted: add `allow = { kv = true }` to [function.c]"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn followers_see_ends_and_are_told_what_they_missed() {
    let rig = Rig::with(|o| o.follow_entries_max = 2);
    rig.deploy("f", "log").await;
    let mut follow = rig.engine.follow(&key("f"));
    rig.result("f", "1").await;
    let Some(Followed::Entry(entry)) = follow.next().await else {
        panic!("no entry");
    };
    assert_eq!(entry.logs, ["[LOG] 1"]);
    assert_eq!(entry.status, Status::Succeeded);
    for i in 0..5 {
        rig.result("f", &i.to_string()).await;
    }
    assert!(matches!(follow.next().await, Some(Followed::Missed(3))));
    rig.engine
        .delete(&key("f"), neofn_engine::request::Callers::Refuse)
        .await
        .unwrap();
    assert!(matches!(follow.next().await, Some(Followed::Entry(_))));
    assert!(matches!(follow.next().await, Some(Followed::Entry(_))));
    assert!(follow.next().await.is_none());
}

#[tokio::test]
async fn idle_versions_leave_the_memory() {
    let rig = Rig::new();
    rig.deploy("f", "echo").await;
    rig.result("f", "1").await;
    assert_eq!(rig.engine.stats().cache_entries, 1);
    rig.clock.advance(Duration::from_secs(601));
    eventually("it is forgotten", || async {
        rig.engine.stats().cache_entries == 0
    })
    .await;
    assert_eq!(rig.result("f", "2").await, 2);
    // and there is room for so many only
    let rig = Rig::with(|o| o.cache_entries_max = 1);
    rig.deploy("f", "echo").await;
    rig.deploy("g", "echo").await;
    rig.result("f", "1").await;
    rig.result("g", "1").await;
    assert_eq!(rig.engine.stats().cache_entries, 1);
}

#[tokio::test]
async fn draining_takes_nothing_new_and_lets_running_ones_end() {
    let rig = Rig::new();
    rig.deploy("f", "block").await;
    let (engine, call) = (rig.engine.clone(), rig.call("f", "1"));
    let running = tokio::spawn(async move { engine.invoke(call).await });
    eventually("it runs", || async { rig.engine.stats().in_flight == 1 }).await;
    assert!(!rig.engine.drain(Duration::from_millis(20)).await);
    let refused = rig.invoke("f", "2").await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    let refused = rig.engine.enqueue(rig.call("f", "2")).await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(rig.try_deploy("f", "echo").await.is_err());
    rig.runtime.gate.0.add_permits(1);
    assert!(rig.engine.drain(Duration::from_secs(10)).await);
    assert!(running.await.unwrap().unwrap().outcome.is_ok());
    assert_eq!(rig.engine.totals().await.unwrap().succeeded, 1);
}
