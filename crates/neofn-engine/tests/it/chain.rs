//! Functions that call functions.

use crate::rig::{Rig, deploy_of, eventually, key};
use neofn_engine::port::{InvocationFilter, Origin};
use neofn_engine::request::Deploy;
use neofn_types::{Limits, Units};
use serde_json::json;
use std::sync::atomic::Ordering;

fn filter() -> InvocationFilter {
    InvocationFilter {
        limit: 100,
        ..InvocationFilter::default()
    }
}

#[tokio::test]
async fn a_callee_is_charged_to_its_caller_and_has_a_row_of_its_own() {
    let rig = Rig::new();
    rig.deploy("inner", "echo").await;
    rig.deploy("outer", "call inner").await;
    let invoked = rig.invoke("outer", r#"{"a":1}"#).await.unwrap();
    assert_eq!(&invoked.outcome.unwrap()[..], br#"{"a":1}"#);
    assert_eq!(invoked.units.total, 20_000);
    let rows = rig.engine.invocations(&key("inner"), filter()).await.unwrap();
    assert_eq!((rows.len(), rows[0].origin), (1, Origin::Chain));
    let outer = rig.engine.invocations(&key("outer"), filter()).await.unwrap();
    assert_eq!(outer[0].trace_id, rows[0].trace_id);
}

#[tokio::test]
async fn a_circle_ends_at_the_depth_limit_even_on_a_node_of_one() {
    let rig = Rig::with(|o| o.node_concurrency_max = 1);
    rig.deploy("me", "call me").await;
    let failure = rig.invoke("me", "null").await.unwrap().outcome.unwrap_err();
    assert!(failure.message.contains("NF0214"), "{}", failure.message);
    // 1 + 8 deep
    assert_eq!(
        rig.engine.invocations(&key("me"), filter()).await.unwrap().len(),
        9
    );
    assert_eq!(rig.engine.stats().in_flight, 0);
}

#[tokio::test]
async fn a_callee_without_a_slot_is_refused_and_blocks_nobody() {
    let rig = Rig::new();
    let one = Limits {
        concurrency: 1,
        ..Limits::default()
    };
    let deploy = Deploy {
        limits: one,
        ..deploy_of("me", "catch me")
    };
    rig.engine.deploy(deploy).await.unwrap();
    assert_eq!(rig.result("me", "null").await["code"], "NF0303");
}

#[tokio::test]
async fn the_callees_failure_rejects_with_its_code() {
    let rig = Rig::new();
    rig.deploy("outer", "catch inner").await;
    assert_eq!(rig.result("outer", "null").await["code"], "NF0301");
    rig.deploy("inner", "fail NF0204").await;
    assert_eq!(
        rig.result("outer", "null").await,
        json!({"code": "NF0204", "message": "demo/inner: as told"})
    );
    rig.engine.set_active(&key("inner"), false).await.unwrap();
    assert_eq!(rig.result("outer", "null").await["code"], "NF0302");
    rig.deploy("bad", "catch ../x").await;
    assert_eq!(rig.result("bad", "null").await["code"], "NF0216");
}

#[tokio::test]
async fn a_caller_with_too_few_units_left_cannot_call() {
    let rig = Rig::new();
    rig.deploy("inner", "echo").await;
    let deploy = Deploy {
        limits: Limits {
            units: Units(24_000),
            ..Limits::default()
        },
        ..deploy_of("middle", "catch inner")
    };
    rig.engine.deploy(deploy).await.unwrap();
    // three quarters of what its own base leaves are enough for the callee's
    assert_eq!(rig.result("middle", "7").await, 7);
    rig.deploy("outer", "catch middle").await;
    let limits = Limits {
        units: Units(30_000),
        ..Limits::default()
    };
    let deploy = Deploy {
        limits,
        ..deploy_of("outer", "catch middle")
    };
    rig.engine.deploy(deploy).await.unwrap();
    // middle gets 15 000, of which its own base leaves 5 000
    assert_eq!(rig.result("outer", "7").await["code"], "NF0203");
}

#[tokio::test]
async fn a_caller_that_ends_first_pays_for_its_callee_all_the_same() {
    let rig = Rig::new();
    rig.deploy("inner", "block").await;
    rig.deploy("outer", "abandon inner").await;
    let (engine, call) = (rig.engine.clone(), rig.call("outer", "1"));
    let outer = tokio::spawn(async move { engine.invoke(call).await });
    eventually("the callee runs", || async {
        rig.runtime.invoked.load(Ordering::SeqCst) == 2
    })
    .await;
    rig.runtime.gate.0.add_permits(1);
    let invoked = outer.await.unwrap().unwrap();
    assert_eq!(invoked.outcome.unwrap_err().message, "Error: gave up");
    assert_eq!(invoked.units.total, 20_000);
    let replayed = rig.engine.replay(invoked.id, None).await;
    rig.runtime.gate.0.add_permits(1);
    assert_eq!(replayed.unwrap().units.total, 20_000);
}

#[tokio::test]
async fn a_callee_commits_on_its_own() {
    let rig = Rig::new();
    rig.deploy("inner", "count").await;
    rig.deploy("outer", "call inner").await;
    assert_eq!(rig.result("outer", "null").await, json!({"value": 1}));
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
    // an estimate runs its callees as estimates
    let estimate = rig
        .engine
        .estimate(&key("outer"), bytes::Bytes::from_static(b"null"))
        .await
        .unwrap();
    assert_eq!(&estimate.outcome.unwrap()[..], br#"{"value":2}"#);
    assert_eq!(rig.kv("n").await.as_deref(), Some("1"));
    assert_eq!(rig.engine.totals().await.unwrap().total, 2);
}
