//! Logs, replays, metrics and traces.

use super::HELLO;
use neofn_testkit::NodeProcess;
use serde_json::json;
use std::time::Duration;

#[test]
fn replay_is_exact_and_shows_differences() {
    let node = NodeProcess::start();
    let http = node.http();
    let source = |extra: &str| {
        format!(
            "export async function handler(e, ctx) {{ const v = await ctx.kv.get('k'); console.log('v', v ?? 'none');
             await ctx.kv.put('k', Math.random()); {extra}
             return {{ now: Date.now(), random: Math.random(), uuid: crypto.randomUUID(), v }}; }}"
        )
    };
    let request = |extra: &str| json!({"function_name": "r", "source": source(extra), "allow": {"kv": true}});
    let _ = http.deploy_with("demo", request("")).expect(201);
    let _ = http.invoke("demo", "r", &json!(null)).expect(200);
    let ran = http.invoke("demo", "r", &json!(null)).expect(200).json();
    let path = format!(
        "/api/v1/invocations/{}/replay",
        ran["invocationId"].as_str().unwrap()
    );
    let same = http.post(&path, &json!({})).expect(200).json();
    assert_eq!(same["identical"], true, "{same}");
    assert_eq!(same["replayed"]["result"], ran["result"]);
    let _ = http
        .deploy_with("demo", request("console.log('new line');"))
        .expect(200);
    let other = http.post(&path, &json!({"version": 2})).expect(200).json();
    assert_eq!(other["identical"], false);
    assert_eq!(other["replayed"]["logs"].as_array().unwrap().len(), 2);
}

#[test]
fn logs_can_be_read_and_followed() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let _ = http
        .invoke("demo", "hello", &json!({"name": "first"}))
        .expect(200);
    assert!(
        http.get("/api/v1/functions/demo/hello/logs")
            .expect(200)
            .body
            .contains("hello first")
    );
    let mut socket = std::net::TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        socket,
        "GET /api/v1/functions/demo/hello/logs?follow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        node.key()
    )
    .unwrap();
    let mut lines = BufReader::new(socket).lines();
    assert!(lines.next().unwrap().unwrap().contains("200"));
    while !lines.next().unwrap().unwrap().is_empty() {}
    let _ = http
        .invoke("demo", "hello", &json!({"name": "second"}))
        .expect(200);
    let found = lines
        .map_while(Result::ok)
        .find(|l| l.starts_with("data:") && l.contains("hello second"));
    assert!(found.is_some());
}

#[test]
fn metrics_openapi_and_traces() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = http
        .send(
            "POST",
            "/api/v1/functions/demo/hello",
            b"{\"name\":\"t\"}",
            &[("traceparent", trace)],
        )
        .expect(200);
    assert!(
        answer
            .header("traceparent")
            .unwrap()
            .contains("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    let metrics = http.get("/metrics").expect(200).body;
    for name in [
        "neofn_invocations_total",
        "neofn_invocation_duration_seconds_bucket",
        "neofn_invocation_units",
        "neofn_queue_depth",
        "neofn_sandbox_restarts_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing:\n{metrics}");
    }
    let openapi = http.get("/openapi.json").expect(200).json();
    for path in [
        "/api/v1/functions/{project}/{function}",
        "/api/functions/projects/{project}",
        "/api/v1/invocations/{id}",
        "/health",
    ] {
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
    let health = http.get("/health").expect(200).json();
    assert_eq!(
        (&health["totalInvocations"], &health["failedInvocations"]),
        (&json!(1), &json!(0))
    );
    assert!(health["jail"]["tier"].is_string());
    let answer = http.get("/api/v1/nothing").expect(404);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let answer = http.send("PUT", "/health", b"", &[]).expect(405);
    assert_eq!(answer.code(), "NF0315");
}
