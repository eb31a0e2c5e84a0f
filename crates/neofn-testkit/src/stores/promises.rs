//! Promises: who is to be told how an invocation ended is told, whatever happens in between.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::Harness;
use crate::stores::support::*;
use neofn_engine::port::{InvocationStore as _, Outcome, Promise, PromiseStore, Rooms, StoreError};
use neofn_registry::port::RegistryStore as _;
use neofn_types::{InvocationId, UnixMillis};
use std::time::Duration;

fn promise(id: InvocationId, token: &str) -> Promise {
    Promise {
        id,
        token: token.to_owned(),
        again: 0,
    }
}

/// What is due to whoever does not keep it to himself.
async fn due_now(store: &impl PromiseStore, limit: u32) -> Vec<Promise> {
    store
        .due_promises(UnixMillis(1_000), Duration::ZERO, limit)
        .await
        .unwrap()
}

pub async fn a_promise_is_due_once_its_invocation_ended<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let (a, b) = (queued(&f, 10), queued(&f, 20));
    let (a, b) = (
        (a.id, store.admit(a).await.unwrap()).0,
        (b.id, store.admit(b).await.unwrap()).0,
    );
    for (id, token) in [(a, "demo.f.1"), (a, "demo.f.1"), (a, "demo.f.2"), (b, "demo.f.3")] {
        store.promise(&f, id, token).await.unwrap();
    }
    assert!(matches!(
        store.promise(&key("demo", "absent"), a, "x").await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(due_now(&store, 10).await, [], "both still wait");
    let claims = store
        .claim(UnixMillis(30), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    let retry = Outcome::Retry {
        at: UnixMillis(99),
        failure: failure(),
    };
    store.finish(finish(b, claims[1].fence, retry, 40)).await.unwrap();
    assert_eq!(due_now(&store, 10).await, [], "a failed try is no end");
    store.finish(finish(a, claims[0].fence, ok(), 40)).await.unwrap();
    // the store is opened again: what was promised still is
    harness.stop(store).await;
    let store = harness.open().await;
    let mut due = due_now(&store, 10).await;
    due.sort();
    assert_eq!(due, [promise(a, "demo.f.1"), promise(a, "demo.f.2")]);
    assert_eq!(due_now(&store, 1).await.len(), 1);
    store.kept(&due[..1]).await.unwrap();
    assert_eq!(due_now(&store, 10).await, due[1..]);
    store.kept(&due).await.unwrap();
    assert_eq!(due_now(&store, 10).await, []);
    // made after the end it is due at once
    store.promise(&f, a, "demo.f.4").await.unwrap();
    assert_eq!(due_now(&store, 10).await, [promise(a, "demo.f.4")]);
    harness.stop(store).await;
}

pub async fn promises_of_what_is_gone_are_due<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let new = queued(&f, 10);
    let id = new.id;
    store.admit(new).await.unwrap();
    store.promise(&f, id, "demo.f.1").await.unwrap();
    store.delete_function(&f).await.unwrap();
    assert_eq!(due_now(&store, 10).await, [promise(id, "demo.f.1")]);
    harness.stop(store).await;
}

pub async fn of_an_end_and_a_promise_at_once_none_is_missed<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    for n in 0..i64::from(H::cases(40)) {
        let new = queued(&f, 10 + n);
        let id = new.id;
        store.admit(new).await.unwrap();
        let claims = store
            .claim(UnixMillis(1_000), LEASE, 1, &Rooms::default())
            .await
            .unwrap();
        let (ended, promised) = tokio::join!(
            store.finish(finish(id, claims[0].fence, ok(), 1_000)),
            store.promise(&f, id, "demo.f.1")
        );
        ended.unwrap();
        promised.unwrap();
        let due = due_now(&store, 10).await;
        assert_eq!(due, [promise(id, "demo.f.1")], "round {n}");
        store.kept(&due).await.unwrap();
    }
    harness.stop(store).await;
}

pub async fn who_asks_while_it_is_told_is_told_too<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let new = queued(&f, 10);
    let id = new.id;
    store.admit(new).await.unwrap();
    let claims = store
        .claim(UnixMillis(30), LEASE, 1, &Rooms::default())
        .await
        .unwrap();
    store.finish(finish(id, claims[0].fence, ok(), 40)).await.unwrap();
    for token in ["demo.f.1", "demo.f.2"] {
        store.promise(&f, id, token).await.unwrap();
    }
    let due = async |at| {
        let mut due = store.due_promises(UnixMillis(at), LEASE, 10).await.unwrap();
        due.sort();
        due
    };
    let first = due(1_000).await;
    assert_eq!(first, [promise(id, "demo.f.1"), promise(id, "demo.f.2")]);
    // its sender heard, or did not, and asks before we note that we told him
    store.promise(&f, id, "demo.f.1").await.unwrap();
    assert_eq!(due(1_000).await, [], "one tells it at a time");
    store.kept(&first).await.unwrap();
    let second = due(1_000).await;
    let again = Promise {
        again: 1,
        ..promise(id, "demo.f.1")
    };
    assert_eq!(second, [again]);
    // who took long to tell it forgets nothing that was asked for since
    store.kept(&first).await.unwrap();
    assert_eq!(due(1_000).await, second);
    store.kept(&second).await.unwrap();
    assert_eq!(due(1_000).await, []);
    harness.stop(store).await;
}

pub async fn of_several_nodes_one_tells_an_end<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut all = Vec::new();
    for n in 0..60 {
        let new = queued(&f, 10 + n);
        all.push(promise(new.id, &format!("demo.f.{n:02}")));
        store.admit(new).await.unwrap();
    }
    all.sort();
    for one in &all {
        store.promise(&f, one.id, &one.token).await.unwrap();
    }
    for claim in store
        .claim(UnixMillis(100), LEASE, 60, &Rooms::default())
        .await
        .unwrap()
    {
        store
            .finish(finish(claim.id, claim.fence, ok(), 200))
            .await
            .unwrap();
    }
    let now = UnixMillis(1_000);
    let look = async |at: UnixMillis| {
        let mut mine = Vec::new();
        loop {
            let some = store.due_promises(at, LEASE, 7).await.unwrap();
            if some.is_empty() {
                return mine;
            }
            mine.extend(some);
        }
    };
    let (a, b, c) = tokio::join!(look(now), look(now), look(now));
    let mut found: Vec<Promise> = a.into_iter().chain(b).chain(c).collect();
    found.sort();
    assert_eq!(found, all, "each is given to one of them");
    let almost = UnixMillis(now.plus(LEASE).0 - 1);
    assert_eq!(look(almost).await, [], "and to him alone until his lease ends");
    // what could not be told is due again, what was told is not
    store.not_kept(&all[..2]).await.unwrap();
    store.kept(&all[1..50]).await.unwrap();
    assert_eq!(look(almost).await, all[..1]);
    // who had claimed the others never came back
    let mut left = look(now.plus(LEASE)).await;
    left.sort();
    assert_eq!(left, all[50..]);
    harness.stop(store).await;
}
