//! Events in messages that have headers and a payload, as those of NATS: which mode it is, and both directions.
//!
//! Knows no client of any bus: headers are pairs.
//! <https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md>

use super::binary::{STRUCTURED_TYPE, decode};
use super::format::Format;
use super::proto::cloud_event::cloud_event_attribute_value::Attr;
use super::{CloudEvent, EventError, proto};
use neofn_types::TraceContext;
use prost::Message as _;
use serde::Deserialize;

/// What a message says it holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Announced {
    /// Nothing of CloudEvents: the payload is its sender's own.
    Plain,
    /// One event.
    Event(Box<CloudEvent>),
    /// A batch.
    Batch(Vec<CloudEvent>),
}

impl Announced {
    /// Reads what `headers` announce. A content type of CloudEvents decides; else `ce-` headers make it the binary
    /// mode; else nothing is announced, although the payload may well be an event in JSON.
    pub fn read(headers: &[(&str, &str)], payload: &[u8]) -> Result<Self, EventError> {
        let json = || {
            serde_json::from_slice(payload)
                .map_err(|e| EventError::new("", format!("the payload is not JSON: {e}")))
        };
        let one = |event: CloudEvent| Self::Event(Box::new(event));
        let content_type = find(headers, "content-type").unwrap_or_default();
        match Format::of(content_type)? {
            Some(Format::Json) => return CloudEvent::from_json(json()?).map(one),
            Some(Format::JsonBatch) => return CloudEvent::batch_from_json(json()?).map(Self::Batch),
            Some(Format::Protobuf) => return CloudEvent::from_protobuf(payload).map(one),
            Some(Format::ProtobufBatch) => return CloudEvent::batch_from_protobuf(payload).map(Self::Batch),
            None => {}
        }
        if find(headers, "ce-specversion").is_none() {
            return Ok(Self::Plain);
        }
        // a message has no content type of its own, so senders write the data's in either way
        let own = find(headers, "ce-datacontenttype")
            .map(|value| {
                // an attribute like any other, so encoded like any other
                decode(value)
                    .ok_or_else(|| EventError::new("datacontenttype", "`datacontenttype` is not UTF-8"))
            })
            .transpose()?;
        let headers = headers
            .iter()
            .filter(|(name, _)| own.is_none() || !name.eq_ignore_ascii_case("content-type"))
            .copied()
            .chain(own.as_deref().map(|media_type| ("content-type", media_type)));
        CloudEvent::from_headers(headers, payload).map(one)
    }
}

/// The trace of the one structured event that `headers` announce, without a look at what it carries: whether the event
/// is one, whoever reads it says.
#[must_use]
pub fn trace_of(headers: &[(&str, &str)], payload: &[u8]) -> Option<TraceContext> {
    #[derive(Deserialize)]
    struct Traced {
        traceparent: String,
    }
    let traceparent = match Format::of(find(headers, "content-type")?).ok()?? {
        Format::Json => serde_json::from_slice::<Traced>(payload).ok()?.traceparent,
        Format::Protobuf => {
            let mut attributes = proto::CloudEvent::decode(payload).ok()?.attributes;
            match attributes.remove("traceparent")?.attr? {
                Attr::CeString(text) => text,
                _ => return None,
            }
        }
        Format::JsonBatch | Format::ProtobufBatch => return None,
    };
    traceparent.parse().ok()
}

impl CloudEvent {
    /// The trace that it brings along as its extension `traceparent`.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.extensions.get("traceparent")?.as_str()?.parse().ok()
    }
    /// The structured mode: its headers and its payload.
    #[must_use]
    pub fn to_message(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let content_type = ("Content-Type".to_owned(), STRUCTURED_TYPE.to_owned());
        (vec![content_type], self.to_json().to_string().into_bytes())
    }
}

fn find<'h>(headers: &[(&'h str, &'h str)], wanted: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| *value)
}
