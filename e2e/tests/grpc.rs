//! The gRPC edge from outside: where it listens, TLS, the typed client, statuses, and a node that goes.

use neofn_event::{CloudEvent, Data};
use neofn_grpc::client::{CallError, Client, StatusCode};
use neofn_grpc::pb;
use neofn_testkit::NodeProcess;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const ECHO: &str = "export const handler = (event) => event";

fn event(data: Value) -> CloudEvent {
    CloudEvent {
        id: "1".to_owned(),
        source: "/e2e".to_owned(),
        ty: "test".to_owned(),
        data: Data::Json(data),
        ..CloudEvent::default()
    }
}

fn grpc(node: &NodeProcess) -> Option<String> {
    Some(format!("http://{}", node.ready()["grpc"].as_str()?))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(60), future)
                .await
                .unwrap()
        })
}

/// A node with a configuration file.
fn configured(dir: &Path, config: &str) -> Result<NodeProcess, String> {
    std::fs::write(dir.join("node.toml"), config).unwrap();
    let file = dir.join("node.toml").display().to_string();
    NodeProcess::try_start_in(&dir.join("data"), &["--config", &file])
}

#[test]
fn the_typed_client_tells_results_failures_and_refusals_apart() {
    let node = NodeProcess::start();
    let _ = node.http().deploy("demo", "echo", ECHO).expect(201);
    let fail = "export const handler = () => { throw new Error('no') }";
    let _ = node.http().deploy("demo", "fail", fail).expect(201);
    wait(async {
        let url = grpc(&node).unwrap();
        let mut client = Client::connect(&url, Some(node.key())).await.unwrap();
        let sent = event(json!({"n": 1}));
        let json = client.execute("demo/echo", Some(&sent), None).await.unwrap();
        assert_eq!(serde_json::from_slice::<CloudEvent>(&json).unwrap(), sent);
        let failed = client.execute("demo/fail", None, None).await.unwrap_err();
        assert!(matches!(&failed, CallError::Failed(text) if text == "NF0201: Error: no"));
        assert_eq!(failed.code().as_deref(), Some("NF0201"));
        let refused = client.execute("demo/none", None, None).await.unwrap_err();
        assert!(matches!(&refused, CallError::Refused(status) if status.code() == StatusCode::NotFound));
        assert_eq!(refused.code().as_deref(), Some("NF0301"));
        let mut stranger = Client::connect(&url, None).await.unwrap();
        let refused = stranger.execute("demo/echo", None, None).await.unwrap_err();
        assert_eq!(refused.code().as_deref(), Some("NF0401"));
        let wrong = Client::connect(&url, Some("nfk_wrong"))
            .await
            .unwrap()
            .execute("demo/echo", None, None)
            .await;
        assert_eq!(wrong.unwrap_err().code().as_deref(), Some("NF0401"));
        let page = client
            .calls()
            .list_functions(pb::ListFunctionsRequest {
                project: "demo".to_owned(),
                ..pb::ListFunctionsRequest::default()
            })
            .await
            .unwrap();
        assert_eq!(page.into_inner().functions.len(), 2);
    });
}

#[test]
fn nodes_of_one_machine_do_not_clash_and_it_can_be_off() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let plain: Vec<NodeProcess> = dirs[..2]
        .iter()
        .map(|dir| NodeProcess::start_in(&dir.path().join("data"), &[]))
        .collect();
    let addresses: Vec<_> = plain.iter().map(|node| grpc(node).unwrap()).collect();
    assert_ne!(addresses[0], addresses[1]);
    let taken = addresses[0].trim_start_matches("http://");
    let refused = configured(dirs[2].path(), &format!("[grpc]\nlisten = \"{taken}\"\n"));
    assert!(
        refused.err().unwrap().contains("NF0605"),
        "an address that was asked for is not replaced"
    );
    let off = configured(dirs[2].path(), "[grpc]\nlisten = \"off\"\n").unwrap();
    assert_eq!(grpc(&off), None);
    drop(off);
    // a flag wins over the file
    let flag = [
        "--config",
        &dirs[2].path().join("node.toml").display().to_string(),
        "--grpc-listen",
        "127.0.0.1:0",
    ];
    let on = NodeProcess::start_in(&dirs[2].path().join("data"), &flag);
    assert!(grpc(&on).is_some());
}

#[test]
fn what_this_build_cannot_serve_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (config, said) in [
        ("[tls]\ncert_file = \"a.pem\"\nkey_file = \"b.pem\"\n", "a.pem"),
        ("[grpc]\nport = 1\n", "node.toml:2:1"),
    ] {
        let stderr = configured(dir.path(), config).err().unwrap();
        assert!(stderr.contains("NF0601") && stderr.contains(said), "{stderr}");
    }
}
