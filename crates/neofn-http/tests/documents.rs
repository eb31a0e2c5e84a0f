//! What the edge answers when it refuses: every document as a caller reads it.

mod common;

use axum::body::Body;
use common::World;
use http::Request;

const HELLO: &str = "/api/v1/functions/demo/hello";
const DEPLOY: &str = "/api/functions/projects/demo";

#[tokio::test]
async fn problem_documents() {
    let world = World::new().await;
    world
        .as_operator("PATCH", "/api/functions/demo/open", r#"{"is_active":false}"#)
        .await;
    let mut shown = Vec::new();
    for (what, method, path, body) in [
        ("no such path", "GET", "/nowhere", ""),
        ("no such method", "DELETE", HELLO, ""),
        ("no such function", "POST", "/api/v1/functions/demo/nothing", ""),
        ("no such project", "GET", "/api/v1/projects/nowhere/functions", ""),
        (
            "no such invocation",
            "GET",
            "/api/v1/invocations/0192f0c1-0000-7000-8000-000000000000",
            "",
        ),
        ("no such error", "GET", "/docs/errors/NF9999", ""),
        ("a bad name", "POST", "/api/v1/functions/Demo/hello", ""),
        (
            "a bad mode",
            "POST",
            "/api/v1/functions/demo/hello?mode=later",
            "",
        ),
        (
            "an unknown parameter",
            "GET",
            "/api/v1/functions/demo/hello/invocations?page=2",
            "",
        ),
        (
            "a bad limit",
            "GET",
            "/api/v1/functions/demo/hello/invocations?limit=0",
            "",
        ),
        (
            "a bad cursor",
            "GET",
            "/api/v1/functions/demo/hello/invocations?cursor=x",
            "",
        ),
        (
            "a bad status",
            "GET",
            "/api/v1/functions/demo/hello/invocations?status=done",
            "",
        ),
        ("malformed", "POST", HELLO, "{\"a\": }"),
        ("switched off", "POST", "/api/v1/functions/demo/open", ""),
        ("a failed run", "POST", HELLO, r#"{"fail":"NF0201"}"#),
        ("a time-out", "POST", HELLO, r#"{"fail":"NF0202"}"#),
        ("a lost sandbox", "POST", HELLO, r#"{"fail":"NF0209"}"#),
        (
            "an unknown member",
            "POST",
            DEPLOY,
            r#"{"function_name":"a","sauce":""}"#,
        ),
        (
            "a refused source",
            "POST",
            DEPLOY,
            r#"{"function_name":"hello","source":"refuse me"}"#,
        ),
        (
            "no such version",
            "POST",
            "/api/v1/functions/demo/hello/rollback",
            r#"{"version":9}"#,
        ),
        ("not a response", "POST", "/f/demo/hello", "raw"),
    ] {
        let answer = world.as_operator(method, path, body).await;
        shown.push(format!("--- {what}: {method} {path}\n{}", answer.show()));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::new().await;
    let status = async |body: Vec<u8>| {
        let answer = world.as_operator("POST", HELLO, body).await;
        (
            answer.status.as_u16(),
            answer.json()["code"].as_str().unwrap_or("").to_owned(),
        )
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(status(vec![b' '; (1 << 20) + 1]).await, is(413, "NF0309"));
    assert_eq!(
        status(format!("\"{}\"", "x".repeat((1 << 20) - 2)).into_bytes()).await,
        is(200, "")
    );
    assert_eq!(status("[".repeat(200_000).into_bytes()).await, is(413, "NF0310"));
    assert_eq!(status(vec![0xff]).await, is(400, "NF0308"));
    assert_eq!(status(Vec::new()).await, is(200, ""));
    // said to be too large before it is sent
    let request = Request::post(HELLO)
        .header("authorization", format!("Bearer {}", world.operator))
        .header("content-length", "99999999999")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.send(request).await.status, 413);
    // in pieces, without a length
    let pieces = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100_000])));
    assert_eq!(
        world
            .as_operator("POST", HELLO, Body::from_stream(pieces))
            .await
            .status,
        413
    );
    let large = format!(r#"{{"function_name":"a","source":"{}"}}"#, "x".repeat(16 << 20));
    assert_eq!(world.as_operator("POST", DEPLOY, large).await.status, 413);
}

#[tokio::test]
async fn a_format_of_cloudevents_that_is_not_read_is_no_plain_body() {
    let world = World::new().await;
    let estimate = format!("{HELLO}/estimate");
    // it reads as JSON, and even as an event, so that only its name can tell
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    for path in [HELLO, &estimate, "/api/v1/events?project=demo"] {
        for content_type in [
            "application/cloudevents+avro",
            "application/cloudevents-batch+xml; charset=utf-8",
        ] {
            for binary in [false, true] {
                let mut request = Request::post(path)
                    .header("authorization", format!("Bearer {}", world.operator))
                    .header("content-type", content_type);
                for (name, value) in [
                    ("specversion", "1.0"),
                    ("id", "1"),
                    ("source", "/s"),
                    ("type", "t"),
                ] {
                    if binary {
                        request = request.header(format!("ce-{name}"), value);
                    }
                }
                let answer = world.send(request.body(event.into()).unwrap()).await;
                let problem = answer.json();
                assert_eq!(
                    (answer.status.as_u16(), &problem["code"]),
                    (415, &"NF0712".into()),
                    "{path} {content_type}: {problem}"
                );
                let message = problem["message"].as_str().unwrap();
                assert!(message.contains("application/cloudevents+json"), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn a_header_of_an_event_that_is_no_text_is_refused_and_not_left_out() {
    let world = World::new().await;
    let estimate = format!("{HELLO}/estimate");
    let post = |path: &str, name: &str, value: &[u8]| {
        let mut request = Request::post(path)
            .header("authorization", format!("Bearer {}", world.operator))
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/s")
            .header("ce-type", "t");
        if name != "content-type" {
            request = request.header("content-type", "text/plain");
        }
        let value = http::HeaderValue::from_bytes(value).unwrap();
        request.header(name, value).body(Body::from("x")).unwrap()
    };
    for path in [HELLO, &estimate, "/api/v1/events?project=demo"] {
        for (name, attribute) in [
            ("ce-subject", "`subject`"),
            ("ce-shop", "`shop`"),
            ("content-type", "`datacontenttype`"),
        ] {
            let answer = world.send(post(path, name, b"text/K\xe4se")).await;
            let problem = answer.json();
            assert_eq!(
                (answer.status.as_u16(), &problem["code"]),
                (400, &"NF0707".into()),
                "{path} {name}: {problem}"
            );
            let message = problem["message"].as_str().unwrap();
            assert!(message.contains(attribute) && message.contains(name), "{message}");
        }
        // no header of an event
        let answer = world.send(post(path, "x-shop", b"K\xe4se")).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.show());
    }
    // who forgot to encode UTF-8, and who did it, and in quotes
    for value in [
        "K\u{e4}se \u{1f600}",
        "K%C3%A4se%20%F0%9F%98%80",
        "\"K%C3%A4se \u{1f600}\"",
    ] {
        let answer = world.send(post(HELLO, "ce-subject", value.as_bytes())).await;
        assert_eq!(
            answer.json()["result"]["subject"],
            "K\u{e4}se \u{1f600}",
            "{}",
            answer.show()
        );
    }
}

#[tokio::test]
async fn bytes_that_are_too_large_as_an_event_are_told_so() {
    let world = World::new().await;
    let post = |path: &str, bytes: usize| {
        Request::post(path)
            .header("authorization", format!("Bearer {}", world.operator))
            .header("content-type", "image/png")
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/s")
            .header("ce-type", "t")
            .body(Body::from(vec![0xff; bytes]))
            .unwrap()
    };
    for path in [HELLO, "/api/v1/events?project=demo"] {
        let answer = world.send(post(path, 700_000)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.show());
        for (bytes, why) in [
            ((1 << 20) + 1, "the body is larger than 1048576 bytes (1 MiB)"),
            (900_000, "it may have 1048576 bytes (1 MiB)"),
        ] {
            let answer = world.send(post(path, bytes)).await;
            let problem = answer.json();
            assert_eq!(
                (answer.status.as_u16(), &problem["code"]),
                (413, &"NF0309".into()),
                "{problem}"
            );
            assert!(problem["message"].as_str().unwrap().contains(why), "{problem}");
            assert!(
                problem["hint"]
                    .as_str()
                    .unwrap()
                    .contains("a reference to the data"),
                "{problem}"
            );
        }
    }
}
