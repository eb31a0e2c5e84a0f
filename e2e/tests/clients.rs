//! Clients that nobody here wrote call functions: grpcio, and the CloudEvents SDKs of Python and JavaScript.

use neofn_testkit::{NodeProcess, tool};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a program to its end, with the node in its environment.
fn passes(node: &NodeProcess, mut command: Command) {
    let tools = tool("clients-1");
    let output = command
        .env("URL", node.url())
        .env("GRPC", node.ready()["grpc"].as_str().unwrap())
        .env("KEY", node.key())
        .env("MODULES", &tools)
        .env("EXAMPLE", here("../examples/grpc-python"))
        .env("PYTHONPATH", tools.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).ends_with(" ok\n"));
}

fn script(program: &str, file: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["120", program])
        .arg(here("tests/clients").join(file));
    command
}

#[test]
fn grpcio_uses_every_call() {
    let dir = tempfile::tempdir().unwrap();
    // one of its functions has to run until it is stopped
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--max-units", "10000000000"]);
    passes(&node, script("python3", "grpc_client.py"));
    // with its calls answered, the node goes in order
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn grpcio_trusts_the_certificate_of_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("node.pem"), own.cert.pem()).unwrap();
    std::fs::write(dir.path().join("node-key.pem"), own.signing_key.serialize_pem()).unwrap();
    let config =
        "[grpc]\nlisten = \"127.0.0.1:0\"\n[tls]\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n";
    std::fs::write(dir.path().join("node.toml"), config).unwrap();
    let file = dir.path().join("node.toml").display().to_string();
    let node = NodeProcess::start_in(&dir.path().join("data"), &["--config", &file]);
    let _ = node
        .http()
        .deploy("demo", "echo", "export const handler = (event) => event")
        .expect(201);
    let mut command = script("python3", "grpc_tls.py");
    command.env("CA", dir.path().join("node.pem"));
    passes(&node, command);
}

#[test]
fn the_cloudevents_sdks_call_functions_in_every_mode() {
    let node = NodeProcess::start();
    let http = node.http();
    let echo = "export const handler = (event) => event";
    let _ = http.deploy("demo", "echo", echo).expect(201);
    let open = json!({"function_name": "open", "source": echo, "public": true});
    let _ = http.deploy_with("demo", open).expect(201);
    let orders = json!({
        "function_name": "orders", "source": "export const handler = (event) => event.data.total",
        "on": {"event": [{"type": "order.created", "where": "data.total >= 10"}]},
    });
    let _ = http.deploy_with("demo", orders).expect(201);
    passes(&node, script("python3", "cloudevents_sdk.py"));
    passes(&node, script("node", "cloudevents_sdk.mjs"));
}
