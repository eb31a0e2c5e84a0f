//! Deploying: the plan, what is sent, and how refusals read.

use crate::mock::Mock;
use crate::run::Place;
use insta::assert_snapshot;

fn answer(version: u32, unchanged: bool) -> String {
    format!(
        r#"{{"success":true,"function":{{"id":"f","function_name":"hello","project":"demo","file_path":"src/index.ts","runtime":"js","is_active":true,
        "public":true,"invocation_count":0,"created_at":"t","updated_at":"t","version":{version},"url":"/api/v1/functions/demo/hello"}},
        "unchanged":{unchanged},"warnings":[{{"code":"NF0110","severity":"warning","file":"src/index.ts","line":2,"column":3,"message":"eval is used","hint":"Do not.","frame":"> 2 | eval(1)\n    | ^^^^"}}],
        "timings":{{"compile":3.5,"publish":0.5,"snapshot":2.0,"validate":1.0}}}}"#
    )
}
const NOT_FOUND: &str = r#"{"type":"","title":"t","status":404,"detail":"d","code":"NF0301","error":"Function not found","message":"no function","hint":""}"#;

#[test]
fn a_first_deployment_and_the_plan_of_the_next() {
    let function = answer(1, false);
    let view = &function[function.find("\"function\":").expect("is there") + 11
        ..function.find("},\n        \"unchanged\"").expect("is there") + 1];
    let live = format!(r#"{{"success":true,"function":{view}}}"#);
    let place = Place::new();
    place.run(&["init", "hello"]);
    place.file("hello/src/util.ts", "export const one = 1;\n");
    place.file(
        "hello/src/index.ts",
        "import { one } from './util';\nexport const handler = () => one;\n",
    );
    let sent = {
        let mock = Mock::start(&[
            ("GET /api/v1/functions/demo/hello", 404, NOT_FOUND),
            ("POST /api/functions/projects/demo", 201, &function),
        ]);
        let dry = place.run_in("hello", &["deploy", "--dry-run", "--url", &mock.url], "");
        assert_snapshot!("deploy_dry", place.seen(&dry));
        assert_eq!(mock.asked(), ["GET /api/v1/functions/demo/hello"]);
        let output = place.run_in("hello", &["deploy", "--url", &mock.url], "");
        assert_snapshot!("deploy_first", place.seen(&output).replace(&mock.url, "[url]"));
        let sent = mock.asked().pop().expect("was asked");
        // The record is kept by node; the second node of this test stands where the first stood.
        (sent, mock.url.clone())
    };
    assert_snapshot!("deploy_sent", sent.0);
    let mock = Mock::start(&[
        ("GET /api/v1/functions/demo/hello", 200, &live),
        ("POST /api/functions/projects/demo", 200, &answer(2, true)),
    ]);
    let record = place.path().join("hello/.neofn/deployed.json");
    let text = std::fs::read_to_string(&record).expect("is kept");
    std::fs::write(&record, text.replace(&sent.1, &mock.url)).expect("writes");
    place.file("hello/src/util.ts", "export const one = 2;\n");
    place.file(
        "hello/neofn.toml",
        "project = \"demo\"\n[function.hello]\nmain = \"src/index.ts\"\nlimits = { time = \"5s\" }\n",
    );
    let output = place.run_in("hello", &["deploy", "--url", &mock.url], "");
    assert_snapshot!("deploy_next", place.seen(&output).replace(&mock.url, "[url]"));
    let output = place.run_in("hello", &["deploy", "--json", "--url", &mock.url], "");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["functions"][0]["unchanged"], true);
    assert_eq!(
        document["functions"][0]["url"],
        format!("{}/api/v1/functions/demo/hello", mock.url)
    );
}

#[test]
fn a_refusal_shows_the_place_and_the_stage() {
    let refused = r#"{"type":"/docs/errors/NF0101","title":"syntax error","status":422,"detail":"d","code":"NF0101","error":"syntax error","message":"the source has 1 error",
        "hint":"Mend it.","stage":"compile","diagnostics":[{"code":"NF0101","severity":"error","file":"src/index.ts","line":1,"column":7,"message":"Unexpected token","hint":"Mend the place that the code frame points at.","frame":"> 1 | const = 1;\n    |       ^"}]}"#;
    let mock = Mock::start(&[
        ("GET /api/v1/functions/demo/hello", 404, NOT_FOUND),
        ("POST /api/functions/projects/demo", 422, refused),
    ]);
    let place = Place::with_node(&mock.url);
    place.run(&["init", "hello"]);
    assert_snapshot!(
        "deploy_refused",
        place.seen(&place.run_in("hello", &["deploy"], ""))
    );
    assert_snapshot!(
        "deploy_unknown",
        place.seen(&place.run_in("hello", &["deploy", "helo"], ""))
    );
    std::fs::remove_file(place.path().join("hello/src/index.ts")).expect("removes");
    assert_snapshot!(
        "deploy_missing_main",
        place.seen(&place.run_in("hello", &["deploy"], ""))
    );
    place.run(&["init", "sum", "--template", "wasm-c"]);
    assert_snapshot!(
        "deploy_missing_module",
        place.seen(&place.run_in("sum", &["deploy"], ""))
    );
}

#[test]
fn one_refusal_hides_no_other() {
    let refused = |code: &str, status: u16| {
        format!(
            r#"{{"type":"","title":"t","status":{status},"detail":"d","code":"{code}","error":"e","message":"refused with {code}","hint":""}}"#
        )
    };
    let place = Place::new();
    place.run(&["init", "hello"]);
    place.file(
        "hello/neofn.toml",
        "project = \"demo\"\n[function.a]\nmain = \"src/index.ts\"\n[function.b]\nmain = \"src/gone.ts\"\n[function.c]\nmain = \"src/index.ts\"\n",
    );
    let limit = refused("NF0203", 500);
    let mock = Mock::start(&[
        ("GET /api/v1/functions/demo/a", 404, NOT_FOUND),
        ("GET /api/v1/functions/demo/c", 404, NOT_FOUND),
        ("POST /api/functions/projects/demo", 422, &limit),
    ]);
    let output = place.run_in("hello", &["deploy", "--json", "--url", &mock.url], "");
    assert_eq!(output.status.code(), Some(5), "of the worst");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["success"], false);
    let all = document["functions"].as_array().expect("all");
    let said: Vec<_> = all
        .iter()
        .map(|f| (f["function"].as_str(), f["problem"]["code"].as_str().is_some()))
        .collect();
    assert_eq!(said, [(Some("a"), true), (Some("b"), true), (Some("c"), true)]);
    assert_eq!(mock.asked().iter().filter(|a| a.starts_with("POST")).count(), 2);
}
