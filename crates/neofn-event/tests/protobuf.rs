//! The protobuf format: the official cases of the JSON format as messages, what is wrong in protobuf alone, and bytes
//! that another implementation wrote.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use neofn_event::cloud::proto;
use neofn_event::cloud::proto::cloud_event::cloud_event_attribute_value::Attr;
use neofn_event::cloud::proto::cloud_event::{CloudEventAttributeValue, Data as ProtoData};
use neofn_event::{CloudEvent, Data};
use proptest::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("fixture");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["tests"].as_array().expect("cases").clone()
}

/// A timestamp of the wire knows no offset and no zeros at its end.
fn in_utc(event: CloudEvent) -> CloudEvent {
    let parse = |t: String| OffsetDateTime::parse(&t, &Rfc3339).expect("a time").to_utc();
    CloudEvent {
        time: event.time.map(|t| parse(t).format(&Rfc3339).expect("a time")),
        ..event
    }
}

#[test]
fn valid_events_survive_the_format() {
    let cases = cases("valid-events.json");
    assert!(cases.len() >= 8);
    for case in cases {
        let event = CloudEvent::from_json(case["event"].clone()).expect("valid");
        let again = CloudEvent::from_protobuf(&event.to_protobuf());
        assert_eq!(again.map(in_utc), Ok(in_utc(event)), "{}", case["id"]);
    }
    for case in self::cases("valid-batches.json") {
        let events = CloudEvent::batch_from_json(case["batch"].clone()).expect("valid");
        let batch = proto::CloudEventBatch {
            events: events.iter().map(CloudEvent::to_proto).collect(),
        };
        let bytes = prost::Message::encode_to_vec(&batch);
        assert_eq!(
            CloudEvent::batch_from_protobuf(&bytes),
            Ok(events),
            "{}",
            case["id"]
        );
    }
}

fn minimal() -> proto::CloudEvent {
    proto::CloudEvent {
        id: "1".to_owned(),
        source: "/shop".to_owned(),
        spec_version: "1.0".to_owned(),
        r#type: "order".to_owned(),
        ..proto::CloudEvent::default()
    }
}

fn with(name: &str, attr: Option<Attr>) -> proto::CloudEvent {
    let mut event = minimal();
    event
        .attributes
        .insert(name.to_owned(), CloudEventAttributeValue { attr });
    event
}

#[test]
fn invalid_messages_are_refused_by_attribute() {
    let text = |text: &str| Some(Attr::CeString(text.to_owned()));
    let at = |seconds, nanos| Some(Attr::CeTimestamp(prost_types::Timestamp { seconds, nanos }));
    let without = |change: fn(&mut proto::CloudEvent)| {
        let mut event = minimal();
        change(&mut event);
        event
    };
    let wrong = [
        ("id", without(|e| e.id.clear())),
        ("source", without(|e| e.source.clear())),
        ("type", without(|e| e.r#type.clear())),
        ("specversion", without(|e| e.spec_version.clear())),
        ("specversion", without(|e| e.spec_version = "0.3".to_owned())),
        ("source", without(|e| e.source = "not a uri".to_owned())),
        ("datacontenttype", with("datacontenttype", text("json"))),
        ("datacontenttype", with("datacontenttype", text(""))),
        (
            "datacontenttype",
            with("datacontenttype", Some(Attr::CeInteger(5))),
        ),
        ("dataschema", with("dataschema", text(""))),
        ("dataschema", with("dataschema", Some(Attr::CeBoolean(true)))),
        (
            "dataschema",
            with("dataschema", Some(Attr::CeUriRef("/relative".to_owned()))),
        ),
        ("subject", with("subject", text(""))),
        ("subject", with("subject", Some(Attr::CeInteger(5)))),
        ("time", with("time", Some(Attr::CeInteger(5)))),
        ("time", with("time", text("yesterday"))),
        ("time", with("time", at(i64::MAX, 0))),
        ("time", with("time", at(0, -1))),
        ("time", with("time", at(0, 1_000_000_000))),
        ("MyExtension", with("MyExtension", text("bad"))),
        ("my.extension", with("my.extension", text("bad"))),
        ("myextension", with("myextension", None)),
        ("id", with("id", text("2"))),
        ("data", with("data", text("2"))),
        ("data_base64", with("data_base64", text("Mg=="))),
    ];
    for (attribute, event) in wrong {
        let error = CloudEvent::from_proto(event.clone()).expect_err(&format!("{event:?}"));
        assert_eq!(error.attribute, attribute, "{error}");
    }
    let mut json = with("datacontenttype", text("application/json"));
    json.data = Some(ProtoData::TextData("{".to_owned()));
    assert_eq!(
        CloudEvent::from_proto(json).expect_err("no JSON").attribute,
        "data"
    );
    assert!(CloudEvent::from_protobuf(&[0xff; 9]).is_err());
    let batch = CloudEvent::batch_from_proto(vec![minimal(), proto::CloudEvent::default()]);
    assert_eq!(batch.expect_err("second").index, Some(1));
    assert!(CloudEvent::batch_from_proto(vec![minimal(); 1_001]).is_err());
}

#[test]
fn every_type_of_attribute_has_its_json_form() {
    for (attr, shown) in [
        (Attr::CeBoolean(true), json!(true)),
        (Attr::CeInteger(-7), json!(-7)),
        (Attr::CeString("ä".to_owned()), json!("ä")),
        (Attr::CeBytes(vec![0, 1, 255]), json!("AAH/")),
        (Attr::CeUri("urn:a:b".to_owned()), json!("urn:a:b")),
        (Attr::CeUriRef("//a/b".to_owned()), json!("//a/b")),
        (
            Attr::CeTimestamp(prost_types::Timestamp {
                seconds: 1_680_275_520,
                nanos: 500_000_000,
            }),
            json!("2023-03-31T15:12:00.5Z"),
        ),
    ] {
        let event = CloudEvent::from_proto(with("ext", Some(attr))).expect("valid");
        assert_eq!(event.extensions["ext"], shown);
    }
}

#[test]
fn data_is_json_where_its_type_or_its_text_says_so() {
    let read = |ty: Option<&str>, data: ProtoData| {
        let mut event = minimal();
        if let Some(ty) = ty {
            event = with("datacontenttype", Some(Attr::CeString(ty.to_owned())));
        }
        event.data = Some(data);
        CloudEvent::from_proto(event).expect("valid").data
    };
    let text = |t: &str| ProtoData::TextData(t.to_owned());
    let bytes = |t: &str| ProtoData::BinaryData(t.as_bytes().to_vec());
    let object = Data::Json(json!({"n": 1}));
    for ty in [
        None,
        Some("application/json"),
        Some("application/vnd.shop+json; charset=utf-8"),
    ] {
        assert_eq!(read(ty, text("{\"n\":1}")), object);
        assert_eq!(read(ty, bytes("{\"n\":1}")), object);
    }
    assert_eq!(read(None, text("plain words")), Data::Json(json!("plain words")));
    assert_eq!(
        read(Some("text/plain"), text("{\"n\":1}")),
        Data::Json(json!("{\"n\":1}"))
    );
    assert_eq!(
        read(Some("application/octet-stream"), bytes("{}")),
        Data::Binary(b"{}".to_vec())
    );
    assert_eq!(
        read(None, ProtoData::BinaryData(vec![0xff])),
        Data::Binary(vec![0xff])
    );
    let any = ProtoData::ProtoData(prost_types::Any {
        type_url: "x/y.Z".to_owned(),
        value: vec![8, 1],
    });
    assert_eq!(read(None, any), Data::Binary(vec![8, 1]));
}

#[test]
fn the_type_of_a_message_becomes_the_schema() {
    let read = |mut event: proto::CloudEvent, type_url: &str| {
        event.data = Some(ProtoData::ProtoData(prost_types::Any {
            type_url: type_url.to_owned(),
            value: vec![8, 1],
        }));
        CloudEvent::from_proto(event).expect("valid").dataschema
    };
    for (type_url, schema) in [
        (
            "type.googleapis.com/shop.Order",
            Some("https://type.googleapis.com/shop.Order"),
        ),
        (
            "https://example.com/shop.Order",
            Some("https://example.com/shop.Order"),
        ),
        ("urn:shop:order", Some("urn:shop:order")),
        ("", None),
        ("/shop.Order", None),
        ("no uri/shop.Order", None),
        ("1:2/shop.Order", None),
    ] {
        assert_eq!(read(minimal(), type_url).as_deref(), schema, "{type_url}");
    }
    // what the sender says of it stays
    let own = with("dataschema", Some(Attr::CeUri("urn:own".to_owned())));
    let kept = read(own, "type.googleapis.com/shop.Order");
    assert_eq!(kept.as_deref(), Some("urn:own"));
}

/// Byte by byte: id, source, spec_version, type, the extension `n` = 7, text.
#[test]
fn numbers_and_types_of_fields_are_those_of_the_specification() {
    let bytes = b"\x0a\x011\x12\x02/a\x1a\x031.0\"\x01t*\x07\x0a\x01n\x12\x02\x10\x07:\x04true";
    let event = CloudEvent::from_protobuf(bytes).expect("valid");
    assert_eq!(
        (event.id.as_str(), event.source.as_str(), event.ty.as_str()),
        ("1", "/a", "t")
    );
    assert_eq!(event.extensions["n"], json!(7));
    assert_eq!(event.data, Data::Json(json!(true)));
    assert_eq!(event.to_protobuf(), bytes);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = CloudEvent::from_protobuf(&bytes);
        let _ = CloudEvent::batch_from_protobuf(&bytes);
    }

    #[test]
    fn formats_agree(id in "\\PC{1,20}", subject in "\\PC{1,20}", n in any::<i32>(), b in any::<bool>(), data in "\\PC{0,30}") {
        let event = CloudEvent {
            id,
            source: "/a".to_owned(),
            ty: "t".to_owned(),
            subject: Some(subject),
            extensions: [("n".to_owned(), json!(n)), ("b".to_owned(), json!(b))].into(),
            data: Data::Json(json!({"text": data})),
            ..CloudEvent::default()
        };
        prop_assume!(CloudEvent::from_json(event.to_json()).is_ok());
        prop_assert_eq!(CloudEvent::from_protobuf(&event.to_protobuf()), Ok(event));
    }
}
