//! Every path of the edge against every kind of caller. A new endpoint is in this test because it is in the table.

mod common;

use common::World;
use neofn_api::policy::Rule;
use neofn_http::ENDPOINTS;
use neofn_identity::Powers;

async fn statuses(world: &World, method: &str, path: &str) -> [u16; 4] {
    let mut seen = [0; 4];
    let callers = [
        None,
        Some(&world.stranger),
        Some(&world.member),
        Some(&world.operator),
    ];
    for (status, key) in seen.iter_mut().zip(callers) {
        let answer = world.call(key.map(String::as_str), method, path, "{}").await;
        *status = answer.status.as_u16();
        if *status == 401 || *status == 404 && key == Some(&world.stranger) {
            // nothing of what is hidden shows
            let text = answer.text();
            assert!(
                !text.contains("\"version\":") && !text.contains("hello"),
                "{method} {path}: {text}"
            );
        }
    }
    seen
}

#[tokio::test]
async fn every_endpoint_against_every_caller() {
    let world = World::new().await;
    let run = world
        .as_operator("POST", "/api/v1/functions/demo/hello", "1")
        .await
        .json();
    let id = run["invocationId"].as_str().unwrap();
    // two rollbacks have somewhere to go
    for seconds in 1..=4 {
        let body = format!("{{\"limits\":{{\"time\":\"{seconds}s\"}}}}");
        assert_eq!(
            world
                .as_operator("PATCH", "/api/v1/functions/demo/hello", body)
                .await
                .status,
            200
        );
    }
    let on = r#"{"on":{"event":[{"name":"ping","type":"com.example.ping"}]}}"#;
    let made = world
        .as_operator("PATCH", "/api/v1/functions/demo/hello", on)
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    for endpoint in ENDPOINTS {
        let method = match endpoint.method {
            "any" => "POST".to_owned(),
            other => other.to_uppercase(),
        };
        // removing comes last, on a function of its own
        let function = if endpoint.method == "delete" {
            "open"
        } else {
            "hello"
        };
        let path = endpoint
            .path
            .replace("{project}", "demo")
            .replace("{function}", function)
            .replace("{trigger}", "ping")
            .replace("{name}", "API_KEY")
            .replace("{height}", "1")
            .replace("{*rest}", "a/b")
            .replace("/errors/{id}", "/errors/NF0101")
            .replace("{address}", "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd")
            .replace("{id}", id);
        // what is about a project says so in its path or else in its query
        let in_query = matches!(endpoint.action.rule(), Rule::Member(_))
            && !endpoint.path.contains("{project}")
            && !endpoint.path.contains("{id}");
        let path = path + if in_query { "?project=demo" } else { "" };
        let seen = statuses(&world, &method, &path).await;
        let allowed = |s: u16| !matches!(s, 401 | 403 | 404);
        match endpoint.action.rule() {
            Rule::Open => assert!(seen.iter().all(|s| allowed(*s)), "{method} {path}: {seen:?}"),
            // a chain is not there, which is said to those alone who have a key
            Rule::AnyKey => {
                assert_eq!(seen[0], 401, "{method} {path}: {seen:?}");
                assert!(seen[1..].iter().all(|s| allowed(*s)), "{method} {path}: {seen:?}");
            }
            // a project's key is no person
            Rule::Person => {
                assert_eq!(seen[..3], [401, 403, 403], "{method} {path}: {seen:?}");
                assert!(allowed(seen[3]), "{method} {path}: {seen:?}");
            }
            // the member's key does the daily work and no more; what an operator removes may not be there
            Rule::Member(power) if !Powers::DAILY.has(power) => {
                assert_eq!(seen[..3], [401, 404, 403], "{method} {path}: {seen:?}");
                assert!(
                    allowed(seen[3]) || (method == "DELETE" && seen[3] == 404),
                    "{method} {path}: {seen:?}"
                );
            }
            Rule::Operator => {
                assert_eq!(seen[..3], [401, 403, 403], "{method} {path}: {seen:?}");
                assert!(allowed(seen[3]), "{method} {path}: {seen:?}");
            }
            // which transactions there are is learnt from a chain alone, and here is none
            Rule::Member(_) if path.starts_with("/api/v1/transactions/") => {
                assert_eq!(seen, [401, 503, 503, 503], "{method} {path}");
            }
            Rule::OperatorOrLoopback => assert_eq!(seen, [401, 403, 403, 200], "{method} {path}"),
            Rule::Member(_) | Rule::PublicOrMember => {
                assert_eq!(seen[..2], [401, 404], "{method} {path}: {seen:?}");
                // a delete by the member leaves nothing for the operator
                assert!(
                    allowed(seen[2]) && (allowed(seen[3]) || method == "DELETE"),
                    "{method} {path}: {seen:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn public_functions_run_for_anybody_and_show_nothing_else() {
    let world = World::new().await;
    let runs = statuses(&world, "POST", "/api/v1/functions/demo/open").await;
    assert_eq!(runs, [200; 4]);
    assert_eq!(
        statuses(&world, "POST", "/api/v1/functions/demo/open?mode=async").await,
        [202; 4]
    );
    for path in ["", "/versions", "/logs", "/invocations"] {
        let path = format!("/api/v1/functions/demo/open{path}");
        assert_eq!(
            statuses(&world, "GET", &path).await,
            [401, 404, 200, 200],
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_looks_like_what_is_hidden() {
    let world = World::new().await;
    for (method, hidden, absent) in [
        (
            "POST",
            "/api/v1/functions/demo/hello",
            "/api/v1/functions/demo/nothing",
        ),
        (
            "GET",
            "/api/v1/functions/demo/hello",
            "/api/v1/functions/nowhere/hello",
        ),
        ("GET", "/f/demo/hello/x", "/f/demo/nothing/x"),
        (
            "GET",
            "/api/v1/projects/demo/functions",
            "/api/v1/projects/nowhere/functions",
        ),
    ] {
        for key in [None, Some(&*world.stranger)] {
            let (a, b) = (
                world.call(key, method, hidden, "").await,
                world.call(key, method, absent, "").await,
            );
            assert_eq!(a.show(), b.show(), "{method} {hidden}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_wrong_is_no_key() {
    let world = World::new().await;
    let other = neofn_identity::ApiKey::new([1; 8], [9; 24]).reveal();
    for key in ["nonsense", &other] {
        assert_eq!(
            world
                .call(Some(key), "GET", "/api/v1/functions/demo/hello", "")
                .await
                .status,
            401
        );
    }
    // metrics from this machine need none
    let request = http::Request::get("/metrics")
        .body(axum::body::Body::empty())
        .unwrap();
    let here = world
        .service
        .answer(request, Some("127.0.0.1:1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(here.status(), 200);
}

#[tokio::test]
async fn projects_are_made_by_operators() {
    let world = World::new().await;
    let body = r#"{"function_name":"a","source":"a"}"#;
    let refused = world
        .call(
            Some(&world.stranger),
            "POST",
            "/api/functions/projects/other",
            body,
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (403, &"NF0403".into())
    );
    assert_eq!(
        world
            .as_operator("POST", "/api/functions/projects/other", body)
            .await
            .status,
        201
    );
    let again = r#"{"function_name":"b","source":"a"}"#;
    assert_eq!(
        world
            .call(
                Some(&world.stranger),
                "POST",
                "/api/functions/projects/other",
                again
            )
            .await
            .status,
        201
    );
}
