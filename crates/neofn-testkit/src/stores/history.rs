//! History: what is written down, how it reads back, what is counted and what goes away.

use super::Harness;
use crate::stores::support::*;
use neofn_engine::port::{
    Admitted, InvocationFilter, InvocationStore, Origin, Outcome, RecordedCall, Retention, Start, Status,
    StoreError,
};
use neofn_registry::port::RegistryStore;
use neofn_runtime::port::{HostError, HostOp, HostReply};
use neofn_types::{Attempt, Code, Digest, Fence, UnixMillis};
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub async fn the_oldest_history_goes_when_the_disk_would_fill<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for n in 0..20 {
        let mut call = record(&f, n);
        call.new.event = vec![b'1'; 64 << 10].into();
        store.record(call).await.unwrap();
    }
    let keep = Retention {
        age: Duration::MAX,
        per_function: u32::MAX,
        idempotency: Duration::MAX,
        bytes: 1 << 20,
    };
    let mut gone = 0;
    while let n @ 1.. = store.prune(keep, UnixMillis(100), 2).await.unwrap() {
        gone += n;
    }
    assert!((4..12).contains(&gone), "{gone}");
    let left = store
        .invocations(
            &f,
            InvocationFilter {
                limit: 99,
                ..InvocationFilter::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(left.len(), usize::try_from(20 - gone).unwrap());
    assert!(
        left.iter().all(|r| r.created_at.0 >= i64::from(gone)),
        "the oldest go first"
    );
    harness.stop(store).await;
}

pub async fn a_record_reads_back_as_it_was<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut call = record(&f, 10);
    call.new.origin = Origin::Http;
    call.finish.at = UnixMillis(15);
    store.record(call.clone()).await.unwrap();
    let found = store.invocation(call.new.id).await.unwrap().unwrap();
    assert_eq!(found.key, f);
    assert_eq!(
        (found.origin, found.status, found.attempt),
        (Origin::Http, Status::Succeeded, Attempt(1))
    );
    assert_eq!(found.result.as_deref(), Some(&b"{\"ok\":true}"[..]));
    assert_eq!((found.failure, found.logs), (None, call.finish.logs));
    assert_eq!((found.units, found.duration_us), (call.finish.units, 1234));
    assert_eq!((found.trace_id, found.version), ([7; 16], call.new.version));
    assert_eq!(
        (found.created_at, found.finished_at),
        (UnixMillis(10), Some(UnixMillis(15)))
    );
    assert_eq!(found.run_at, None);
    assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, 1);
    harness.stop(store).await;
}

pub async fn a_record_is_written_though_nobody_waits<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for n in 1..=500 {
        let call = record(&f, n);
        let id = call.new.id;
        {
            let mut future = std::pin::pin!(store.record(call));
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => {}
                Poll::Ready(done) => done.unwrap(),
            }
        }
        // a read that comes after sees it, and so do the counts
        if n % 50 == 0 {
            assert!(store.invocation(id).await.unwrap().is_some());
            let count = u64::try_from(n).unwrap();
            assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, count);
            assert_eq!(store.totals().await.unwrap().succeeded, count);
        }
    }
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.totals().await.unwrap().total, 500);
    harness.stop(store).await;
}

pub async fn the_same_record_twice_is_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut call = record(&f, 10);
    call.finish.kv = vec![add("n", 1)];
    store.record(call.clone()).await.unwrap();
    assert!(matches!(store.record(call).await, Err(StoreError::Fenced)));
    let n = neofn_engine::port::KvStore::get(&store, &f.project, "n", UnixMillis(10))
        .await
        .unwrap();
    assert_eq!(&*n.unwrap().value, b"1");
    assert_eq!(store.totals().await.unwrap().total, 1);
    harness.stop(store).await;
}

pub async fn listings_are_newest_first_and_filtered<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    let mut all = Vec::new();
    for at in 1..=12 {
        store.record(record(&g, at)).await.unwrap();
        let status = match at % 6 {
            0 => Status::Queued,
            1 => Status::Running,
            2 => Status::Failed,
            3 => Status::Dead,
            _ => Status::Succeeded,
        };
        let id = match status {
            Status::Succeeded => {
                let call = record(&f, at);
                store.record(call.clone()).await.unwrap();
                call.new.id
            }
            _ => {
                let new = queued(&f, at);
                store.admit(new.clone()).await.unwrap();
                new.id
            }
        };
        all.push((id, status));
    }
    let waiting = store
        .claim(UnixMillis(99), LEASE, 99, &Rooms::default())
        .await
        .unwrap();
    for c in waiting {
        match all.iter().find(|(id, _)| *id == c.id).unwrap().1 {
            Status::Failed => store
                .finish(finish(c.id, c.fence, Outcome::Failed(failure()), 99))
                .await
                .unwrap(),
            Status::Dead => store
                .finish(finish(c.id, c.fence, Outcome::Dead(failure()), 99))
                .await
                .unwrap(),
            Status::Queued => {
                let at = UnixMillis(500);
                let retry = Outcome::Retry {
                    at,
                    failure: failure(),
                };
                store.finish(finish(c.id, c.fence, retry, 99)).await.unwrap();
            }
            _ => {}
        }
    }
    all.reverse();
    for status in [
        None,
        Some(Status::Queued),
        Some(Status::Running),
        Some(Status::Succeeded),
        Some(Status::Failed),
        Some(Status::Dead),
    ] {
        for (before, after) in [(None, None), (Some(2), None), (None, Some(8)), (Some(1), Some(9))] {
            for limit in [0, 2, 100] {
                let filter = InvocationFilter {
                    status,
                    before: before.map(|n: usize| all[n].0),
                    after: after.map(|n: usize| all[n].0),
                    limit,
                };
                let mut expected: Vec<_> = all
                    .iter()
                    .enumerate()
                    .filter(|(n, (_, s))| {
                        before.is_none_or(|b| *n > b)
                            && after.is_none_or(|a| *n < a)
                            && status.is_none_or(|wanted| *s == wanted)
                    })
                    .map(|(_, row)| *row)
                    .collect();
                if after.is_some() {
                    expected.reverse();
                }
                expected.truncate(usize::try_from(limit).unwrap());
                let found = store.invocations(&f, filter).await.unwrap();
                let found: Vec<_> = found.into_iter().map(|r| (r.id, r.status)).collect();
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
    let filter = InvocationFilter {
        limit: 9,
        ..Default::default()
    };
    let none = store.invocations(&key("demo", "none"), filter).await.unwrap();
    assert!(none.is_empty());
    harness.stop(store).await;
}

pub async fn recorded_inputs_come_back<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut call = record(&f, 10);
    let reply = |seq, result| RecordedCall {
        seq,
        op: HostOp::KvGet,
        input: Digest::of(b"input"),
        reply: HostReply {
            result,
            now: UnixMillis(11),
            units: 3,
        },
    };
    let refused = HostError {
        code: Code::SandboxLost,
        message: "no".to_owned(),
    };
    call.finish.recording.replies = vec![reply(0, Ok("null".into())), reply(1, Err(refused))];
    store.record(call.clone()).await.unwrap();
    let found = store.replayable(call.new.id).await.unwrap().unwrap();
    assert_eq!(found.recording, call.finish.recording);
    assert_eq!(found.event, call.new.event);
    assert_eq!(Some(found.record), store.invocation(call.new.id).await.unwrap());
    // what has not ended cannot be replayed
    let waiting = queued(&f, 11);
    store.admit(waiting.clone()).await.unwrap();
    assert_eq!(store.replayable(waiting.id).await.unwrap(), None);
    assert_eq!(store.replayable(id_at(12)).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn totals_count_every_end_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for at in 1..=6 {
        store.admit(queued(&f, at)).await.unwrap();
    }
    let claims = store
        .claim(UnixMillis(5), LEASE, 9, &Rooms::default())
        .await
        .unwrap();
    for (n, c) in claims.iter().enumerate() {
        let outcome = match n {
            0 | 1 => ok(),
            2 => Outcome::Failed(failure()),
            3 => Outcome::Dead(failure()),
            _ => continue,
        };
        store.finish(finish(c.id, c.fence, outcome, 9)).await.unwrap();
    }
    store.record(record(&f, 7)).await.unwrap();
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.total, totals.succeeded, totals.failed), (5, 3, 2));
    assert_eq!((totals.queued, totals.running), (1, 1));
    assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, 5);
    harness.stop(store).await;
    let store = harness.open().await;
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.total, totals.succeeded, totals.failed), (5, 3, 2));
    assert_eq!((totals.queued, totals.running), (2, 0));
    assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, 5);
    // pruning forgets rows, not counts
    let nothing = Retention {
        age: Duration::ZERO,
        per_function: 0,
        bytes: u64::MAX,
        idempotency: Duration::ZERO,
    };
    assert_eq!(store.prune(nothing, UnixMillis(10_000), 100).await.unwrap(), 5);
    assert_eq!(store.totals().await.unwrap().total, 5);
    assert_eq!(store.function(&f).await.unwrap().unwrap().invocation_count, 5);
    harness.stop(store).await;
}

pub async fn pruning_keeps_what_retention_says<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        let call = record(&f, 1000 * n);
        ids.push(call.new.id);
        store.record(call).await.unwrap();
    }
    store.record(record(&g, 0)).await.unwrap();
    let old_but_waiting = queued(&f, 0);
    store.admit(old_but_waiting.clone()).await.unwrap();
    let list = async || {
        let filter = InvocationFilter {
            status: Some(Status::Succeeded),
            limit: 100,
            ..Default::default()
        };
        let mut found: Vec<_> = store
            .invocations(&f, filter)
            .await
            .unwrap()
            .iter()
            .map(|r| r.id)
            .collect();
        found.reverse();
        found
    };
    let keep = |age, per_function| Retention {
        age: Duration::from_millis(age),
        per_function,
        idempotency: Duration::from_secs(3600),
        bytes: u64::MAX,
    };
    let now = UnixMillis(10_000);
    assert_eq!(store.prune(keep(100_000, 10), now, 100).await.unwrap(), 0);
    // older than 7 000 at 10 000: those of 0, 1 000 and 2 000, and the one of g
    assert_eq!(store.prune(keep(7_000, 100), now, 2).await.unwrap(), 2);
    assert_eq!(store.prune(keep(7_000, 100), now, 100).await.unwrap(), 2);
    assert_eq!(list().await, ids[3..]);
    assert_eq!(store.prune(keep(100_000, 5), now, 1).await.unwrap(), 1);
    assert_eq!(store.prune(keep(100_000, 5), now, 100).await.unwrap(), 1);
    assert_eq!(list().await, ids[5..]);
    assert_eq!(store.prune(keep(100_000, 5), now, 100).await.unwrap(), 0);
    assert_eq!(store.invocation(ids[0]).await.unwrap(), None);
    let waits = store.invocation(old_but_waiting.id).await.unwrap().unwrap();
    assert_eq!(waits.status, Status::Queued);
    harness.stop(store).await;
}

pub async fn a_key_keeps_its_answer<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let first = keyed(&f, 10, "k", "body", claimed());
    store.admit(first.clone()).await.unwrap();
    store.finish(finish(first.id, Fence(1), ok(), 20)).await.unwrap();
    let keep = |idempotency| Retention {
        age: Duration::ZERO,
        per_function: 0,
        bytes: u64::MAX,
        idempotency: Duration::from_millis(idempotency),
    };
    assert_eq!(store.prune(keep(1000), UnixMillis(500), 10).await.unwrap(), 0);
    let again = store.admit(keyed(&f, 500, "k", "body", claimed())).await.unwrap();
    assert!(matches!(again, Admitted::Replay { record } if record.id == first.id));
    // the key goes, and its answer with it; the next request is a new one
    assert_eq!(store.prune(keep(1000), UnixMillis(5_000), 10).await.unwrap(), 2);
    let fresh = store
        .admit(keyed(&f, 5_000, "k", "other", claimed()))
        .await
        .unwrap();
    assert_eq!(
        fresh,
        Admitted::Fresh {
            fence: Some(Fence(1))
        }
    );
    harness.stop(store).await;
}

pub async fn unknown_functions_and_ids_are_not_found<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    assert!(matches!(
        store.admit(queued(&f, 1)).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        store.record(record(&f, 1)).await,
        Err(StoreError::NotFound)
    ));
    let sync = keyed(&f, 1, "k", "b", Start::Queued);
    assert!(matches!(store.admit(sync).await, Err(StoreError::NotFound)));
    let end = finish(id_at(1), Fence(1), ok(), 2);
    assert!(matches!(store.finish(end).await, Err(StoreError::NotFound)));
    assert_eq!(store.invocation(id_at(1)).await.unwrap(), None);
    harness.stop(store).await;
}
