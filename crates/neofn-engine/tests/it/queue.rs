//! Asynchronous invocations: none is lost, none is committed twice.

use crate::rig::{Rig, deploy_of, eventually, key};
use neofn_engine::port::{InvocationStore, Origin, Status};
use neofn_engine::request::{Deploy, Invoke};
use neofn_engine::{Refused, Wait, Waits};
use neofn_types::{Code, Limits};
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn accepted_work_runs_to_its_end() {
    let rig = Rig::new();
    rig.deploy("f", "count").await;
    let mut ids = vec![];
    for _ in 0..40 {
        ids.push(rig.enqueue("f", "null").await);
    }
    for id in ids {
        let record = rig.until(id, Status::Succeeded).await;
        assert_eq!((record.attempt.0, record.origin), (1, Origin::Async));
    }
    assert_eq!(rig.kv("n").await.as_deref(), Some("40"));
}

#[tokio::test]
async fn thrown_errors_are_tried_again_until_they_are_dead() {
    // the test moves time by more than a lease, which would take running attempts from their owner
    let rig = Rig::with(|o| o.lease = Duration::from_secs(10_000_000));
    rig.deploy("bad", "throw").await;
    rig.deploy("flaky", "flaky 3").await;
    rig.deploy("limit", "fail NF0203").await;
    rig.deploy("lost", "fail NF0209").await;
    let bad = rig.enqueue("bad", "null").await;
    let flaky = rig.enqueue("flaky", "null").await;
    let limit = rig.enqueue("limit", "null").await;
    let lost = rig.enqueue("lost", "null").await;
    let record = rig.until(limit, Status::Failed).await;
    assert_eq!(
        (record.attempt.0, record.failure.unwrap().code),
        (1, Code::UnitLimit)
    );
    for id in [bad, lost] {
        let record = rig.until_later(id, Status::Dead).await;
        assert_eq!(record.attempt.0, 10);
        assert!(record.failure.is_some());
    }
    let record = rig.until_later(flaky, Status::Succeeded).await;
    assert_eq!(record.result.as_deref(), Some(&b"3"[..]));
    assert_eq!(rig.engine.stats().retries, 9 + 9 + 2);
}

#[tokio::test]
async fn a_function_runs_no_more_often_than_its_limit_and_others_go_on() {
    let rig = Rig::new();
    let deploy = Deploy {
        limits: Limits {
            concurrency: 2,
            ..Limits::default()
        },
        ..deploy_of("slow", "block")
    };
    rig.engine.deploy(deploy).await.unwrap();
    rig.deploy("quick", "echo").await;
    let mut slow = vec![];
    for _ in 0..30 {
        slow.push(rig.enqueue("slow", "1").await);
    }
    eventually("two run", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    let quick = rig.enqueue("quick", "2").await;
    rig.until(quick, Status::Succeeded).await;
    rig.runtime.gate.0.add_permits(30);
    for id in slow {
        rig.until(id, Status::Succeeded).await;
    }
    assert!(rig.runtime.running_most.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_flood_of_one_project_keeps_another_waiting_for_one_slot_only() {
    let rig = Rig::with(|o| o.async_workers = 2);
    let other = neofn_types::FunctionKey::new("other".parse().unwrap(), "quiet".parse().unwrap());
    let quiet = Deploy {
        key: other.clone(),
        ..deploy_of("quiet", "echo")
    };
    rig.engine.deploy(quiet).await.unwrap();
    for name in ["f", "g"] {
        rig.deploy(name, "block").await;
        for _ in 0..20 {
            rig.enqueue(name, "1").await;
        }
    }
    eventually("two run", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    let invoke = Invoke {
        key: other,
        origin: Origin::Async,
        ..rig.call("quiet", "2")
    };
    let id = rig.engine.enqueue(invoke).await.unwrap().id;
    // one run of the flood ends; nothing else does
    rig.runtime.gate.0.add_permits(1);
    rig.until(id, Status::Succeeded).await;
    assert_eq!(rig.engine.totals().await.unwrap().succeeded, 2);
    rig.runtime.gate.0.add_permits(39);
}

#[tokio::test]
async fn work_of_a_dead_process_is_done_by_the_next_and_committed_once() {
    let rig = Rig::new();
    rig.deploy("f", "count-block").await;
    let id = rig.enqueue("f", "null").await;
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    let (dir, clock) = rig.crash().await;
    let rig = Rig::at(dir, clock, |_| {});
    rig.runtime.gate.0.add_permits(1);
    let record = rig.until_later(id, Status::Succeeded).await;
    // the end of the process says nothing of what it ran
    assert_eq!(record.attempt.0, 1);
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn an_attempt_that_lost_its_claim_commits_nothing() {
    let rig = Rig::new();
    rig.deploy("f", "count-block").await;
    let id = rig.enqueue("f", "null").await;
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    // as if renewal had failed for longer than the lease: another attempt is made beside the first
    let store = rig.store.store.clone();
    let far = rig.clock_now().plus(Duration::from_secs(3_600));
    eventually("requeued", || {
        let store = store.clone();
        async move { store.requeue_expired(far).await.unwrap() == 1 }
    })
    .await;
    eventually("both run", || async {
        rig.clock.advance(Duration::from_secs(2));
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    rig.runtime.gate.0.add_permits(2);
    let record = rig.until(id, Status::Succeeded).await;
    assert_eq!(record.attempt.0, 2);
    eventually("both ended", || async { rig.engine.stats().in_flight == 0 }).await;
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
    assert_eq!(rig.engine.totals().await.unwrap().succeeded, 1);
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_written_later() {
    let rig = Rig::new();
    rig.deploy("f", "count").await;
    rig.store.fail_finish.store(2, Ordering::SeqCst);
    let id = rig.enqueue("f", "null").await;
    let record = rig.until(id, Status::Succeeded).await;
    assert_eq!(record.attempt.0, 1);
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_conflict_at_the_commit_is_tried_again() {
    let rig = Rig::new();
    rig.deploy("f", "swap").await;
    let ids = [rig.enqueue("f", "1").await, rig.enqueue("f", "2").await];
    eventually("both read", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    rig.runtime.gate.0.add_permits(64);
    for id in ids {
        rig.until_later(id, Status::Succeeded).await;
    }
    assert!(rig.engine.stats().retries >= 1);
}

#[tokio::test]
async fn an_idempotency_key_enqueues_once_and_the_queue_is_bounded() {
    let rig = Rig::with(|o| {
        o.queue_max = 2;
        o.async_workers = 1;
    });
    rig.deploy("f", "block").await;
    let keyed = |event: &str| Invoke {
        idempotency: Some("k".into()),
        origin: Origin::Async,
        ..rig.call("f", event)
    };
    let first = rig.engine.enqueue(keyed("1")).await.unwrap();
    let again = rig.engine.enqueue(keyed("1")).await.unwrap();
    assert_eq!(first.id, again.id);
    let other = rig.engine.enqueue(keyed("2")).await.unwrap_err();
    assert_eq!(other.code, Code::IdempotencyMismatch);
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    rig.enqueue("f", "1").await;
    rig.enqueue("f", "1").await;
    let full = rig.engine.enqueue(rig.call("f", "1")).await.unwrap_err();
    assert_eq!(full.code, Code::QueueFull);
    rig.runtime.gate.0.add_permits(3);
    rig.until(first.id, Status::Succeeded).await;
}

#[tokio::test]
async fn queued_work_stays_on_disk_through_a_drain_and_a_switched_off_function_runs_nothing() {
    let rig = Rig::new();
    rig.deploy("f", "echo").await;
    rig.deploy("off", "echo").await;
    assert!(rig.engine.drain(Duration::from_secs(10)).await);
    let (dir, clock) = rig.crash().await;
    let rig = Rig::at(dir, clock, |o| o.async_workers = 0);
    let id = rig.enqueue("f", "5").await;
    let off = rig.enqueue("off", "5").await;
    rig.engine.set_active(&key("off"), false).await.unwrap();
    assert!(rig.engine.drain(Duration::from_secs(10)).await);
    assert_eq!(rig.record(id).await.status, Status::Queued);
    let (dir, clock) = rig.crash().await;
    let rig = Rig::at(dir, clock, |_| {});
    rig.until(id, Status::Succeeded).await;
    let record = rig.until(off, Status::Failed).await;
    assert_eq!(record.failure.unwrap().code, Code::FunctionDisabled);
}

#[tokio::test]
async fn a_project_keeps_to_its_limit_and_what_waits_is_told_why() {
    let rig = Rig::with(|o| {
        o.project_concurrency_max = 2;
        o.lease = Duration::from_secs(10_000_000);
    });
    rig.deploy("f", "block").await;
    rig.deploy("g", "block").await;
    for name in ["f", "g"] {
        rig.enqueue(name, "1").await;
    }
    eventually("two run", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 2
    })
    .await;
    let refused = rig.invoke("f", "1").await.unwrap_err();
    assert_eq!(refused.code, Code::ConcurrencyLimit);
    let third = rig.enqueue("g", "3").await;
    let full = Waits::Node(Wait::Full {
        refused: Refused::Project,
        running: 2,
        max: 2,
    });
    eventually("it says what it waits for", || async {
        let record = rig.record(third).await;
        rig.engine.waits(&record).await == Some(full)
    })
    .await;
    rig.runtime.gate.0.add_permits(3);
    let record = rig.until(third, Status::Succeeded).await;
    assert_eq!(rig.engine.waits(&record).await, None);
}

#[tokio::test]
async fn work_that_waited_too_long_ends_without_running() {
    let rig = Rig::with(|o| {
        o.async_workers = 1;
        o.lease = Duration::from_secs(10_000_000);
    });
    rig.deploy("f", "block").await;
    let first = rig.enqueue("f", "1").await;
    eventually("it runs", || async {
        rig.runtime.running.load(Ordering::SeqCst) == 1
    })
    .await;
    let second = rig.enqueue("f", "2").await;
    rig.clock.advance(Duration::from_secs(25 * 3_600));
    rig.runtime.gate.0.add_permits(1);
    let record = rig.until(second, Status::Failed).await;
    assert_eq!(record.failure.unwrap().code, Code::Expired);
    // what had begun in time may end late
    rig.until(first, Status::Succeeded).await;
}

#[tokio::test]
async fn a_function_that_fails_every_time_is_held_back() {
    let rig = Rig::with(|o| {
        o.lease = Duration::from_secs(10_000_000);
        o.breaker.failures = 5;
        o.breaker.pause_max = Duration::from_secs(5);
    });
    rig.deploy("bad", "throw").await;
    rig.deploy("good", "count").await;
    let mut ids = vec![];
    for _ in 0..30 {
        ids.push(rig.enqueue("bad", "null").await);
    }
    eventually("it is held back", || async { rig.engine.stats().paused == 1 }).await;
    let tried = rig.engine.stats().retries;
    assert!((5..30).contains(&tried), "{tried} of 30 ran before it was seen");
    // others go on, and callers see the error themselves
    let other = rig.enqueue("good", "null").await;
    rig.until(other, Status::Succeeded).await;
    assert_eq!(
        rig.invoke("bad", "null").await.unwrap().outcome.unwrap_err().code,
        Code::Uncaught
    );
    let mut waiting = None;
    for id in &ids {
        let record = rig.record(*id).await;
        if let Some(Waits::Node(Wait::Paused { until })) = rig.engine.waits(&record).await {
            waiting = Some((*id, until));
        }
    }
    let (id, until) = waiting.expect("one says why it waits");
    assert!(until > rig.clock_now());
    // one run is tried now and then, so that all of them come to their end
    eventually("it is dead", || async {
        rig.clock.advance(Duration::from_secs(5));
        rig.record(id).await.status == Status::Dead
    })
    .await;
}

#[tokio::test]
async fn waiting_for_a_worker_costs_no_attempt() {
    let rig = Rig::with(|options| options.backoff.attempts_max = 1);
    rig.deploy("f", "echo").await;
    // workers that seem to be there, and are not
    rig.runtime.nobody.store(true, Ordering::SeqCst);
    let mut ids = vec![];
    for n in 0..3 {
        ids.push(rig.enqueue("f", &n.to_string()).await);
    }
    // more often than they would be tried
    eventually("claims come back", || async {
        rig.runtime.met_nobody.load(Ordering::SeqCst) > 6
    })
    .await;
    rig.runtime.full.store(true, Ordering::SeqCst);
    // what was on its way when it became full has met nobody, too
    for id in &ids {
        eventually("they wait for a worker", || async {
            let waits = rig.engine.waits(&rig.record(*id).await).await;
            waits == Some(Waits::Worker)
        })
        .await;
    }
    rig.runtime.nobody.store(false, Ordering::SeqCst);
    assert_eq!(rig.runtime.invoked.load(Ordering::SeqCst), 0);
    rig.runtime.full.store(false, Ordering::SeqCst);
    for id in ids {
        let record = rig.until(id, Status::Succeeded).await;
        assert_eq!(record.attempt.0, 1);
    }
    assert_eq!(rig.engine.stats().retries, 0);
}
