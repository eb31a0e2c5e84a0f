//! Requests that are not what they should be.

use super::{deploy, fails_with, http, still_well};
use serde_json::json;

#[test]
fn malformed_bodies_are_refused_with_the_place() {
    for body in [
        &b"{"[..],
        b"nope",
        b"{\"a\":}",
        b"[1,]",
        b"\xff\xfe",
        b"{\"a\":1}x",
        b"'a'",
        b"\"\xc3\x28\"",
        b"01",
        b"NaN",
    ] {
        let answer = http().send("POST", "/api/v1/functions/demo/good", body, &[]);
        fails_with(&answer, 400, "NF0308");
    }
    // whatever its Content-Type says; an empty body is null
    let answer = http().send(
        "POST",
        "/api/v1/functions/demo/good",
        b"{\"name\":\"x\"}",
        &[("content-type", "text/plain")],
    );
    assert_eq!(answer.expect(200).json()["result"]["hello"], "x");
    let answer = http().send("POST", "/api/v1/functions/demo/good", b"", &[]);
    assert_eq!(answer.expect(200).json()["result"]["hello"], "nobody");
    still_well();
}

#[test]
fn deep_and_oversize_bodies_are_refused() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", deep.as_bytes(), &[]),
        413,
        "NF0310",
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", objects.as_bytes(), &[]),
        413,
        "NF0310",
    );
    let allowed = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let _ = http()
        .send("POST", "/api/v1/functions/demo/good", allowed.as_bytes(), &[])
        .expect(200);
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    fails_with(
        &http().send("POST", "/api/v1/functions/demo/good", large.as_bytes(), &[]),
        413,
        "NF0309",
    );
    still_well();
}

#[test]
fn unknown_disabled_and_badly_named_functions_are_told_apart() {
    let answer = http().invoke("demo", "nothing-here", &json!(null));
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (404, Some("Function not found"))
    );
    let _ = deploy("off", "export function handler() { return 1; }").expect(201);
    let _ = http()
        .send(
            "PATCH",
            "/api/v1/functions/demo/off",
            b"{\"is_active\":false}",
            &[],
        )
        .expect(200);
    fails_with(&http().invoke("demo", "off", &json!(null)), 409, "NF0302");
    for name in [
        "UPPER",
        "-dash",
        "dash-",
        "a%20b",
        "%2e%2e",
        "a%00b",
        "%F0%9F%92%A9",
        &"x".repeat(65),
    ] {
        let answer = http().invoke("demo", name, &json!(null));
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    let answer = deploy("Bad Name", "export function handler() {}");
    fails_with(&answer, 400, "NF0311");
    still_well();
}
