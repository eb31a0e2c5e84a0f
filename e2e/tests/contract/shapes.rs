//! What answers look like, and who gets them.

use super::{HELLO, iso8601};
use neofn_testkit::{Http, NodeProcess};
use serde_json::json;
use std::time::Duration;

#[test]
fn deploy_and_invoke_have_the_shapes_of_the_design() {
    let node = NodeProcess::start();
    let http = node.http();
    let answer = http.deploy("demo", "hello", HELLO).expect(201);
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["warnings"], json!([]));
    let function = &body["function"];
    assert_eq!(function["function_name"], "hello");
    assert_eq!(function["runtime"], "js");
    assert_eq!(function["file_path"], "index.ts");
    assert_eq!(
        (&function["is_active"], &function["version"]),
        (&json!(true), &json!(1))
    );
    assert!(iso8601(&function["created_at"]), "{function}");

    let answer = http
        .invoke("demo", "hello", &json!({"name": "World"}))
        .expect(200);
    assert!(answer.header("traceparent").is_some(), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["result"], json!({"greeting": "Hello, World"}));
    assert_eq!(body["logs"], json!(["[LOG] hello World {\"n\":1}"]));
    assert_eq!(body["version"], 1);
    assert!(body["duration"].is_number() && body["invocationId"].is_string());
    let units = &body["units"];
    let parts: u64 = ["base", "compute", "memory", "host"]
        .iter()
        .map(|k| units[*k].as_u64().unwrap())
        .sum();
    assert_eq!(units["total"].as_u64(), Some(parts));
    assert_eq!(
        (units["base"].as_u64(), units["schedule"].as_u64()),
        (Some(10_000), Some(1))
    );

    let body = http.get("/api/v1/functions/demo/hello").expect(200).json();
    assert_eq!(body["function"]["invocation_count"], 1);
    let body = http.get("/api/v1/projects/demo/functions").expect(200).json();
    assert_eq!(
        (&body["count"], &body["functions"][0]["function_name"]),
        (&json!(1), &json!("hello"))
    );
    let body = http.get("/api/functions/projects/demo").expect(200).json();
    assert_eq!(body["count"], 1);

    let id = http
        .invoke("demo", "hello", &json!({"name": "x"}))
        .expect(200)
        .json()["invocationId"]
        .clone();
    let body = http
        .get(&format!("/api/v1/invocations/{}", id.as_str().unwrap()))
        .expect(200)
        .json();
    assert_eq!(
        (&body["status"], &body["result"]["greeting"]),
        (&json!("succeeded"), &json!("Hello, x"))
    );
    let body = http
        .get("/api/v1/functions/demo/hello/invocations?limit=1")
        .expect(200)
        .json();
    assert_eq!(body["invocations"].as_array().unwrap().len(), 1);
    assert!(body["next"].is_string());
}

#[test]
fn units_are_the_same_on_every_run_and_in_every_layout() {
    let node = NodeProcess::start();
    let http = node.http();
    let _ = http.deploy("demo", "hello", HELLO).expect(201);
    let mut seen = std::collections::BTreeSet::new();
    // enough calls, at once and in a row, to be served cold, promoted and hot
    for _ in 0..30 {
        let answer = http.invoke("demo", "hello", &json!({"name": "Neo"})).expect(200);
        let _ = seen.insert(answer.json()["units"].to_string());
    }
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let http = http.clone();
            std::thread::spawn(move || {
                (0..20)
                    .map(|_| {
                        http.invoke("demo", "hello", &json!({"name": "Neo"})).json()["units"].to_string()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for thread in threads {
        seen.extend(thread.join().unwrap());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn credentials_decide() {
    let node = NodeProcess::start();
    let (http, anonymous) = (node.http(), node.anonymous());
    let _ = http.deploy("demo", "private", HELLO).expect(201);
    let public = json!({"function_name": "open", "source": HELLO, "public": true});
    let _ = http.deploy_with("demo", public).expect(201);

    let _ = anonymous
        .invoke("demo", "open", &json!({"name": "x"}))
        .expect(200);
    assert_eq!(
        anonymous
            .invoke("demo", "private", &json!({"name": "x"}))
            .expect(401)
            .code(),
        "NF0401"
    );
    // an unknown function looks the same as a private one
    assert_eq!(
        anonymous
            .invoke("demo", "nothing", &json!(null))
            .expect(401)
            .code(),
        "NF0401"
    );
    let wrong = Http::new(
        node.url(),
        Some("nfk_0000000000000000_000000000000000000000000000000000000000000000000_00000000"),
    );
    assert_eq!(
        wrong
            .invoke("demo", "private", &json!({"name": "x"}))
            .expect(401)
            .code(),
        "NF0401"
    );
    for path in ["/health", "/ready", "/openapi.json", "/docs"] {
        let _ = anonymous.get(path).expect(200);
    }
    for path in [
        "/api/v1/functions/demo/private",
        "/api/v1/projects/demo/functions",
        "/api/v1/functions/demo/private/logs",
    ] {
        let _ = anonymous.get(path).expect(401);
    }
    let _ = anonymous.deploy("demo", "evil", HELLO).expect(401);
    let key_file = node.data().join("admin.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(key_file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_connection_outlives_a_refusal_that_came_before_the_body() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let node = NodeProcess::start();
    let socket = std::net::TcpStream::connect(node.url().trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut answer = || {
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status).unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            line.clear();
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new()).unwrap();
        status
    };
    let mut socket = &socket;
    for _ in 0..3 {
        write!(
            socket,
            "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
        )
        .unwrap();
        assert!(answer().contains("401"), "refused before the body is there");
        write!(socket, "{{}}").unwrap();
    }
    write!(socket, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answer().contains("200"));
}
