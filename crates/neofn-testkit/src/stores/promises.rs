//! Promises: who is to be told how an invocation ended is told, whatever happens in between.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::Harness;
use crate::stores::support::*;
use neofn_engine::port::{InvocationStore as _, Outcome, Promise, PromiseStore as _, Rooms, StoreError};
use neofn_registry::port::RegistryStore as _;
use neofn_types::{InvocationId, UnixMillis};

fn promise(id: InvocationId, token: &str) -> Promise {
    Promise {
        id,
        token: token.to_owned(),
    }
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
    assert_eq!(store.due_promises(10).await.unwrap(), [], "both still wait");
    let claims = store
        .claim(UnixMillis(30), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    let retry = Outcome::Retry {
        at: UnixMillis(99),
        failure: failure(),
    };
    store.finish(finish(b, claims[1].fence, retry, 40)).await.unwrap();
    assert_eq!(
        store.due_promises(10).await.unwrap(),
        [],
        "a failed try is no end"
    );
    store.finish(finish(a, claims[0].fence, ok(), 40)).await.unwrap();
    // the store is opened again: what was promised still is
    harness.stop(store).await;
    let store = harness.open().await;
    let mut due = store.due_promises(10).await.unwrap();
    due.sort();
    assert_eq!(due, [promise(a, "demo.f.1"), promise(a, "demo.f.2")]);
    assert_eq!(store.due_promises(1).await.unwrap().len(), 1);
    store.kept(&due[..1]).await.unwrap();
    assert_eq!(store.due_promises(10).await.unwrap(), due[1..]);
    store.kept(&due).await.unwrap();
    assert_eq!(store.due_promises(10).await.unwrap(), []);
    // made after the end it is due at once
    store.promise(&f, a, "demo.f.4").await.unwrap();
    assert_eq!(store.due_promises(10).await.unwrap(), [promise(a, "demo.f.4")]);
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
    assert_eq!(store.due_promises(10).await.unwrap(), [promise(id, "demo.f.1")]);
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
        let due = store.due_promises(10).await.unwrap();
        assert_eq!(due, [promise(id, "demo.f.1")], "round {n}");
        store.kept(&due).await.unwrap();
    }
    harness.stop(store).await;
}
