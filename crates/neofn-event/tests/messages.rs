//! Events in messages with headers: structured in both formats, binary, batches, and what is none. The scenarios of the
//! HTTP binding's conformance suite are among them: its messages have the same headers.

#![expect(clippy::panic, reason = "a test may panic")]

use neofn_event::cloud::{Announced, PROTOBUF_BATCH_TYPE, PROTOBUF_TYPE, trace_of};
use neofn_event::{CloudEvent, Data};
use neofn_types::Code;
use serde_json::json;

fn hello() -> CloudEvent {
    CloudEvent {
        id: "1234-1234-1234".to_owned(),
        source: "/mycontext/subcontext".to_owned(),
        ty: "com.example.someevent".to_owned(),
        time: Some("2018-04-05T03:56:24Z".to_owned()),
        datacontenttype: Some("application/json".to_owned()),
        data: Data::Json(json!({"message": "Hello World!"})),
        ..CloudEvent::default()
    }
}

const BINARY: [(&str, &str); 5] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "com.example.someevent"),
    ("ce-time", "2018-04-05T03:56:24Z"),
    ("ce-id", "1234-1234-1234"),
    ("ce-source", "/mycontext/subcontext"),
];
const BODY: &[u8] = b"{\n    \"message\": \"Hello World!\"\n}";

fn one(read: Announced) -> CloudEvent {
    match read {
        Announced::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trace_is_found_without_a_look_at_the_data() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut event = hello();
    let traced = json!(traceparent);
    event.extensions.insert("traceparent".to_owned(), traced);
    let of = |event: &CloudEvent| {
        let (headers, json) = event.to_message();
        let structured: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        [
            trace_of(&structured, &json),
            trace_of(&[("content-type", PROTOBUF_TYPE)], &event.to_protobuf()),
        ]
    };
    assert_eq!(of(&event), [event.trace(), event.trace()]);
    assert!(event.trace().is_some());
    assert_eq!(of(&hello()), [None, None]);
    assert_eq!(trace_of(&BINARY, BODY), None);
    let nothing = b"{\"traceparent\":1}";
    assert_eq!(
        trace_of(&[("Content-Type", "application/cloudevents+json")], nothing),
        None
    );
}

#[test]
fn binary_mode() {
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        // HTTP writes the data's type as the content type; messages may also have it among the attributes
        for name in ["Content-Type", "ce-datacontenttype"] {
            let mut headers = BINARY.to_vec();
            headers.push((name, content_type));
            let read = one(Announced::read(&headers, BODY).expect("valid"));
            let expected = CloudEvent {
                datacontenttype: Some(content_type.to_owned()),
                ..hello()
            };
            assert_eq!(read, expected, "{name}: {content_type}");
        }
    }
    // as an attribute it is encoded like the others
    let mut headers = BINARY.to_vec();
    headers.push(("ce-datacontenttype", r#""application/json;%20a=\"b\"""#));
    let read = one(Announced::read(&headers, BODY).expect("valid"));
    assert_eq!(
        read.datacontenttype.as_deref(),
        Some(r#"application/json; a="b""#)
    );
    headers.pop();
    headers.push(("ce-datacontenttype", "%ff"));
    let wrong = Announced::read(&headers, BODY).expect_err("not UTF-8");
    assert_eq!(wrong.attribute, "datacontenttype");
    let missing = BINARY.get(..4).expect("four");
    assert_eq!(
        Announced::read(missing, BODY).expect_err("no source").attribute,
        "source"
    );
}

#[test]
fn structured_mode_and_batches() {
    let (headers, payload) = hello().to_message();
    assert_eq!(
        headers,
        [(
            "Content-Type".to_owned(),
            "application/cloudevents+json".to_owned()
        )]
    );
    for content_type in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=utf-8",
    ] {
        let read = Announced::read(&[("content-type", content_type)], &payload).expect("valid");
        assert_eq!(one(read), hello());
    }
    let proto = Announced::read(&[("Content-Type", PROTOBUF_TYPE)], &hello().to_protobuf());
    assert_eq!(one(proto.expect("valid")), hello());
    let batch = json!([hello(), hello()]).to_string();
    let read = Announced::read(
        &[("Content-Type", "application/cloudevents-batch+json")],
        batch.as_bytes(),
    );
    assert_eq!(read, Ok(Announced::Batch(vec![hello(), hello()])));
    let read = Announced::read(&[("Content-Type", PROTOBUF_BATCH_TYPE)], b"");
    assert_eq!(read, Ok(Announced::Batch(Vec::new())));
}

#[test]
fn what_is_no_event_is_left_to_its_sender() {
    let (_, payload) = hello().to_message();
    for headers in [
        &[][..],
        &[("Content-Type", "application/json")],
        &[("ce-other", "1")],
    ] {
        assert_eq!(Announced::read(headers, &payload), Ok(Announced::Plain));
    }
    let avro = Announced::read(&[("Content-Type", "application/cloudevents+avro")], b"");
    let avro = avro.expect_err("unknown format");
    assert!(
        avro.code == Code::EventFormat && avro.message.contains("avro"),
        "{avro}"
    );
    assert!(Announced::read(&[("Content-Type", "application/cloudevents+json")], b"{").is_err());
}
