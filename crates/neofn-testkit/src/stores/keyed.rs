//! Idempotency keys.

use super::Harness;
use crate::stores::support::*;
use neofn_engine::port::{Admitted, InvocationStore, Outcome, Start, Status, StoreError};
use neofn_types::{Attempt, Fence, UnixMillis};

pub async fn the_same_request_is_answered_by_the_first_invocation<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let first = keyed(&f, 1, "k", "body", Start::Queued);
    assert_eq!(
        store.admit(first.clone()).await.unwrap(),
        Admitted::Fresh { fence: None }
    );
    let Admitted::Replay { record } = store
        .admit(keyed(&f, 2, "k", "body", Start::Queued))
        .await
        .unwrap()
    else {
        panic!("expected a replay");
    };
    assert_eq!((record.id, record.status), (first.id, Status::Queued));
    let c = store
        .claim(UnixMillis(5), LEASE, 5, &Rooms::default())
        .await
        .unwrap();
    assert_eq!(c.len(), 1);
    store.finish(finish(first.id, c[0].fence, ok(), 6)).await.unwrap();
    let Admitted::Replay { record } = store
        .admit(keyed(&f, 7, "k", "body", Start::Queued))
        .await
        .unwrap()
    else {
        panic!("expected a replay");
    };
    assert_eq!(record.status, Status::Succeeded);
    assert_eq!(*record, store.invocation(first.id).await.unwrap().unwrap());
    // a full queue does not stop an answer that is there
    let full = neofn_engine::port::NewInvocation {
        queue_max: 0,
        ..keyed(&f, 8, "k", "body", Start::Queued)
    };
    assert!(matches!(
        store.admit(full).await.unwrap(),
        Admitted::Replay { .. }
    ));
    harness.stop(store).await;
}

pub async fn the_same_key_with_another_request_is_refused<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    store.admit(keyed(&f, 1, "k", "body", claimed())).await.unwrap();
    let other = keyed(&f, 2, "k", "other", claimed());
    assert!(matches!(
        store.admit(other.clone()).await,
        Err(StoreError::IdempotencyMismatch)
    ));
    assert_eq!(store.invocation(other.id).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn keys_belong_to_a_function<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for f in [key("demo", "f"), key("demo", "g"), key("other", "f")] {
        deploy(&store, &f).await;
        let admitted = store
            .admit(keyed(&f, 1, "k", f.function.as_ref(), claimed()))
            .await
            .unwrap();
        assert_eq!(
            admitted,
            Admitted::Fresh {
                fence: Some(Fence(1))
            }
        );
    }
    harness.stop(store).await;
}

pub async fn an_interrupted_keyed_call_is_rearmed<H: Harness>() {
    let harness = H::new();
    let mut store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let first = keyed(&f, 1, "k", "body", claimed());
    store.admit(first.clone()).await.unwrap();
    let mut fence = Fence(1);
    for n in 2..4 {
        harness.stop(store).await;
        store = harness.open().await;
        assert_eq!(store.totals().await.unwrap().failed, 1);
        let again = keyed(&f, 10 * n, "k", "body", claimed());
        let Admitted::Rearmed {
            id,
            fence: next,
            attempt,
        } = store.admit(again).await.unwrap()
        else {
            panic!("expected a re-armed call");
        };
        assert_eq!((id, attempt), (first.id, Attempt(u32::try_from(n).unwrap())));
        assert!(next > fence);
        fence = next;
        let found = store.invocation(id).await.unwrap().unwrap();
        assert_eq!(
            (found.status, found.failure, found.finished_at),
            (Status::Running, None, None)
        );
        let totals = store.totals().await.unwrap();
        assert_eq!((totals.total, totals.failed, totals.running), (0, 0, 1));
    }
    // while it runs, nobody else may start it
    let third = store.admit(keyed(&f, 90, "k", "body", claimed())).await.unwrap();
    assert!(matches!(third, Admitted::Replay { record } if record.status == Status::Running));
    store.finish(finish(first.id, fence, ok(), 99)).await.unwrap();
    let done = store.admit(keyed(&f, 100, "k", "body", claimed())).await.unwrap();
    assert!(matches!(done, Admitted::Replay { record } if record.status == Status::Succeeded));
    harness.stop(store).await;
}

pub async fn a_lost_keyed_call_is_rearmed<H: Harness>() {
    let harness = H::new();
    let mut store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let first = keyed(&f, 1, "k", "body", claimed());
    store.admit(first.clone()).await.unwrap();
    let lost = finish(first.id, Fence(1), Outcome::Lost(failure()), 2);
    store.finish(lost.clone()).await.unwrap();
    assert!(matches!(store.finish(lost).await, Err(StoreError::Fenced)));
    let found = store.invocation(first.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.failure), (Status::Failed, Some(failure())));
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.total, totals.failed, totals.running), (1, 1, 0));
    harness.stop(store).await;
    store = harness.open().await;
    // another request under the key is still another one
    let other = keyed(&f, 5, "k", "other body", claimed());
    assert!(matches!(
        store.admit(other).await,
        Err(StoreError::IdempotencyMismatch)
    ));
    let again = keyed(&f, 10, "k", "body", claimed());
    let Admitted::Rearmed { id, fence, attempt } = store.admit(again).await.unwrap() else {
        panic!("expected a re-armed call");
    };
    assert_eq!((id, attempt), (first.id, Attempt(2)));
    let found = store.invocation(id).await.unwrap().unwrap();
    assert_eq!((found.status, found.failure), (Status::Running, None));
    store.finish(finish(id, fence, ok(), 11)).await.unwrap();
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.total, totals.failed, totals.running), (1, 0, 0));
    let done = store.admit(keyed(&f, 20, "k", "body", claimed())).await.unwrap();
    assert!(matches!(done, Admitted::Replay { record } if record.status == Status::Succeeded));
    harness.stop(store).await;
}

pub async fn a_rearmed_call_fences_the_first_one<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let first = keyed(&f, 1, "k", "body", claimed());
    store.admit(first.clone()).await.unwrap();
    let late = UnixMillis(1).plus(LEASE);
    assert_eq!(store.requeue_expired(late).await.unwrap(), 1);
    assert!(matches!(
        store.finish(finish(first.id, Fence(1), ok(), late.0)).await,
        Err(StoreError::Fenced)
    ));
    let again = keyed(&f, late.0 + 1, "k", "body", claimed());
    let Admitted::Rearmed { fence, .. } = store.admit(again).await.unwrap() else {
        panic!("expected a re-armed call");
    };
    assert!(matches!(
        store.finish(finish(first.id, Fence(1), ok(), late.0 + 2)).await,
        Err(StoreError::Fenced)
    ));
    store
        .finish(finish(first.id, fence, ok(), late.0 + 3))
        .await
        .unwrap();
    let found = store.invocation(first.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.attempt), (Status::Succeeded, Attempt(2)));
    assert_eq!(store.totals().await.unwrap().total, 1);
    harness.stop(store).await;
}

pub async fn admitting_the_same_id_twice_is_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    let new = queued(&f, 1);
    store.admit(new.clone()).await.unwrap();
    let second = store.admit(new.clone()).await.unwrap();
    assert!(matches!(second, Admitted::Replay { record } if record.id == new.id));
    let stolen = neofn_engine::port::NewInvocation { key: g, ..new };
    assert!(store.admit(stolen).await.is_err());
    assert_eq!(
        store
            .claim(UnixMillis(9), LEASE, 9, &Rooms::default())
            .await
            .unwrap()
            .len(),
        1
    );
    harness.stop(store).await;
}
