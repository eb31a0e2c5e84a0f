//! Functions, versions and artifacts.

use super::Harness;
use crate::stores::support::*;
use bytes::Bytes;
use neofn_engine::port::{InvocationFilter, InvocationStore, StoreError};
use neofn_registry::port::{Publish, RegistryStore, RegistryStoreError, Upon};
use neofn_types::{Digest, Grants, UnixMillis, Version};

pub async fn publishing_makes_versions_and_moves_live<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    assert!(!store.project_exists(&f.project).await.unwrap());
    assert_eq!(store.function(&f).await.unwrap(), None);
    let first = publish_of(&f, "one", 10);
    let done = store.publish(first.clone()).await.unwrap();
    assert!(done.created && !done.unchanged);
    assert_eq!((done.function.id, done.function.live), (first.new_id, Version(1)));
    assert!(done.function.active);
    assert_eq!(
        (done.function.created_at, done.function.updated_at),
        (UnixMillis(10), UnixMillis(10))
    );
    let second = publish_of(&f, "two", 20);
    let done = store.publish(second.clone()).await.unwrap();
    assert!(!done.created && !done.unchanged);
    assert_eq!((done.function.id, done.function.live), (first.new_id, Version(2)));
    assert_eq!(
        (done.function.created_at, done.function.updated_at),
        (UnixMillis(10), UnixMillis(20))
    );
    assert_eq!(
        (done.version.spec.clone(), done.version.digest),
        (second.spec, second.digest)
    );
    assert_eq!(done.version.artifact, second.artifact);
    assert!(store.project_exists(&f.project).await.unwrap());
    assert_eq!(store.function(&f).await.unwrap(), Some(done.function.clone()));
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.function(&f).await.unwrap(), Some(done.function));
    assert_eq!(store.version(&f, Version(2)).await.unwrap(), Some(done.version));
    assert_eq!(store.version(&f, Version(3)).await.unwrap(), None);
    assert_eq!(
        store.version(&f, Version(1)).await.unwrap().unwrap().spec,
        first.spec
    );
    harness.stop(store).await;
}

pub async fn the_same_content_makes_no_new_version<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    store.publish(publish_of(&f, "one", 10)).await.unwrap();
    let same = store.publish(publish_of(&f, "one", 20)).await.unwrap();
    assert!(same.unchanged && !same.created);
    assert_eq!(same.function.updated_at, UnixMillis(10));
    store.publish(publish_of(&f, "two", 30)).await.unwrap();
    let back = store.publish(publish_of(&f, "one", 40)).await.unwrap();
    assert!(!back.unchanged);
    assert_eq!(
        (back.function.live, back.version.version),
        (Version(1), Version(1))
    );
    assert_eq!(
        (back.version.created_at, back.function.updated_at),
        (UnixMillis(10), UnixMillis(40))
    );
    assert_eq!(store.versions(&f, None, 10).await.unwrap().len(), 2);
    harness.stop(store).await;
}

pub async fn live_moves_back_and_forth<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    for (n, content) in ["one", "two", "three"].into_iter().enumerate() {
        store
            .publish(publish_of(&f, content, i64::try_from(n).unwrap()))
            .await
            .unwrap();
    }
    let moved = store
        .set_live(&f, Version(1), &Upon::Anything, UnixMillis(50))
        .await
        .unwrap();
    assert_eq!((moved.live, moved.updated_at), (Version(1), UnixMillis(50)));
    assert_eq!(store.function(&f).await.unwrap(), Some(moved));
    assert!(matches!(
        store
            .set_live(&f, Version(4), &Upon::Anything, UnixMillis(60))
            .await,
        Err(RegistryStoreError::VersionNotFound)
    ));
    assert!(matches!(
        store
            .set_live(&key("demo", "g"), Version(1), &Upon::Anything, UnixMillis(60))
            .await,
        Err(RegistryStoreError::FunctionNotFound)
    ));
    // a new version after a rollback does not take a number again
    let next = store.publish(publish_of(&f, "four", 70)).await.unwrap();
    assert_eq!(next.version.version, Version(4));
    let numbers = |v: Vec<neofn_registry::VersionRecord>| v.iter().map(|v| v.version.0).collect::<Vec<_>>();
    assert_eq!(numbers(store.versions(&f, None, 3).await.unwrap()), [4, 3, 2]);
    assert_eq!(
        numbers(store.versions(&f, Some(Version(2)), 3).await.unwrap()),
        [1]
    );
    assert!(
        store
            .versions(&key("demo", "g"), None, 3)
            .await
            .unwrap()
            .is_empty()
    );
    harness.stop(store).await;
}

/// What was taken from a function since a command was judged does not come back with it.
pub async fn live_moves_only_upon_what_a_command_stands_on<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    let upon = |content: &str, at: i64, upon: Upon| Publish {
        upon,
        ..publish_of(&f, content, at)
    };
    let moved = |done| matches!(done, Err(RegistryStoreError::LiveMoved));
    let first = publish_of(&f, "one", 1);
    let granted = Upon::Grants(first.spec.grants.clone());
    let version = Upon::Version(first.digest);
    assert!(moved(store.publish(upon("one", 1, version.clone())).await));
    assert!(moved(store.publish(upon("one", 1, granted.clone())).await));
    assert!(
        !store.project_exists(&f.project).await.unwrap(),
        "nothing is made"
    );
    store
        .publish(upon("one", 1, Upon::Grants(Grants::default())))
        .await
        .unwrap();
    assert!(moved(
        store
            .publish(upon("two", 2, Upon::Grants(Grants::default())))
            .await
    ));
    store.publish(upon("two", 2, version.clone())).await.unwrap();
    // other content with the same grants
    store.publish(upon("three", 3, granted.clone())).await.unwrap();
    let same = store.publish(upon("three", 4, version.clone())).await.unwrap();
    assert!(same.unchanged, "it is as it was asked for");
    assert!(moved(store.publish(upon("four", 5, version.clone())).await));
    let mut taken = publish_of(&f, "three", 6);
    taken.spec.grants = Grants::default();
    taken.digest = taken.spec.digest(taken.artifact.engine);
    store.publish(taken).await.unwrap();
    assert!(moved(store.publish(upon("four", 7, granted.clone())).await));
    for upon in [&granted, &version] {
        let back = store.set_live(&f, Version(1), upon, UnixMillis(8)).await;
        assert!(matches!(back, Err(RegistryStoreError::LiveMoved)));
    }
    let live = store.function(&f).await.unwrap().unwrap();
    assert_eq!((live.live, live.updated_at), (Version(4), UnixMillis(6)));
    let there = store
        .set_live(&f, Version(4), &version, UnixMillis(9))
        .await
        .unwrap();
    assert_eq!(there, live, "it is there already");
    assert_eq!(store.versions(&f, None, 9).await.unwrap().len(), 4);
    harness.stop(store).await;
}

pub async fn switching_off_is_outside_the_version<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let off = store.set_active(&f, false, UnixMillis(5)).await.unwrap();
    assert_eq!(
        (off.active, off.updated_at, off.live),
        (false, UnixMillis(5), Version(1))
    );
    assert_eq!(store.function(&f).await.unwrap(), Some(off));
    let next = store.publish(publish_of(&f, "two", 6)).await.unwrap();
    assert!(!next.function.active);
    assert!(store.set_active(&f, true, UnixMillis(7)).await.unwrap().active);
    assert!(matches!(
        store.set_active(&key("demo", "g"), true, UnixMillis(7)).await,
        Err(RegistryStoreError::FunctionNotFound)
    ));
    harness.stop(store).await;
}

pub async fn listings_are_by_name_and_paged<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for name in ["b", "a-1", "a", "c", "a_1"] {
        deploy(&store, &key("demo", name)).await;
    }
    deploy(&store, &key("alpha", "z")).await;
    let demo = "demo".parse().unwrap();
    let names = |page: Vec<neofn_registry::FunctionRecord>| {
        page.iter()
            .map(|f| f.key.function.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.functions(&demo, None, 99).await.unwrap()),
        ["a", "a-1", "a_1", "b", "c"]
    );
    assert_eq!(
        names(store.functions(&demo, None, 2).await.unwrap()),
        ["a", "a-1"]
    );
    let after = "a-1".parse().unwrap();
    assert_eq!(
        names(store.functions(&demo, Some(&after), 2).await.unwrap()),
        ["a_1", "b"]
    );
    let projects: Vec<_> = store
        .projects()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(projects, ["alpha", "demo"]);
    harness.stop(store).await;
}

pub async fn deleting_takes_everything_along<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, g) = (key("demo", "f"), key("demo", "g"));
    deploy(&store, &f).await;
    deploy(&store, &g).await;
    let mut ids = Vec::new();
    for at in 1..=5 {
        let new = queued(&f, at);
        ids.push(new.id);
        store.admit(new).await.unwrap();
    }
    let keyed_call = keyed(&f, 6, "k", "b", claimed());
    store.admit(keyed_call).await.unwrap();
    let c = store
        .claim(UnixMillis(2), LEASE, 2, &Rooms::default())
        .await
        .unwrap();
    store.finish(finish(c[0].id, c[0].fence, ok(), 3)).await.unwrap();
    store.admit(queued(&g, 9)).await.unwrap();
    store.delete_function(&f).await.unwrap();
    assert!(matches!(
        store.delete_function(&f).await,
        Err(RegistryStoreError::FunctionNotFound)
    ));
    assert_eq!(store.function(&f).await.unwrap(), None);
    assert!(store.versions(&f, None, 9).await.unwrap().is_empty());
    for id in &ids {
        assert_eq!(store.invocation(*id).await.unwrap(), None);
        assert_eq!(store.replayable(*id).await.unwrap(), None);
    }
    // an attempt that still runs finds nothing to end; nothing of it is claimed again
    assert!(matches!(
        store.finish(finish(c[1].id, c[1].fence, ok(), 4)).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        store.record(record(&f, 7)).await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(store.next_due(UnixMillis(0)).await.unwrap(), Some(UnixMillis(9)));
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.total, totals.queued, totals.running), (1, 1, 0));
    assert_eq!(store.requeue_expired(UnixMillis(i64::MAX)).await.unwrap(), 0);
    // the same name begins from nothing, before and after a restart
    let mut store = store;
    for _ in 0..2 {
        let fresh = store.publish(publish_of(&f, "other", 50)).await.unwrap();
        assert!(fresh.created);
        assert_eq!(
            (fresh.version.version, fresh.function.invocation_count),
            (Version(1), 0)
        );
        let filter = InvocationFilter {
            limit: 9,
            ..Default::default()
        };
        assert!(store.invocations(&f, filter).await.unwrap().is_empty());
        let again = store
            .admit(keyed(&f, 60, "k", "another", claimed()))
            .await
            .unwrap();
        assert!(matches!(again, neofn_engine::port::Admitted::Fresh { .. }));
        store.delete_function(&f).await.unwrap();
        harness.stop(store).await;
        store = harness.open().await;
    }
    assert_eq!(
        store
            .claim(UnixMillis(99), LEASE, 9, &Rooms::default())
            .await
            .unwrap()
            .len(),
        1
    );
    harness.stop(store).await;
}

pub async fn blobs_are_stored_once_under_their_digest<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for bytes in [
        Bytes::new(),
        Bytes::from_static(b"wasm"),
        Bytes::from(vec![7; 3 << 20]),
    ] {
        let digest = store.put_blob(bytes.clone()).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(store.put_blob(bytes.clone()).await.unwrap(), digest);
        assert_eq!(store.blob(digest).await.unwrap(), bytes);
    }
    let missing = Digest::of(b"missing");
    assert!(matches!(
        store.blob(missing).await,
        Err(RegistryStoreError::ArtifactDamaged(d)) if d == missing
    ));
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.blob(Digest::of(b"wasm")).await.unwrap(), &b"wasm"[..]);
    harness.stop(store).await;
}

pub async fn an_artifact_is_replaced_in_place<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let before = store.version(&f, Version(1)).await.unwrap().unwrap();
    let mut artifact = before.artifact;
    artifact.engine = Digest::of(b"newer engine");
    store.set_artifact(&f, Version(1), artifact).await.unwrap();
    let after = store.version(&f, Version(1)).await.unwrap().unwrap();
    assert_eq!(after.artifact, artifact);
    assert_eq!(after.digest, before.digest);
    assert!(matches!(
        store.set_artifact(&f, Version(2), artifact).await,
        Err(RegistryStoreError::VersionNotFound)
    ));
    assert!(matches!(
        store.set_artifact(&key("demo", "g"), Version(1), artifact).await,
        Err(RegistryStoreError::FunctionNotFound)
    ));
    harness.stop(store).await;
}
