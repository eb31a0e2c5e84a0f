//! Whatever fails in a deployment, what was live still is.

use crate::rig::{Rig, deploy_of, key};
use neofn_engine::request::{Bundle, Deploy, Stage};
use neofn_registry::SmokeTest;
use neofn_registry::port::Upon;
use neofn_types::{Code, JsonText, RuntimeKind, Version};
use serde_json::json;
use std::sync::atomic::Ordering;

async fn live(rig: &Rig, name: &str) -> Version {
    rig.engine.function(&key(name)).await.unwrap().0.live
}

#[tokio::test]
async fn a_new_version_goes_live_and_the_same_content_makes_none() {
    let rig = Rig::new();
    let first = rig.deploy("f", "constant 1").await;
    assert!(first.created && !first.unchanged);
    assert_eq!(first.version.version, Version(1));
    let stages: Vec<_> = first.timings.iter().map(|(s, _)| *s).collect();
    assert_eq!(
        stages,
        [Stage::Validate, Stage::Compile, Stage::Snapshot, Stage::Publish]
    );
    assert_eq!(rig.result("f", "null").await, 1);
    let prepared = rig.runtime.prepared.load(Ordering::SeqCst);
    let again = rig.deploy("f", "constant 1").await;
    assert!(again.unchanged && !again.created);
    assert_eq!(rig.runtime.prepared.load(Ordering::SeqCst), prepared);
    let second = rig.deploy("f", "constant 2").await;
    assert_eq!(second.version.version, Version(2));
    assert_eq!(rig.result("f", "null").await, 2);
    // content of an older version: live moves there, no third version is made
    let back = rig.deploy("f", "constant 1").await;
    assert_eq!(back.version.version, Version(1));
    assert_eq!(rig.result("f", "null").await, 1);
    assert_eq!(rig.engine.versions(&key("f"), None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn every_failing_stage_leaves_the_old_version_live() {
    let rig = Rig::new();
    rig.deploy("f", "constant 1").await;
    let with_test = |code: &str, expect: Option<serde_json::Value>| Deploy {
        test: Some(SmokeTest {
            event: JsonText::from(&json!({"name": "Neo"})),
            expect: expect.as_ref().map(JsonText::from),
        }),
        ..deploy_of("f", code)
    };
    let cases = [
        (deploy_of("f", "syntax error"), Stage::Validate, Code::Syntax),
        (
            deploy_of("f", "compiler dies"),
            Stage::Compile,
            Code::HostUnavailable,
        ),
        (
            deploy_of("f", "top-level throw"),
            Stage::Snapshot,
            Code::EvaluateFailed,
        ),
        (deploy_of("f", "sandbox dies"), Stage::Snapshot, Code::SandboxLost),
        (deploy_of("f", "nobody prepares"), Stage::Snapshot, Code::NoWorker),
        (with_test("throw", None), Stage::Test, Code::SmokeTestFailed),
        (
            with_test("echo", Some(json!({"name": "Trinity"}))),
            Stage::Test,
            Code::SmokeTestFailed,
        ),
        (
            Deploy {
                runtime: RuntimeKind::Wasm,
                ..deploy_of("f", "echo")
            },
            Stage::Validate,
            Code::ManifestInvalid,
        ),
    ];
    for (deploy, stage, code) in cases {
        let error = rig.engine.deploy(deploy).await.unwrap_err();
        assert_eq!((error.stage, error.error.code), (stage, code));
        assert_eq!(live(&rig, "f").await, Version(1));
        assert_eq!(rig.result("f", "null").await, 1);
    }
    for switch in [&rig.store.fail_blobs, &rig.store.fail_publish] {
        switch.store(true, Ordering::SeqCst);
        let error = rig.try_deploy("f", "constant 2").await.unwrap_err();
        assert_eq!(
            (error.stage, error.error.code),
            (Stage::Publish, Code::StoreFailed)
        );
        assert!(
            !error.error.to_string().contains("disk full"),
            "internal text shown"
        );
        assert_eq!(rig.result("f", "null").await, 1);
        switch.store(false, Ordering::SeqCst);
    }
    rig.deploy("f", "constant 2").await;
    assert_eq!(rig.result("f", "null").await, 2);
    assert_eq!(rig.engine.stats().deploys_refused, 10);
}

#[tokio::test]
async fn failures_point_into_the_users_file() {
    let rig = Rig::new();
    let error = rig.try_deploy("f", "top-level throw").await.unwrap_err();
    let found = &error.diagnostics[0];
    assert_eq!(
        (
            found.file.as_str(),
            found.line,
            found.column,
            found.frame.as_str()
        ),
        ("index.ts", 3, 10, "> 3:10")
    );
    let mut deploy = deploy_of("f", "throw");
    deploy.test = Some(SmokeTest {
        event: JsonText::default(),
        expect: None,
    });
    let error = rig.engine.deploy(deploy).await.unwrap_err();
    assert_eq!((error.diagnostics[0].line, error.diagnostics[0].column), (3, 10));
    assert_eq!(error.logs, ["[LOG] top"]);
}

#[tokio::test]
async fn a_passing_smoke_test_writes_nothing() {
    let rig = Rig::new();
    let mut deploy = deploy_of("f", "count");
    deploy.test = Some(SmokeTest {
        event: JsonText::default(),
        expect: Some(JsonText::from(&json!({"value": 1}))),
    });
    rig.engine.deploy(deploy).await.unwrap();
    assert_eq!(rig.kv("n").await, None);
    assert_eq!(rig.engine.totals().await.unwrap().total, 0);
}

#[tokio::test]
async fn deployments_of_one_function_happen_one_after_another() {
    let rig = Rig::new();
    let deploys = (0..5).map(|i| {
        let engine = rig.engine.clone();
        tokio::spawn(async move { engine.deploy(deploy_of("f", &format!("constant {i}"))).await })
    });
    let mut versions = vec![];
    for deploy in deploys.collect::<Vec<_>>() {
        versions.push(deploy.await.unwrap().unwrap().version.version.0);
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    assert_eq!(rig.runtime.preparing_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_judged_by_another_version_is_not_published() {
    let rig = Rig::new();
    let judged = rig.deploy("f", "constant 1").await.version;
    let upon = |code: &str| Deploy {
        upon: Upon::Version(judged.digest),
        ..deploy_of("f", code)
    };
    let taken = Deploy {
        grants: Default::default(),
        ..deploy_of("f", "constant 1")
    };
    rig.engine.deploy(taken).await.unwrap();
    let late = rig.engine.deploy(upon("constant 2")).await.unwrap_err();
    assert_eq!((late.stage, late.error.code), (Stage::Validate, Code::LiveMoved));
    let late = Upon::Grants(judged.spec.grants.clone());
    let late = rig
        .engine
        .rollback(&key("f"), Version(1), late)
        .await
        .unwrap_err();
    assert_eq!(late.code, Code::LiveMoved);
    assert_eq!(live(&rig, "f").await, Version(2));
    rig.engine
        .rollback(&key("f"), Version(1), Upon::Anything)
        .await
        .unwrap();
    rig.engine.deploy(upon("constant 2")).await.unwrap();
    assert_eq!(rig.result("f", "null").await, 2);
}

#[tokio::test]
async fn rollback_switch_and_delete_are_seen_by_the_next_call() {
    let rig = Rig::new();
    rig.deploy("f", "constant 1").await;
    rig.deploy("f", "constant 2").await;
    assert_eq!(rig.result("f", "null").await, 2);
    let (live, before) = rig.engine.way_back(&key("f"), None).await.unwrap();
    assert_eq!((live.version, before.version), (Version(2), Version(1)));
    // what is deployed meanwhile changes nothing of what was looked at
    rig.deploy("f", "constant 3").await;
    let (function, version) = rig
        .engine
        .rollback(&key("f"), before.version, Upon::Anything)
        .await
        .unwrap();
    assert_eq!((function.live, version.version), (Version(1), Version(1)));
    assert_eq!(rig.result("f", "null").await, 1);
    for wanted in [None, Some(Version(9)), Some(Version(0))] {
        let unknown = rig.engine.way_back(&key("f"), wanted).await.unwrap_err();
        assert_eq!(unknown.code, Code::VersionNotFound, "{wanted:?}");
    }
    let unknown = rig
        .engine
        .rollback(&key("f"), Version(9), Upon::Anything)
        .await
        .unwrap_err();
    assert_eq!(unknown.code, Code::VersionNotFound);

    rig.engine.set_active(&key("f"), false).await.unwrap();
    assert_eq!(
        rig.invoke("f", "null").await.unwrap_err().code,
        Code::FunctionDisabled
    );
    rig.engine.set_active(&key("f"), true).await.unwrap();
    assert_eq!(rig.result("f", "null").await, 1);

    let Bundle::Files(files) = rig.engine.files(&key("f"), Some(Version(2))).await.unwrap() else {
        panic!("a module");
    };
    assert_eq!(files["index.ts"], "constant 2");

    rig.engine
        .delete(&key("f"), neofn_engine::request::Callers::Refuse)
        .await
        .unwrap();
    for error in [
        rig.invoke("f", "null").await.unwrap_err(),
        rig.engine.function(&key("f")).await.unwrap_err(),
        rig.engine
            .delete(&key("f"), neofn_engine::request::Callers::Refuse)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code, Code::FunctionNotFound);
    }
    // its numbers begin anew, and nothing of the old version 1 is remembered
    rig.deploy("f", "constant 3").await;
    assert_eq!(rig.result("f", "null").await, 3);
}

#[tokio::test]
async fn another_engine_makes_the_artifact_again_once() {
    let rig = Rig::new();
    rig.deploy("f", "constant 1").await;
    let (dir, clock) = rig.crash().await;
    let rig = Rig::at(dir, clock, |_| {});
    rig.runtime.engine.store(1, Ordering::SeqCst);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let engine = rig.engine.clone();
            let call = rig.call("f", "null");
            tokio::spawn(async move { engine.invoke(call).await })
        })
        .collect();
    for call in calls {
        assert_eq!(&call.await.unwrap().unwrap().outcome.unwrap()[..], b"1");
    }
    assert_eq!(rig.runtime.prepared.load(Ordering::SeqCst), 1);
    // and it is stored: the next process does not make it again
    let (dir, clock) = rig.crash().await;
    let rig = Rig::at(dir, clock, |_| {});
    rig.runtime.engine.store(1, Ordering::SeqCst);
    assert_eq!(rig.result("f", "null").await, 1);
    assert_eq!(rig.runtime.prepared.load(Ordering::SeqCst), 0);
}
