//! Commands against a node that says exactly what each test wants.

use crate::mock::Mock;
use crate::run::Place;
use insta::assert_snapshot;

const UNITS: &str = r#"{"total":12345,"base":10000,"compute":2000,"memory":0,"host":345,"schedule":1}"#;
const ID: &str = "0193b3a0-0000-7000-8000-000000000001";

fn function(name: &str) -> String {
    format!(
        r#"{{"id":"f","function_name":"{name}","project":"demo","file_path":"src/index.ts","runtime":"js","is_active":true,"public":false,
        "invocation_count":7,"created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-02T00:00:00.000Z","version":3,"url":"/api/v1/functions/demo/{name}"}}"#
    )
}

#[test]
fn invoke_shows_result_logs_and_units() {
    let done = format!(
        r#"{{"success":true,"result":{{"greeting":"Hello"}},"duration":1.234,"logs":["[LOG] one","[LOG] two\n[LOG] not a line of its own","[LOG] \u001b[31mred\u0007"],"invocationId":"{ID}","version":3,"units":{UNITS}}}"#
    );
    let accepted = format!(r#"{{"invocationId":"{ID}","status":"queued"}}"#);
    let mock = Mock::start(&[
        ("POST /api/v1/functions/demo/hello", 200, &done),
        ("POST /api/v1/functions/demo/hello?mode=async", 202, &accepted),
    ]);
    let place = Place::with_node(&mock.url);
    assert_snapshot!(
        "invoke",
        place.see(&["invoke", "demo/hello", "{\"name\":\"Neo\"}"])
    );
    assert_snapshot!("invoke_json", place.see(&["invoke", "demo/hello", "--json"]));
    assert_snapshot!(
        "invoke_async",
        place.see(&["invoke", "demo/hello", "--async", "--idempotency-key", "k"])
    );
    place.file("event.json", " [1,\n2]");
    place.run(&["invoke", "hello", "@event.json", "--project", "demo"]);
    place.run_in(".", &["invoke", "demo/hello", "-"], "\"from stdin\"");
    assert_snapshot!("invoke_asked", mock.asked().join("\n"));
}

#[test]
fn a_failed_run_shows_where_and_why() {
    let failed = format!(
        r#"{{"type":"/docs/errors/NF0201","title":"uncaught exception","status":500,"detail":"d","code":"NF0201","error":"Function execution failed",
        "message":"ReferenceError: nme is not defined","hint":"The stack shows the place in your own source; catch what you expect to fail.",
        "logs":["[LOG] before"],"invocationId":"{ID}","units":{UNITS},"stack":["at handler (src/index.ts:4:11)"],"frame":"> 4 |   return nme;\n    |          ^","duration":0.5,"version":3}}"#
    );
    let limit = r#"{"type":"","title":"t","status":500,"detail":"d","code":"NF0203","error":"Function execution failed","message":"the run used its 10 000 000 units","hint":"Raise it."}"#;
    let auth = r#"{"type":"","title":"t","status":401,"detail":"d","code":"NF0401","error":"e","message":"credentials missing","hint":"Send one."}"#;
    let gone = r#"{"type":"","title":"t","status":404,"detail":"d","code":"NF0301","error":"Function not found","message":"no function demo/gone","hint":"Check the name."}"#;
    let mock = Mock::start(&[
        ("POST /api/v1/functions/demo/hello", 500, &failed),
        ("POST /api/v1/functions/demo/loop", 500, limit),
        ("POST /api/v1/functions/demo/secret", 401, auth),
        ("POST /api/v1/functions/demo/gone", 404, gone),
    ]);
    let place = Place::with_node(&mock.url);
    for name in ["hello", "loop", "secret", "gone"] {
        assert_snapshot!(
            format!("failed_{name}"),
            place.see(&["invoke", &format!("demo/{name}")])
        );
    }
    assert_snapshot!("failed_json", place.see(&["invoke", "demo/loop", "--json"]));
}

#[test]
fn lists_and_switches() {
    let (one, two) = (function("hello"), function("a-longer-name"));
    let first = format!(r#"{{"success":true,"functions":[{two}],"count":1,"next":"c1"}}"#);
    let second = format!(r#"{{"success":true,"functions":[{one}],"count":1}}"#);
    let answer = format!(r#"{{"success":true,"function":{one}}}"#);
    let versions = r#"{"versions":[{"version":2,"digest":"abcdef0123456789abcdef","created_at":"2026-01-02T00:00:00.000Z","live":true},{"version":1,"digest":"0123456789abcdefabcdef","created_at":"2026-01-01T00:00:00.000Z","live":false}]}"#;
    let mock = Mock::start(&[
        ("GET /api/v1/projects/demo/functions", 200, &first),
        ("GET /api/v1/projects/demo/functions?cursor=c1", 200, &second),
        (
            "GET /api/v1/projects/empty/functions",
            200,
            r#"{"success":true,"functions":[],"count":0}"#,
        ),
        ("GET /api/v1/functions/demo/hello/versions", 200, versions),
        ("POST /api/v1/functions/demo/hello/rollback", 200, &answer),
        ("PATCH /api/v1/functions/demo/hello", 200, &answer),
        ("DELETE /api/functions/demo/hello", 200, r#"{"success":true}"#),
    ]);
    let place = Place::with_node(&mock.url);
    assert_snapshot!("functions", place.see(&["functions", "--project", "demo"]));
    assert_snapshot!(
        "functions_json",
        place.see(&["functions", "--project", "demo", "--json"])
    );
    assert_snapshot!("functions_empty", place.see(&["functions", "--project", "empty"]));
    assert_snapshot!("versions", place.see(&["versions", "demo/hello"]));
    assert_snapshot!("rollback", place.see(&["rollback", "demo/hello", "3"]));
    assert_snapshot!("enable", place.see(&["enable", "demo/hello"]));
    assert_snapshot!("delete", place.see(&["delete", "demo/hello"]));
    place.run(&["rollback", "demo/hello"]);
    place.run(&["disable", "demo/hello"]);
    assert_snapshot!("lists_asked", mock.asked().join("\n"));
}

#[test]
fn history_logs_and_costs() {
    let failed = format!(
        r#"{{"invocationId":"{ID}","time":"2026-01-01T00:00:01.000Z","version":2,"status":"failed","logs":["[LOG] \u001b]0;owned\u0007"],"duration":2.5,"units":12345,"code":"NF0201","message":"Error: no","stack":["at handler (index.ts:1:1)"]}}"#
    );
    let logs = format!(r#"{{"logs":[{failed}],"last":"x"}}"#);
    let invocation = format!(
        r#"{{"id":"{ID}","status":"failed","project":"demo","function":"hello","version":2,"attempt":1,"origin":"sync","success":false,"code":"NF0201","message":"Error: no","duration":2.5,"logs":[],"units":{UNITS},"traceId":"t","created_at":"2026-01-01T00:00:00.000Z"}}"#
    );
    let list = format!(r#"{{"invocations":[{invocation}],"next":null}}"#);
    let estimate = format!(r#"{{"units":{UNITS},"success":true,"version":2}}"#);
    let side = |version: u32, result: &str, logs: &str, total: u32| {
        format!(
            r#"{{"version":{version},"result":{result},"error":null,"logs":{logs},"units":{{"total":{total},"base":10000,"compute":{},"memory":0,"host":0,"schedule":1}}}}"#,
            total - 10_000
        )
    };
    let other = format!(
        r#"{{"identical":false,"diverged":"kv_get \"b\"","recorded":{},"replayed":{}}}"#,
        side(2, r#"{"greeting":"Hello","n":1}"#, r#"["[LOG] a"]"#, 10_500),
        side(
            3,
            r#"{"greeting":"Hi","n":1}"#,
            r#"["[LOG] a","[LOG] b"]"#,
            10_400
        )
    );
    let same = format!(
        r#"{{"identical":true,"diverged":null,"recorded":{0},"replayed":{0}}}"#,
        side(2, "null", "[]", 10_500)
    );
    let second = ID.replace("01", "02");
    let waits = invocation
        .replace(r#""status":"failed""#, r#""status":"queued""#)
        .replace(
            r#""attempt":1"#,
            r#""waits":{"reason":"function_limit","message":"the function runs as often as it may","running":4,"max":4},"attempt":1"#,
        );
    let mock = Mock::start(&[
        ("GET /api/v1/functions/demo/hello/logs?limit=5", 200, &logs),
        (
            "GET /api/v1/functions/demo/hello/invocations?limit=20&status=failed",
            200,
            &list,
        ),
        ("POST /api/v1/functions/demo/hello/estimate", 200, &estimate),
        (&format!("GET /api/v1/invocations/{ID}"), 200, &waits),
        (&format!("GET /api/v1/invocations/{second}"), 200, &invocation),
        (&format!("POST /api/v1/invocations/{ID}/replay"), 200, &other),
        (&format!("POST /api/v1/invocations/{second}/replay"), 200, &same),
    ]);
    let place = Place::with_node(&mock.url);
    assert_snapshot!("logs", place.see(&["logs", "demo/hello", "-n", "5"]));
    assert_snapshot!(
        "invocations",
        place.see(&["invocations", "demo/hello", "--status", "failed"])
    );
    assert_snapshot!("explain_wait", place.see(&["explain-wait", ID]));
    assert_snapshot!("explain_wait_ended", place.see(&["explain-wait", &second]));
    assert_snapshot!("gas_estimate", place.see(&["gas", "estimate", "demo/hello", "1"]));
    assert_snapshot!("replay_other", place.see(&["replay", ID, "--version", "3"]));
    assert_snapshot!("replay_same", place.see(&["replay", &second]));
    assert_snapshot!("history_asked", mock.asked().join("\n"));
}
