//! Requests that name themselves: done once, answered as often as they come.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use super::Harness;
use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply, ReplyStore as _};
use neofn_types::{Digest, UnixMillis};
use std::sync::atomic::{AtomicU64, Ordering};

/// As chance would have it: each time another.
fn next_doer() -> [u8; 16] {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut doer = [0; 16];
    doer[..8].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    doer
}

pub async fn a_request_is_done_once_under_its_name<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let named = |name: &str, request: &str| NamedRequest {
        name: Digest::of(name.as_bytes()),
        request: Digest::of(request.as_bytes()),
        doer: next_doer(),
    };
    let begin = async |named, now| {
        let (now, until) = (UnixMillis(now), UnixMillis(now + 10));
        store
            .begin_reply(named, now, until, UnixMillis(now.0 - 1_000))
            .await
            .unwrap()
    };
    let reply = |text: &'static str| Reply {
        status: 201,
        body: Bytes::from_static(text.as_bytes()),
    };
    let (a, again) = (named("a", "make it"), named("a", "make it"));
    assert_eq!(begin(a, 0).await, Begun::Fresh);
    assert_eq!(begin(again, 5).await, Begun::Running);
    assert_eq!(begin(named("a", "make another"), 5).await, Begun::Other);
    // who asks again because he was not answered does it still
    assert_eq!(begin(a, 5).await, Begun::Fresh);
    // another name is another request
    let b = named("b", "make it");
    assert_eq!(begin(b, 5).await, Begun::Fresh);
    // who does it is gone: somebody else may
    assert_eq!(begin(again, 15).await, Begun::Fresh);
    store.end_reply(again, Some(reply("made"))).await.unwrap();
    assert_eq!(begin(named("a", "make it"), 30).await, Begun::Done(reply("made")));
    assert_eq!(begin(named("a", "make another"), 30).await, Begun::Other);
    // what came to nothing may be tried again, what was done is never taken back
    store.end_reply(b, None).await.unwrap();
    assert_eq!(begin(named("b", "make it"), 30).await, Begun::Fresh);
    store.end_reply(again, None).await.unwrap();
    store.end_reply(a, Some(reply("made twice"))).await.unwrap();
    assert_eq!(begin(a, 40).await, Begun::Done(reply("made")));
    // and one day it is forgotten
    assert_eq!(begin(named("a", "make it"), 1_500).await, Begun::Fresh);
    // who was taken for dead and failed ends nothing of who took over, and what he did is done
    let (slow, next) = (named("c", "make it"), named("c", "make it"));
    assert_eq!(begin(slow, 1_500).await, Begun::Fresh);
    assert_eq!(begin(next, 1_510).await, Begun::Fresh);
    store.end_reply(slow, None).await.unwrap();
    assert_eq!(begin(named("c", "make it"), 1_515).await, Begun::Running);
    store.end_reply(slow, Some(reply("made late"))).await.unwrap();
    store.end_reply(next, None).await.unwrap();
    assert_eq!(
        begin(named("c", "make it"), 1_515).await,
        Begun::Done(reply("made late"))
    );
    harness.stop(store).await;
}

pub async fn of_many_that_come_at_once_one_is_done<H: Harness>() {
    let harness = H::new();
    let store = std::sync::Arc::new(harness.open().await);
    let named = || NamedRequest {
        name: Digest::of(b"many"),
        request: Digest::of(b"one"),
        doer: next_doer(),
    };
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let (store, named) = (store.clone(), named());
            tokio::spawn(async move {
                let begun = store.begin_reply(named, UnixMillis(5), UnixMillis(50), UnixMillis(0));
                begun.await.unwrap()
            })
        })
        .collect();
    let mut begun = Vec::new();
    for asked in asked {
        begun.push(asked.await.unwrap());
    }
    let fresh = begun.iter().filter(|b| **b == Begun::Fresh).count();
    let running = begun.iter().filter(|b| **b == Begun::Running).count();
    assert_eq!((fresh, running), (1, 19), "{begun:?}");
    let store = std::sync::Arc::into_inner(store).unwrap();
    harness.stop(store).await;
}
