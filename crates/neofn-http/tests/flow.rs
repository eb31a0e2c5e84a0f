//! The paths of the API, one after another, as a client would take them.

mod common;

use common::World;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const HELLO: &str = "/api/v1/functions/demo/hello";

#[tokio::test]
async fn deploy_invoke_look_back() {
    let world = World::new().await;
    let run = world
        .as_operator("POST", HELLO, r#" {"name": "Neo", "n": 1.50} "#)
        .await;
    let json = run.json();
    assert_eq!(
        (run.status.as_u16(), &json["success"], &json["version"]),
        (200, &json!(true), &json!(1))
    );
    assert!(
        run.text().contains(r#""result": {"name": "Neo", "n": 1.50} "#),
        "{}",
        run.text()
    );
    assert_eq!(json["logs"], json!(["[LOG] hello"]));
    assert_eq!(
        json["units"],
        json!({"total": 10010, "base": 10000, "compute": 0, "memory": 0, "host": 10, "schedule": 1})
    );

    let view = world.as_operator("GET", HELLO, "").await.json();
    assert_eq!(
        view["function"]["invocation_count"], 1,
        "a read after a run sees it"
    );
    assert_eq!(view["function"]["file_path"], "index.ts");

    let id = json["invocationId"].as_str().unwrap();
    let one = world
        .as_operator("GET", &format!("/api/v1/invocations/{id}"), "")
        .await
        .json();
    assert_eq!(
        (&one["status"], &one["result"]["name"]),
        (&json!("succeeded"), &json!("Neo"))
    );
    let failed = world
        .as_operator("POST", HELLO, r#"{"fail":"NF0201"}"#)
        .await
        .json();
    let list = world
        .as_operator("GET", &format!("{HELLO}/invocations?limit=1"), "")
        .await
        .json();
    assert_eq!(
        list["invocations"][0]["id"], failed["invocationId"],
        "newest first"
    );
    let next = list["next"].as_str().unwrap();
    let rest = world
        .as_operator("GET", &format!("{HELLO}/invocations?cursor={next}"), "")
        .await
        .json();
    assert_eq!(
        (&rest["invocations"][0]["id"], &rest["next"]),
        (&json!(id), &Value::Null)
    );
    let only = world
        .as_operator("GET", &format!("{HELLO}/invocations?status=failed"), "")
        .await
        .json();
    assert_eq!(only["invocations"].as_array().map(Vec::len), Some(1), "{only}");

    let health = world.call(None, "GET", "/health", "").await.json();
    assert_eq!(
        (&health["totalInvocations"], &health["failedInvocations"]),
        (&json!(2), &json!(1))
    );
    let estimate = world
        .as_operator("POST", &format!("{HELLO}/estimate"), "1")
        .await
        .json();
    assert_eq!(
        (&estimate["units"]["total"], &estimate["success"]),
        (&json!(10010), &json!(true))
    );
    assert_eq!(estimate.get("code"), None);
    let spent = world
        .as_operator("POST", &format!("{HELLO}/estimate"), r#"{"fail":"NF0203"}"#)
        .await
        .json();
    assert_eq!(
        (&spent["code"], &spent["success"]),
        (&json!("NF0203"), &json!(false))
    );
}

#[tokio::test]
async fn versions_patches_and_rollbacks() {
    let world = World::new().await;
    let deploy = async |body: Value| {
        world
            .as_operator("POST", "/api/functions/projects/demo", body.to_string())
            .await
    };
    let same = deploy(json!({"function_name": "hello", "source": "hello"})).await;
    assert_eq!(
        (same.status.as_u16(), &same.json()["unchanged"]),
        (200, &json!(true))
    );
    let second = deploy(json!({"function_name": "hello", "source": "new"}))
        .await
        .json();
    assert_eq!(second["function"]["version"], 2);
    let patched = world
        .as_operator("PATCH", HELLO, r#"{"public":true}"#)
        .await
        .json();
    assert_eq!(
        (&patched["function"]["version"], &patched["function"]["public"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(
        world.call(None, "POST", HELLO, "").await.status,
        200,
        "public now"
    );
    let off = world
        .as_operator("PATCH", HELLO, r#"{"is_active":false}"#)
        .await
        .json();
    assert_eq!(
        (&off["function"]["version"], &off["function"]["is_active"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(world.call(None, "POST", HELLO, "").await.status, 409);
    world.as_operator("PATCH", HELLO, r#"{"is_active":true}"#).await;
    let back = world
        .as_operator("POST", &format!("{HELLO}/rollback"), "")
        .await
        .json();
    assert_eq!(back["function"]["version"], 2);
    assert_eq!(
        world.call(None, "POST", HELLO, "").await.status,
        401,
        "private again"
    );
    let versions = world
        .as_operator("GET", &format!("{HELLO}/versions"), "")
        .await
        .json();
    let live: Vec<(u64, bool)> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["version"].as_u64().unwrap(), v["live"].as_bool().unwrap()))
        .collect();
    assert_eq!(live, [(3, false), (2, true), (1, false)]);
    let list = world
        .as_operator("GET", "/api/functions/projects/demo?limit=1", "")
        .await
        .json();
    assert_eq!((&list["count"], &list["next"]), (&json!(1), &json!("hello")));
    let list = world
        .as_operator("GET", "/api/v1/projects/demo/functions?cursor=hello", "")
        .await
        .json();
    assert_eq!(list["functions"][0]["function_name"], "open");
    let gone = world.as_operator("DELETE", "/api/functions/demo/hello", "").await;
    assert_eq!(gone.json(), json!({"success": true}));
    assert_eq!(world.as_operator("GET", HELLO, "").await.status, 404);
}

#[tokio::test]
async fn asynchronous_and_idempotent() {
    let world = World::new().await;
    let accepted = world
        .as_operator("POST", &format!("{HELLO}?mode=async"), "7")
        .await;
    assert_eq!(accepted.status, 202);
    let id = accepted.json()["invocationId"].as_str().unwrap().to_owned();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let view = world
                .as_operator("GET", &format!("/api/v1/invocations/{id}"), "")
                .await
                .json();
            if view["status"] == "succeeded" {
                return view;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(ended.await.unwrap()["result"], 7);

    let keyed = async |key: &str, body: &'static str| {
        let request = Request::post(HELLO)
            .header("authorization", format!("Bearer {}", world.operator))
            .header("idempotency-key", key)
            .body(body.into())
            .unwrap();
        world.send(request).await
    };
    let first = keyed("k", "1").await;
    let again = keyed("k", "1").await;
    assert_eq!(first.json()["invocationId"], again.json()["invocationId"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = keyed("k", "2").await;
    assert_eq!(
        (other.status.as_u16(), &other.json()["code"]),
        (409, &json!("NF0306"))
    );
    assert_eq!(keyed("a b", "1").await.status, 400);
}

#[tokio::test]
async fn logs_are_listed_followed_and_resumed() {
    let world = World::new().await;
    let first = world.as_operator("POST", HELLO, "1").await.json();
    let list = world
        .as_operator("GET", &format!("{HELLO}/logs"), "")
        .await
        .json();
    assert_eq!(list["logs"][0]["invocationId"], first["invocationId"]);
    assert_eq!(list["last"], first["invocationId"]);

    let request = Request::get(format!("{HELLO}/logs?follow"))
        .header("authorization", format!("Bearer {}", world.operator))
        .header("last-event-id", first["invocationId"].as_str().unwrap())
        .body(axum::body::Body::empty())
        .unwrap();
    let mut stream = world.service.answer(request, None).await.unwrap().into_body();
    let second = world.as_operator("POST", HELLO, "2").await.json();
    let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    let id = second["invocationId"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("event: log\nid: {id}\ndata: {{")),
        "{text}"
    );
    // a stream does not hold up a node that goes
    world.going.cancel();
    assert!(stream.frame().await.is_none());
}

#[tokio::test]
async fn a_function_serves_http() {
    let world = World::new().await;
    let request = |path: &str| {
        Request::put(path)
            .header("authorization", "Basic own")
            .header("cookie", "a=1")
            .body("hi".into())
            .unwrap()
    };
    let answer = world.send(request("/f/demo/open/a%20b/c?x=1")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    assert_eq!(
        answer.json(),
        json!({"method": "PUT", "path": "/a b/c", "query": {"x": "1"}, "body": "hi", "isBase64Encoded": false,
            "headers": {"authorization": "Basic own", "cookie": "a=1"}})
    );
    assert_eq!(
        world.send(request("/f/demo/hello/")).await.status,
        401,
        "its credentials are for us"
    );
    let private = world.as_operator("GET", "/f/demo/hello", "").await.json();
    assert_eq!((&private["path"], &private["headers"]), (&json!("/"), &json!({})));
}

#[tokio::test]
async fn traces_go_through() {
    let world = World::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::post(HELLO)
        .header("authorization", format!("Bearer {}", world.operator))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .body("1".into())
        .unwrap();
    let answer = world.send(request).await;
    let out = answer.headers["traceparent"].to_str().unwrap();
    assert!(
        out.starts_with(&format!("00-{trace}-")) && !out.contains("00f067aa0ba902b7"),
        "{out}"
    );
    let id = answer.json()["invocationId"].as_str().unwrap().to_owned();
    let view = world
        .as_operator("GET", &format!("/api/v1/invocations/{id}"), "")
        .await
        .json();
    assert_eq!(view["traceId"], trace);

    // an event may bring its own along, as an extension, in either mode; the request's is the stronger one
    let own = format!("00-{trace}-00f067aa0ba902b7-01");
    let event = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","traceparent":"{own}"}}"#);
    let post = || Request::post(HELLO).header("authorization", format!("Bearer {}", world.operator));
    let structured = || post().header("content-type", "application/cloudevents+json");
    let binary = post()
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/s")
        .header("ce-type", "t")
        .header("ce-traceparent", own.clone());
    let outer = "0af7651916cd43dd8448eb211c80319c";
    let both = structured().header("traceparent", format!("00-{outer}-00f067aa0ba902b7-01"));
    for (request, expected) in [
        (structured().body(event.clone().into()), trace),
        (binary.body("1".into()), trace),
        (both.body(event.into()), outer),
    ] {
        let answer = world.send(request.unwrap()).await;
        let said = answer.headers["traceparent"].to_str().unwrap().to_owned();
        assert!(said.starts_with(&format!("00-{expected}-")), "{said}");
        let id = answer.json()["invocationId"].as_str().unwrap().to_owned();
        let view = world
            .as_operator("GET", &format!("/api/v1/invocations/{id}"), "")
            .await;
        assert_eq!(view.json()["traceId"], expected);
    }
}

#[tokio::test]
async fn a_node_that_goes_is_not_ready() {
    let world = World::new().await;
    assert_eq!(world.call(None, "GET", "/ready", "").await.status, 200);
    world.api.begin_drain();
    let ready = world.call(None, "GET", "/ready", "").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["ready"]),
        (503, &json!(false))
    );
    assert_eq!(
        world.call(None, "GET", "/health", "").await.json()["status"],
        "draining"
    );
}

#[tokio::test]
async fn pages_for_people_ask_for_nothing_from_elsewhere() {
    let world = World::new().await;
    for path in ["/docs", "/docs/errors/NF0203"] {
        let page = world.call(None, "GET", path, "").await;
        assert!(
            page.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let text = page.text();
        assert!(
            text.starts_with("<!doctype html>")
                && !text.contains("http://")
                && !text.contains("https://")
                && !text.contains("<script")
        );
    }
    assert_eq!(
        world.call(None, "GET", "/openapi.json", "").await.json()["info"]["title"],
        "neofn"
    );
}
