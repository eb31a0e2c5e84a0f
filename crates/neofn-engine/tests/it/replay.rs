//! Ended invocations, run again.

use crate::rig::Rig;
use neofn_types::{Code, InvocationId, Version};
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn the_same_version_gives_the_same_and_touches_nothing() {
    let rig = Rig::new();
    rig.deploy("inner", "count").await;
    rig.deploy("outer", "call inner").await;
    rig.deploy("seed", "random").await;
    let first = rig.invoke("outer", "null").await.unwrap();
    let seeded = rig.invoke("seed", "null").await.unwrap();
    rig.clock.advance(Duration::from_secs(100));
    rig.result("outer", "null").await;
    let invoked = rig.runtime.invoked.load(Ordering::SeqCst);
    let replayed = rig.engine.replay(first.id, None).await.unwrap();
    assert_eq!(replayed.diverged, None);
    assert_eq!(replayed.outcome.unwrap(), first.outcome.unwrap());
    assert_eq!(replayed.units, first.units);
    assert_eq!(rig.runtime.invoked.load(Ordering::SeqCst), invoked + 1);
    assert_eq!(rig.kv("n").await.as_deref(), Some("2"));
    let replayed = rig.engine.replay(seeded.id, None).await.unwrap();
    assert_eq!(replayed.outcome.unwrap(), seeded.outcome.unwrap());
    assert_eq!(rig.engine.totals().await.unwrap().total, 5);
}

#[tokio::test]
async fn another_version_shows_where_it_leaves_the_record() {
    let rig = Rig::new();
    rig.deploy("f", "get a").await;
    let id = rig.invoke("f", "null").await.unwrap().id;
    for (code, diverged) in [
        (
            "get b",
            Some("host call 0 (kv_get) has other arguments than the recorded one"),
        ),
        (
            "count",
            Some("host call 0 (kv_counter) asks for another service than the recorded one"),
        ),
        (
            "put a",
            Some("host call 0 (kv_put) asks for another service than the recorded one"),
        ),
        ("echo", None),
    ] {
        let version = rig.deploy("f", code).await.version.version;
        let replayed = rig.engine.replay(id, Some(version)).await.unwrap();
        assert_eq!(replayed.diverged.as_deref(), diverged, "{code}");
        assert_eq!(replayed.version, version);
    }
    let none = rig.deploy("f", "echo").await.version.version;
    let id = rig.invoke("f", "1").await.unwrap().id;
    let asks_more = rig.engine.replay(id, Some(Version(1))).await.unwrap();
    assert_eq!(
        asks_more.diverged.as_deref(),
        Some("host call 0 (kv_get) is not in the recording")
    );
    assert!(none > Version(1));
}

#[tokio::test]
async fn unknown_ones_and_unknown_versions_are_said_to_be() {
    let rig = Rig::new();
    rig.deploy("f", "echo").await;
    let unknown = rig
        .engine
        .replay(InvocationId::from_bytes([9; 16]), None)
        .await
        .unwrap_err();
    assert_eq!(unknown.code, Code::InvocationNotFound);
    let id = rig.invoke("f", "1").await.unwrap().id;
    let version = rig.engine.replay(id, Some(Version(7))).await.unwrap_err();
    assert_eq!(version.code, Code::VersionNotFound);
}
