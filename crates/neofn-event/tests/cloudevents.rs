//! The official cases of the JSON format, and the binary mode.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use neofn_event::{CloudEvent, Data};
use proptest::prelude::*;
use serde_json::Value;

fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("fixture");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let cases = json["tests"].as_array().expect("cases").clone();
    assert!(!cases.is_empty());
    cases
}

/// Null says the same as leaving out.
fn without_nulls(event: &Value) -> Value {
    let members = event
        .as_object()
        .expect("object")
        .iter()
        .filter(|(_, v)| !v.is_null());
    Value::Object(members.map(|(k, v)| (k.clone(), v.clone())).collect())
}

#[test]
fn valid_events_are_read_and_written_back() {
    for case in cases("valid-events.json") {
        let event =
            CloudEvent::from_json(case["event"].clone()).unwrap_or_else(|e| panic!("{}: {e}", case["id"]));
        assert_eq!(event.to_json(), without_nulls(&case["event"]), "{}", case["id"]);
    }
}

#[test]
fn invalid_events_are_refused_by_attribute() {
    let lines: Vec<String> = cases("invalid-events.json")
        .into_iter()
        .map(|case| {
            let error = CloudEvent::from_json(case["event"].clone());
            format!("{}: {}", case["id"], error.expect_err(&case["id"].to_string()))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn batches() {
    for case in cases("valid-batches.json") {
        let events = CloudEvent::batch_from_json(case["batch"].clone())
            .unwrap_or_else(|e| panic!("{}: {e}", case["id"]));
        assert_eq!(events.len(), case["batch"].as_array().expect("array").len());
    }
    for case in cases("invalid-batches.json") {
        assert!(
            CloudEvent::batch_from_json(case["batch"].clone()).is_err(),
            "{}",
            case["id"]
        );
    }
}

#[test]
fn binary_mode_reads_headers_and_body() {
    let headers = [
        ("CE-specversion", "1.0"),
        ("ce-id", "1"),
        ("Ce-Source", "/shop"),
        ("ce-type", "order.created"),
        ("ce-subject", "K%C3%A4se%20%22"),
        ("content-type", "application/json"),
        ("authorization", "no business of ours"),
    ];
    let event = CloudEvent::from_headers(headers, b"{\"n\":1}").expect("is right");
    assert_eq!(event.subject.as_deref(), Some("Käse \""));
    assert_eq!(event.data, Data::Json(serde_json::json!({"n": 1})));
    assert!(event.extensions.is_empty());
    let (headers, body) = event.to_headers();
    let again = CloudEvent::from_headers(headers.iter().map(|(k, v)| (k.as_str(), v.as_str())), &body);
    assert_eq!(again, Ok(event));
    assert!(CloudEvent::from_headers([("ce-id", "1")], b"").is_err());
    let twice = [("ce-id", "1"), ("CE-ID", "2")];
    assert!(
        CloudEvent::from_headers(twice, b"")
            .expect_err("twice")
            .message
            .contains("twice")
    );
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values>
#[test]
fn header_values_are_unquoted_and_then_decoded_once() {
    for (value, subject) in [
        ("\"Euro %E2%82%AC %F0%9F%98%80\"", "Euro € 😀"),
        (r#""a \"quoted\" \\ word""#, r#"a "quoted" \ word"#),
        // an escape may stand before anything, also in the middle of a code
        (r#""%4\1""#, "A"),
        // once
        ("\"%2541\"", "%41"),
        ("%22a%22", "\"a\""),
        // what is no quoted string stands for itself
        ("\"", "\""),
        (r#""open\""#, r#""open\""#),
        (r#""a" b"#, r#""a" b"#),
        (r#""a" "b""#, r#""a" "b""#),
        (r"back\slash", r"back\slash"),
    ] {
        let headers = [
            ("ce-specversion", "\"1.0\""),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-subject", value),
        ];
        let event = CloudEvent::from_headers(headers, b"").unwrap_or_else(|e| panic!("{value}: {e}"));
        assert_eq!(event.subject.as_deref(), Some(subject), "{value}");
    }
}

#[test]
fn the_content_type_is_no_value_of_the_binding() {
    for media_type in ["text/plain; charset=\"utf-8\"", "text/x%41; a=\"%22\""] {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("content-type", media_type),
        ];
        let event = CloudEvent::from_headers(headers, b"x").expect("is right");
        assert_eq!(event.datacontenttype.as_deref(), Some(media_type));
        let (headers, body) = event.to_headers();
        let again = CloudEvent::from_headers(headers.iter().map(|(k, v)| (k.as_str(), v.as_str())), &body);
        assert_eq!(again, Ok(event));
    }
}

/// Amounts of tokens have more digits than a 64-bit number.
#[test]
fn numbers_of_any_length_are_kept() {
    let text = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":12345678901234567891,"wei":100000000000000000000000000001,"f":0.12345678901234567891}}"#;
    let event = CloudEvent::from_json(serde_json::from_str(text).expect("JSON")).expect("is right");
    let again = CloudEvent::from_protobuf(&event.to_protobuf()).expect("is right");
    assert_eq!(again, event);
    for event in [event, again] {
        let json = event.to_json().to_string();
        for digits in [
            "12345678901234567891",
            "100000000000000000000000000001",
            "0.12345678901234567891",
        ] {
            assert!(json.contains(digits), "{json}");
        }
        let (headers, body) = event.to_headers();
        let read = CloudEvent::from_headers(headers.iter().map(|(k, v)| (k.as_str(), v.as_str())), &body);
        assert_eq!(read.map(|e| e.data), Ok(event.data));
    }
}

proptest! {
    #[test]
    fn any_text_survives_quotes(text in "\\PC{1,40}") {
        // as another sender may write it: escaped, in quotes, and percent signs encoded
        let escaped = text.replace('%', "%25").replace('\\', r"\\").replace('"', "\\\"");
        let quoted = format!("\"{escaped}\"");
        let headers = [("ce-specversion", "1.0"), ("ce-id", quoted.as_str()), ("ce-source", "/s"), ("ce-type", "t")];
        let event = CloudEvent::from_headers(headers, b"");
        prop_assume!(event.is_ok());
        prop_assert_eq!(event.map(|e| e.id), Ok(text));
    }

    #[test]
    fn any_text_survives_the_headers(id in "\\PC{1,40}", subject in "\\PC{1,40}", data in proptest::collection::vec(any::<u8>(), 1..50)) {
        let event = CloudEvent {
            id,
            source: "/a".to_owned(),
            ty: "t".to_owned(),
            subject: Some(subject),
            datacontenttype: Some("application/octet-stream".to_owned()),
            data: Data::Binary(data),
            ..CloudEvent::default()
        };
        prop_assume!(CloudEvent::from_json(event.to_json()).is_ok());
        let (headers, body) = event.to_headers();
        prop_assert!(headers.iter().all(|(_, v)| v.bytes().all(|b| b.is_ascii_graphic())));
        let again = CloudEvent::from_headers(headers.iter().map(|(k, v)| (k.as_str(), v.as_str())), &body);
        prop_assert_eq!(again, Ok(event.clone()));
        prop_assert_eq!(CloudEvent::from_json(event.to_json()), Ok(event));
    }
}
