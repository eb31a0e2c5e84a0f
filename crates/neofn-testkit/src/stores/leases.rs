//! Leases: one holder at a time, and a fence that grows with each change of hands.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use super::Harness;
use neofn_engine::port::{Lease, LeaseStore as _};
use neofn_types::{Fence, UnixMillis};
use std::time::Duration;

fn lease(holder: &str, fence: u64, until: i64) -> Lease {
    Lease {
        holder: holder.to_owned(),
        fence: Fence(fence),
        until: UnixMillis(until),
    }
}

pub async fn a_lease_has_one_holder<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let take = async |name, holder, now, until| {
        store
            .take_lease(name, holder, UnixMillis(now), UnixMillis(until))
            .await
            .unwrap()
    };
    assert_eq!(take("triggers", "a", 0, 10).await, lease("a", 1, 10));
    assert_eq!(take("triggers", "b", 5, 15).await, lease("a", 1, 10));
    assert_eq!(take("triggers", "a", 8, 18).await, lease("a", 1, 18));
    // another name is another lease
    assert_eq!(take("publisher", "b", 8, 18).await, lease("b", 1, 18));
    // it has ended at its last moment
    assert_eq!(take("triggers", "b", 18, 28).await, lease("b", 2, 28));
    assert_eq!(take("triggers", "a", 19, 29).await, lease("b", 2, 28));
    // who lets it end is no longer who held it
    assert_eq!(take("triggers", "b", 28, 38).await, lease("b", 3, 38));
    store.give_lease("triggers", "a").await.unwrap();
    assert_eq!(take("triggers", "a", 29, 39).await, lease("b", 3, 38));
    store.give_lease("triggers", "b").await.unwrap();
    assert_eq!(take("triggers", "a", 29, 39).await, lease("a", 4, 39));
    harness.stop(store).await;
}

/// Names that come once, such as those of processes, do not stay for ever.
pub async fn leases_that_ended_long_ago_are_forgotten<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let take = async |name: &str, holder, now, until| {
        store
            .take_lease(name, holder, UnixMillis(now), UnixMillis(until))
            .await
            .unwrap()
    };
    let forget = async |before: i64| {
        let age = Duration::from_millis(1_000);
        let forgotten = store.forget_leases("purses/", UnixMillis(before + 1_000), age);
        forgotten.await.unwrap()
    };
    for (name, until) in [
        ("purses/a", 10),
        ("purses/b", 20),
        ("purses/c", 10),
        ("triggers", 10),
    ] {
        let _ = take(name, "h", 0, until).await;
    }
    store.give_lease("purses/c", "h").await.unwrap();
    assert_eq!(
        forget(0).await,
        0,
        "one that was given back ended at 0, and not before"
    );
    assert_eq!(forget(1).await, 1);
    assert_eq!(
        forget(10).await,
        0,
        "it has ended at its last moment, and no earlier"
    );
    assert_eq!(forget(11).await, 1);
    assert_eq!(
        take("purses/b", "x", 15, 25).await,
        lease("h", 1, 20),
        "this one holds"
    );
    assert_eq!(
        take("triggers", "x", 10, 20).await,
        lease("x", 2, 20),
        "another name stays"
    );
    assert_eq!(
        take("purses/a", "x", 10, 20).await,
        lease("x", 1, 20),
        "as if it had never been"
    );
    harness.stop(store).await;
}

pub async fn the_leases_that_hold_are_listed<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let held = async |now| store.leases(UnixMillis(now)).await.unwrap();
    assert_eq!(held(0).await, []);
    for (name, holder, until) in [("triggers", "a", 10), ("audit", "b", 20), ("bank", "a", 30)] {
        let _ = store
            .take_lease(name, holder, UnixMillis(0), UnixMillis(until))
            .await
            .unwrap();
    }
    store.give_lease("bank", "a").await.unwrap();
    let named = |name: &str, lease| (name.to_owned(), lease);
    let audit = named("audit", lease("b", 1, 20));
    assert_eq!(
        held(9).await,
        [audit.clone(), named("triggers", lease("a", 1, 10))]
    );
    assert_eq!(held(10).await, [audit], "one has ended at its last moment");
    assert_eq!(held(20).await, []);
    harness.stop(store).await;
}

pub async fn of_many_that_ask_at_once_one_gets_it<H: Harness>() {
    let harness = H::new();
    let store = std::sync::Arc::new(harness.open().await);
    for round in 1..=5_u64 {
        let now = UnixMillis(i64::try_from(round).unwrap() * 100);
        let asked = (0..8).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let holder = format!("node-{n}");
                let lease = store
                    .take_lease("triggers", &holder, now, UnixMillis(now.0 + 100))
                    .await
                    .unwrap();
                (lease.holder == holder, lease)
            })
        });
        let asked: Vec<_> = asked.collect();
        let mut winners = 0;
        let mut seen = std::collections::HashSet::new();
        for asked in asked {
            let (won, lease) = asked.await.unwrap();
            winners += u32::from(won);
            seen.insert((lease.holder, lease.fence));
        }
        assert_eq!((winners, seen.len()), (1, 1), "{seen:?}");
        assert!(seen.iter().all(|(_, fence)| fence.0 == round), "{seen:?}");
    }
    let store = std::sync::Arc::into_inner(store).unwrap();
    harness.stop(store).await;
}
