//! Claims, leases, fences and retries.

use super::Harness;
use crate::stores::support::*;
use neofn_engine::port::{Backlog, Claimed, InvocationStore, Outcome, Status, StoreError};
use neofn_types::FunctionKey;
use neofn_types::{Attempt, Fence, InvocationId, UnixMillis};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub async fn queued_invocations_are_claimed_oldest_first<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut expected = Vec::new();
    for at in [30, 10, 20, 50, 40] {
        let new = queued(&f, at);
        expected.push((at, new.id));
        store.admit(new).await.unwrap();
    }
    expected.sort_unstable();
    let ids = |claims: &[neofn_engine::port::Claimed]| claims.iter().map(|c| c.id).collect::<Vec<_>>();
    let first = store
        .claim(UnixMillis(40), LEASE, 3, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(ids(&first), expected[..3].iter().map(|e| e.1).collect::<Vec<_>>());
    // 50 is not due at 40, and what is claimed is not claimed again
    let second = store
        .claim(UnixMillis(40), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(ids(&second), [expected[3].1]);
    assert_eq!(first[0].event, queued(&f, 1).event);
    assert_eq!(first[0].trace_id, [7; 16]);
    assert_eq!(first[0].created_at, UnixMillis(10));
    assert!(
        store
            .claim(UnixMillis(50), LEASE, 0, &Rooms::default())
            .await
            .unwrap()
            .is_empty()
    );
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.running), (1, 4));
    harness.stop(store).await;
}

pub async fn busy_functions_are_skipped<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let keys: Vec<_> = (0..4).map(|n| key("demo", &format!("f{n}"))).collect();
    let mut ids = Vec::new();
    for (n, f) in keys.iter().enumerate() {
        deploy(&store, f).await;
        for k in 0..3 {
            let new = queued(f, i64::try_from(n + 10 * k).unwrap());
            ids.push((new.at, n, new.id));
            store.admit(new).await.unwrap();
        }
    }
    ids.sort_unstable();
    let busy = [&keys[0], &keys[2], &key("demo", "unknown")];
    let rooms = Rooms {
        limits: Arc::new(busy.into_iter().map(|k| (k.clone(), 5)).collect()),
        taken: busy.into_iter().map(|k| (k.clone(), 5)).collect(),
        ..Rooms::default()
    };
    let claims = store.claim(UnixMillis(100), LEASE, 100, &rooms).await.unwrap();
    let expected: Vec<_> = ids.iter().filter(|i| i.1 % 2 == 1).map(|i| i.2).collect();
    assert_eq!(claims.iter().map(|c| c.id).collect::<Vec<_>>(), expected);
    let rest = store
        .claim(UnixMillis(100), LEASE, 100, &Rooms::default())
        .await
        .unwrap();
    let expected: Vec<_> = ids.iter().filter(|i| i.1 % 2 == 0).map(|i| i.2).collect();
    assert_eq!(rest.iter().map(|c| c.id).collect::<Vec<_>>(), expected);
    harness.stop(store).await;
}

pub async fn a_function_is_claimed_no_oftener_than_it_has_room<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    for k in [&f, &g] {
        deploy(&store, k).await;
        for n in 0..5 {
            store.admit(queued(k, n)).await.unwrap();
        }
    }
    let rooms = Rooms {
        limits: Arc::new([(f.clone(), 3)].into()),
        other: Some(1),
        taken: [(f.clone(), 1)].into(),
        ..Rooms::default()
    };
    let claims = store.claim(UnixMillis(100), LEASE, 100, &rooms).await.unwrap();
    let of = |k: &FunctionKey| claims.iter().filter(|c| c.key == *k).count();
    assert_eq!((of(&f), of(&g)), (2, 1));
    harness.stop(store).await;
}

/// How many of each of these were claimed.
fn counted<const N: usize>(claims: &[Claimed], keys: [&FunctionKey; N]) -> [usize; N] {
    keys.map(|key| claims.iter().filter(|c| c.key == *key).count())
}

pub async fn a_flood_leaves_others_their_share<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("loud", "f"), key("loud", "g"));
    let (h, i) = (key("quiet", "h"), key("late", "i"));
    for (k, n, at) in [(&f, 40, 1), (&g, 40, 2), (&h, 5, 3), (&i, 1, 900)] {
        deploy(&store, k).await;
        for _ in 0..n {
            store.admit(queued(k, at)).await.unwrap();
        }
    }
    let claim = async |limit, rooms: &Rooms| {
        let claims = store.claim(UnixMillis(500), LEASE, limit, rooms).await.unwrap();
        counted(&claims, [&f, &g, &h, &i])
    };
    let mut rooms = Rooms::default();
    assert_eq!(
        claim(6, &rooms).await,
        [2, 1, 3, 0],
        "half to each project, and that by function"
    );
    rooms.queued = [(f.clone(), 2), (g.clone(), 9), (h.clone(), 8)].into();
    assert_eq!(claim(1, &rooms).await, [0, 0, 1, 0], "who runs less comes first");
    assert_eq!(
        claim(8, &rooms).await,
        [7, 0, 1, 0],
        "what nobody else wants is claimed all the same"
    );
    rooms.limits = Arc::new([(f.clone(), 5), (g.clone(), 3)].into());
    rooms.taken = rooms.queued.clone();
    assert_eq!(claim(8, &rooms).await, [3, 0, 0, 0]);
    harness.stop(store).await;
}

pub async fn equals_take_turns<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let keys = ["p", "q", "r"].map(|project| key(project, "f"));
    for k in &keys {
        deploy(&store, k).await;
    }
    for k in &keys[..2] {
        for at in 0..5 {
            store.admit(queued(k, at)).await.unwrap();
        }
    }
    let mut rooms = Rooms::default();
    let mut order = Vec::new();
    for n in 0..6 {
        if n == 3 {
            store.admit(queued(&keys[2], 50)).await.unwrap();
        }
        // each ends before the next one is claimed
        let claims = store.claim(UnixMillis(100), LEASE, 1, &rooms).await.unwrap();
        let key = &claims[0].key;
        Arc::make_mut(&mut rooms.turns).took(&key.project, &key.function);
        order.push(key.project.to_string());
    }
    assert_eq!(order, ["p", "q", "p", "r", "q", "p"]);
    harness.stop(store).await;
}

pub async fn a_claim_that_is_released_costs_no_attempt<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for n in 0..2 {
        store.admit(queued(&f, n)).await.unwrap();
    }
    let first = store
        .claim(UnixMillis(9), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    let held: Vec<_> = first.iter().map(|c| (c.id, c.fence)).collect();
    store.release(&held).await.unwrap();
    // a stale release, and one of an unknown claim, change nothing
    let again = store
        .claim(UnixMillis(9), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    store.release(&held).await.unwrap();
    let view = |cs: &[neofn_engine::port::Claimed]| cs.iter().map(|c| (c.id, c.attempt)).collect::<Vec<_>>();
    assert_eq!(view(&first), view(&again));
    assert!(first.iter().zip(&again).all(|(a, b)| b.fence > a.fence));
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.running), (0, 2));
    harness.stop(store).await;
}

pub async fn a_claim_grows_fence_and_attempt<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    store.admit(queued(&f, 1)).await.unwrap();
    let mut fence = Fence(0);
    for n in 1..=4 {
        let now = UnixMillis(1000 * n);
        let claims = store
            .claim(now, Duration::from_millis(10), 1, &Rooms::default())
            .await
            .unwrap();
        assert!(claims[0].fence > fence);
        assert_eq!(claims[0].attempt, Attempt(u32::try_from(n).unwrap()));
        fence = claims[0].fence;
        assert_eq!(store.requeue_expired(UnixMillis(1000 * n + 10)).await.unwrap(), 1);
    }
    harness.stop(store).await;
}

pub async fn a_stale_fence_writes_nothing<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    store.admit(queued(&f, 1)).await.unwrap();
    let old = store
        .claim(UnixMillis(1), Duration::from_millis(1), 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(store.requeue_expired(UnixMillis(2)).await.unwrap(), 1);
    let mut late = finish(old.id, old.fence, ok(), 3);
    late.kv = vec![add("n", 1)];
    // neither while nobody owns it nor while another attempt does
    assert!(matches!(
        store.finish(late.clone()).await,
        Err(StoreError::Fenced)
    ));
    let new = store
        .claim(UnixMillis(2), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert!(matches!(store.finish(late).await, Err(StoreError::Fenced)));
    let found = store.invocation(old.id).await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.result, found.logs.len()),
        (Status::Running, None, 0)
    );
    let got = neofn_engine::port::KvStore::get(&store, &f.project, "n", UnixMillis(3))
        .await
        .unwrap();
    assert_eq!(got, None);
    assert_eq!(store.totals().await.unwrap().total, 0);
    store.finish(finish(new.id, new.fence, ok(), 4)).await.unwrap();
    harness.stop(store).await;
}

pub async fn an_ended_invocation_stays_ended<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    store.admit(queued(&f, 1)).await.unwrap();
    let c = store
        .claim(UnixMillis(1), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    store
        .finish(finish(c.id, c.fence, Outcome::Failed(failure()), 3))
        .await
        .unwrap();
    assert!(matches!(
        store.finish(finish(c.id, c.fence, ok(), 4)).await,
        Err(StoreError::Fenced)
    ));
    let found = store.invocation(c.id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Failed);
    assert_eq!(found.failure, Some(failure()));
    assert_eq!(found.finished_at, Some(UnixMillis(3)));
    assert!(
        store
            .claim(UnixMillis(i64::MAX), LEASE, 10, &Rooms::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.requeue_expired(UnixMillis(i64::MAX)).await.unwrap(), 0);
    harness.stop(store).await;
}

pub async fn expired_leases_are_given_up<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let waiting = queued(&f, 1);
    let calling = keyed(&f, 1, "k", "body", claimed());
    store.admit(waiting.clone()).await.unwrap();
    store.admit(calling.clone()).await.unwrap();
    store
        .claim(UnixMillis(1), LEASE, 1, &Rooms::default())
        .await
        .unwrap();
    let end = UnixMillis(1).plus(LEASE);
    assert_eq!(store.requeue_expired(UnixMillis(end.0 - 1)).await.unwrap(), 0);
    assert_eq!(store.requeue_expired(end).await.unwrap(), 2);
    let found = store.invocation(waiting.id).await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.run_at),
        (Status::Queued, Some(UnixMillis(1)))
    );
    let found = store.invocation(calling.id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Failed);
    assert_eq!(found.failure.unwrap().code, neofn_types::Code::SandboxLost);
    assert_eq!(found.finished_at, Some(end));
    harness.stop(store).await;
}

pub async fn renewing_keeps_a_claim_and_tells_lost_ones<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for at in 1..=3 {
        store.admit(queued(&f, at)).await.unwrap();
    }
    let c = store
        .claim(UnixMillis(3), Duration::from_millis(100), 3, &Rooms::default())
        .await
        .unwrap();
    store.finish(finish(c[1].id, c[1].fence, ok(), 4)).await.unwrap();
    let unknown = id_at(9);
    let held = [
        (c[0].id, c[0].fence),
        (c[1].id, c[1].fence),
        (c[2].id, Fence(c[2].fence.0 + 1)),
        (unknown, Fence(1)),
    ];
    let lost = store
        .renew(&held, UnixMillis(4000), Duration::from_millis(1000))
        .await
        .unwrap();
    assert_eq!(lost, [c[1].id, c[2].id, unknown]);
    assert_eq!(store.requeue_expired(UnixMillis(4999)).await.unwrap(), 1);
    assert_eq!(
        store.invocation(c[0].id).await.unwrap().unwrap().status,
        Status::Running
    );
    assert_eq!(
        store.invocation(c[2].id).await.unwrap().unwrap().status,
        Status::Queued
    );
    harness.stop(store).await;
}

pub async fn a_full_queue_refuses<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    let small = |f, at| neofn_engine::port::NewInvocation {
        queue_max: 2,
        ..queued(f, at)
    };
    store.admit(small(&f, 1)).await.unwrap();
    store.admit(small(&f, 2)).await.unwrap();
    let refused = small(&f, 3);
    assert!(matches!(
        store.admit(refused.clone()).await,
        Err(StoreError::QueueFull)
    ));
    assert_eq!(store.invocation(refused.id).await.unwrap(), None);
    store.admit(small(&g, 3)).await.unwrap();
    // a claimed one does not wait any more
    store
        .claim(UnixMillis(1), LEASE, 1, &Rooms::default())
        .await
        .unwrap();
    store.admit(small(&f, 4)).await.unwrap();
    assert!(matches!(
        store.admit(small(&f, 5)).await,
        Err(StoreError::QueueFull)
    ));
    // a caller that runs at once needs no place in the queue
    let now = neofn_engine::port::NewInvocation {
        queue_max: 2,
        ..keyed(&f, 6, "k", "b", claimed())
    };
    store.admit(now).await.unwrap();
    harness.stop(store).await;
}

pub async fn a_retry_waits_for_its_time<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    store.admit(queued(&f, 1)).await.unwrap();
    let c = store
        .claim(UnixMillis(1), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    let again = Outcome::Retry {
        at: UnixMillis(500),
        failure: failure(),
    };
    store.finish(finish(c.id, c.fence, again, 3)).await.unwrap();
    let found = store.invocation(c.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.attempt), (Status::Queued, Attempt(1)));
    assert_eq!(
        (found.failure, found.run_at),
        (Some(failure()), Some(UnixMillis(500)))
    );
    assert_eq!((found.finished_at, found.logs.len()), (None, 1));
    assert!(
        store
            .claim(UnixMillis(499), LEASE, 1, &Rooms::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        store.finish(finish(c.id, c.fence, ok(), 4)).await,
        Err(StoreError::Fenced)
    ));
    assert_eq!(store.totals().await.unwrap().total, 0);
    let c2 = store
        .claim(UnixMillis(500), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((c2.id, c2.attempt), (c.id, Attempt(2)));
    assert!(c2.fence > c.fence);
    store
        .finish(finish(c2.id, c2.fence, Outcome::Dead(failure()), 600))
        .await
        .unwrap();
    let found = store.invocation(c.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.attempt), (Status::Dead, Attempt(2)));
    let totals = store.totals().await.unwrap();
    assert_eq!(
        (totals.total, totals.failed, totals.queued, totals.running),
        (1, 1, 0, 0)
    );
    // a synchronous call has nowhere to wait
    let sync = keyed(&f, 700, "k", "b", claimed());
    store.admit(sync.clone()).await.unwrap();
    let again = Outcome::Retry {
        at: UnixMillis(900),
        failure: failure(),
    };
    assert!(store.finish(finish(sync.id, Fence(1), again, 701)).await.is_err());
    harness.stop(store).await;
}

pub async fn next_due_follows_the_queue<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    assert_eq!(store.next_due(UnixMillis(0)).await.unwrap(), None);
    store.admit(queued(&f, 20)).await.unwrap();
    store.admit(queued(&g, 30)).await.unwrap();
    store.admit(queued(&f, 10)).await.unwrap();
    for expected in [10, 20, 30] {
        assert_eq!(
            store.next_due(UnixMillis(0)).await.unwrap(),
            Some(UnixMillis(expected))
        );
        store
            .claim(UnixMillis(100), LEASE, 1, &Rooms::default())
            .await
            .unwrap();
    }
    assert_eq!(store.next_due(UnixMillis(0)).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn what_waits_is_told_by_function<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let [f, g, h] = ["f", "g", "h"].map(|name| key("demo", name));
    for function in [&f, &g, &h] {
        deploy(&store, function).await;
    }
    let told = async |now, limit| store.backlog(UnixMillis(now), limit).await.unwrap();
    assert_eq!(told(0, 10).await, []);
    for (function, at) in [(&g, 20), (&f, 30), (&f, 40), (&f, 50)] {
        store.admit(queued(function, at)).await.unwrap();
    }
    let row = |function: &neofn_types::FunctionKey,
               [waiting, later, running]: [u64; 3],
               oldest: Option<i64>| Backlog {
        key: function.clone(),
        waiting,
        later,
        running,
        oldest: oldest.map(UnixMillis),
    };
    assert_eq!(
        told(45, 10).await,
        [row(&g, [1, 0, 0], Some(20)), row(&f, [2, 1, 0], Some(30))],
        "who has waited longest comes first"
    );
    assert_eq!(told(45, 1).await, [row(&g, [1, 0, 0], Some(20))]);
    store
        .claim(UnixMillis(45), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(
        told(45, 10).await,
        [row(&f, [1, 1, 1], Some(40)), row(&g, [0, 0, 1], None)],
        "what runs does not wait"
    );
    let sync = keyed(&h, 45, "k", "b", claimed());
    store.admit(sync).await.unwrap();
    let last = told(45, 10).await.pop();
    assert_eq!(last, Some(row(&h, [0, 0, 1], None)), "a caller runs it at once");
    harness.stop(store).await;
}

pub async fn a_restart_gives_up_every_claim<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut ids = Vec::new();
    for at in 1..=5 {
        let new = queued(&f, at);
        ids.push(new.id);
        store.admit(new).await.unwrap();
    }
    let sync = keyed(&f, 6, "k", "b", claimed());
    store.admit(sync.clone()).await.unwrap();
    let claims = store
        .claim(UnixMillis(3), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(claims.len(), 3);
    let before = store.totals().await.unwrap();
    assert_eq!((before.queued, before.running, before.total), (2, 4, 0));
    harness.stop(store).await;

    harness.clock().0.store(777, std::sync::atomic::Ordering::SeqCst);
    let store = harness.open().await;
    let after = store.totals().await.unwrap();
    assert_eq!((after.queued, after.running, after.failed), (5, 0, 1));
    assert_eq!(store.next_due(UnixMillis(0)).await.unwrap(), Some(UnixMillis(1)));
    let found = store.invocation(sync.id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Failed);
    if H::CLAIMS_END_WITH_THE_STORE {
        assert_eq!(found.finished_at, Some(UnixMillis(777)));
    }
    // the dead process's fences are worth nothing
    assert!(matches!(
        store.finish(finish(claims[0].id, claims[0].fence, ok(), 8)).await,
        Err(StoreError::Fenced)
    ));
    let again = store
        .claim(UnixMillis(9), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(again.iter().map(|c| c.id).collect::<Vec<_>>(), ids);
    // the end of a process says nothing of what it ran: no attempt is lost, and the fence says that there was one;
    // a lease that merely ended may have been the invocation's own doing
    let first = if H::CLAIMS_END_WITH_THE_STORE { 1 } else { 2 };
    assert_eq!(again[0].attempt, Attempt(first));
    assert_eq!(again[4].attempt, Attempt(1));
    assert!(again[0].fence > claims[0].fence);
    harness.stop(store).await;
}

#[derive(Debug, Clone)]
enum Step {
    Admit(i64),
    Claim(u32),
    Finish { newest: bool, retry: bool },
    Expire,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0i64..50).prop_map(Step::Admit),
        4 => (1u32..4).prop_map(Step::Claim),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(newest, retry)| Step::Finish { newest, retry }),
        1 => Just(Step::Expire),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

/// Whatever happens in whatever order: only the newest claim ends an invocation, once, and the counters agree.
pub async fn fences_hold_under_any_schedule<H: Harness>() {
    // what places stand on is there once for all cases
    let _stays = H::new();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config::with_cases(H::cases(24)));
        runner
            .run(&steps(), |steps| {
                runtime.block_on(schedule::<H>(steps));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

async fn schedule<H: Harness>(steps: Vec<Step>) {
    let harness = H::new();
    let mut store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut now = 100;
    let mut fences: HashMap<InvocationId, Fence> = HashMap::new();
    let mut held: Vec<(InvocationId, Fence)> = Vec::new();
    let (mut owned, mut ended): (HashMap<InvocationId, Fence>, u64) = (HashMap::new(), 0);
    let mut waiting = 0u64;
    for step in steps {
        now += 1;
        match step {
            Step::Admit(at) => {
                store.admit(queued(&f, at)).await.unwrap();
                waiting += 1;
            }
            Step::Claim(limit) => {
                for c in store
                    .claim(UnixMillis(now), LEASE, limit, &Rooms::default())
                    .await
                    .unwrap()
                {
                    let last = fences.insert(c.id, c.fence);
                    assert!(last.is_none_or(|last| c.fence > last), "a fence did not grow");
                    assert!(owned.insert(c.id, c.fence).is_none(), "claimed twice");
                    held.push((c.id, c.fence));
                    waiting -= 1;
                }
            }
            Step::Finish { newest, retry } => {
                let Some((id, fence)) = (if newest { held.last() } else { held.first() }).copied() else {
                    continue;
                };
                let outcome = if retry {
                    Outcome::Retry {
                        at: UnixMillis(now),
                        failure: failure(),
                    }
                } else {
                    ok()
                };
                let done = store.finish(finish(id, fence, outcome, now)).await;
                if owned.get(&id) == Some(&fence) {
                    done.unwrap();
                    owned.remove(&id);
                    if retry {
                        waiting += 1;
                    } else {
                        ended += 1;
                    }
                } else {
                    assert!(matches!(done, Err(StoreError::Fenced)));
                }
            }
            Step::Expire => {
                let count = store.requeue_expired(UnixMillis(now).plus(LEASE)).await.unwrap();
                assert_eq!(usize::try_from(count).unwrap(), owned.len());
                waiting += u64::try_from(owned.drain().count()).unwrap();
            }
            Step::Restart => {
                harness.stop(store).await;
                store = harness.open().await;
                waiting += u64::try_from(owned.drain().count()).unwrap();
            }
        }
        let totals = store.totals().await.unwrap();
        let running = u64::try_from(owned.len()).unwrap();
        assert_eq!(
            (totals.total, totals.queued, totals.running),
            (ended, waiting, running)
        );
    }
    harness.stop(store).await;
}
