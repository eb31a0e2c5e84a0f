//! The protobuf format: `io.cloudevents.v1`.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/protobuf-format.md>
//!
//! The messages are written by hand: there are two, and whoever generates code for a service of its own names these as
//! its types. What is read is checked as in every other format.

use super::attribute::uri;
use super::{BATCH_MAX, CloudEvent, Data, EventError};
use base64::Engine as _;
use prost::Message as _;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Media type of one event.
pub const PROTOBUF_TYPE: &str = "application/cloudevents+protobuf";
/// Media type of a batch.
pub const PROTOBUF_BATCH_TYPE: &str = "application/cloudevents-batch+protobuf";

/// Names that are no attributes of the map: they have places of their own.
const ELSEWHERE: &[&str] = &["specversion", "id", "source", "type", "data", "data_base64"];

/// The messages on the wire.
pub mod proto {
    use std::collections::BTreeMap;

    /// `io.cloudevents.v1.CloudEvent`
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CloudEvent {
        /// Unique together with `source`.
        #[prost(string, tag = "1")]
        pub id: String,
        /// A URI reference.
        #[prost(string, tag = "2")]
        pub source: String,
        /// `1.0`
        #[prost(string, tag = "3")]
        pub spec_version: String,
        /// What kind of thing happened.
        #[prost(string, tag = "4")]
        pub r#type: String,
        /// Optional attributes and extensions.
        #[prost(btree_map = "string, message", tag = "5")]
        pub attributes: BTreeMap<String, cloud_event::CloudEventAttributeValue>,
        /// What it carries.
        #[prost(oneof = "cloud_event::Data", tags = "6, 7, 8")]
        pub data: Option<cloud_event::Data>,
    }

    /// `io.cloudevents.v1.CloudEventBatch`
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CloudEventBatch {
        /// The events.
        #[prost(message, repeated, tag = "1")]
        pub events: Vec<CloudEvent>,
    }

    /// What lies within [`CloudEvent`].
    pub mod cloud_event {
        /// The value of an attribute.
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct CloudEventAttributeValue {
            /// By its type.
            #[prost(oneof = "cloud_event_attribute_value::Attr", tags = "1, 2, 3, 4, 5, 6, 7")]
            pub attr: Option<cloud_event_attribute_value::Attr>,
        }

        /// What an event carries.
        #[derive(Clone, PartialEq, prost::Oneof)]
        pub enum Data {
            /// Bytes.
            #[prost(bytes, tag = "6")]
            BinaryData(Vec<u8>),
            /// Text, JSON too.
            #[prost(string, tag = "7")]
            TextData(String),
            /// Another message.
            #[prost(message, tag = "8")]
            ProtoData(prost_types::Any),
        }

        /// What lies within [`CloudEventAttributeValue`].
        pub mod cloud_event_attribute_value {
            /// The types of the specification.
            #[derive(Clone, PartialEq, prost::Oneof)]
            pub enum Attr {
                /// Boolean.
                #[prost(bool, tag = "1")]
                CeBoolean(bool),
                /// Integer.
                #[prost(int32, tag = "2")]
                CeInteger(i32),
                /// String.
                #[prost(string, tag = "3")]
                CeString(String),
                /// Binary.
                #[prost(bytes, tag = "4")]
                CeBytes(Vec<u8>),
                /// URI.
                #[prost(string, tag = "5")]
                CeUri(String),
                /// URI reference.
                #[prost(string, tag = "6")]
                CeUriRef(String),
                /// Timestamp.
                #[prost(message, tag = "7")]
                CeTimestamp(prost_types::Timestamp),
            }
        }
    }
}

use proto::cloud_event::cloud_event_attribute_value::Attr;
use proto::cloud_event::{CloudEventAttributeValue, Data as ProtoData};

impl CloudEvent {
    /// Reads an event of the protobuf format.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, EventError> {
        let message = proto::CloudEvent::decode(bytes)
            .map_err(|e| EventError::new("", format!("the body is no CloudEvent in protobuf: {e}")))?;
        Self::from_proto(message)
    }

    /// Reads a batch of the protobuf format.
    pub fn batch_from_protobuf(bytes: &[u8]) -> Result<Vec<Self>, EventError> {
        let batch = proto::CloudEventBatch::decode(bytes).map_err(|e| {
            EventError::new(
                "",
                format!("the body is no batch of CloudEvents in protobuf: {e}"),
            )
        })?;
        Self::batch_from_proto(batch.events)
    }

    /// Checks events that came as messages.
    pub fn batch_from_proto(events: Vec<proto::CloudEvent>) -> Result<Vec<Self>, EventError> {
        if events.len() > BATCH_MAX {
            return Err(EventError::new("", format!("more than {BATCH_MAX} events")));
        }
        let numbered = events.into_iter().enumerate();
        numbered
            .map(|(index, event)| {
                Self::from_proto(event).map_err(|e| EventError {
                    index: Some(index),
                    ..e
                })
            })
            .collect()
    }

    /// Checks an event that came as a message.
    pub fn from_proto(message: proto::CloudEvent) -> Result<Self, EventError> {
        let mut members = Map::new();
        for (name, text) in [
            ("specversion", message.spec_version),
            ("id", message.id),
            ("source", message.source),
            ("type", message.r#type),
        ] {
            // the wire does not tell an empty string from none; neither is allowed
            if !text.is_empty() {
                members.insert(name.to_owned(), Value::String(text));
            }
        }
        for (name, value) in message.attributes {
            if ELSEWHERE.contains(&name.as_str()) {
                let message = format!("`{name}` is a field of its own, not one of `attributes`");
                return Err(EventError::new(&name, message));
            }
            let value = attribute(&name, value)?;
            members.insert(name, value);
        }
        let mut event = Self::from_json(Value::Object(members))?;
        event.data = match message.data {
            None => Data::None,
            Some(ProtoData::TextData(text)) => event.text(text)?,
            Some(ProtoData::BinaryData(bytes)) => event.bytes(bytes),
            Some(ProtoData::ProtoData(any)) => {
                // which message it is would be lost otherwise
                event.dataschema = event.dataschema.or_else(|| schema(any.type_url));
                event
                    .datacontenttype
                    .get_or_insert_with(|| "application/protobuf".to_owned());
                Data::Binary(any.value)
            }
        };
        Ok(event)
    }

    /// Text is JSON where its type says so. Without a type it may be: other formats mean JSON by that.
    fn text(&self, text: String) -> Result<Data, EventError> {
        if !self.is_json() {
            return Ok(Data::Json(Value::String(text)));
        }
        match (serde_json::from_str(&text), &self.datacontenttype) {
            (Ok(json), _) => Ok(Data::Json(json)),
            (Err(_), None) => Ok(Data::Json(Value::String(text))),
            (Err(e), Some(_)) => Err(EventError::new("data", format!("`text_data` is not JSON: {e}"))),
        }
    }

    /// Libraries put JSON into bytes as often as into text.
    fn bytes(&self, bytes: Vec<u8>) -> Data {
        let json = self.is_json().then(|| serde_json::from_slice(&bytes).ok());
        json.flatten().map_or(Data::Binary(bytes), Data::Json)
    }

    /// The message of this event.
    #[must_use]
    pub fn to_proto(&self) -> proto::CloudEvent {
        let text = |text: &String| Attr::CeString(text.clone());
        let known = [
            ("subject", self.subject.as_ref().map(text)),
            ("datacontenttype", self.datacontenttype.as_ref().map(text)),
            ("dataschema", self.dataschema.clone().map(Attr::CeUri)),
            (
                "time",
                self.time
                    .as_ref()
                    .map(|time| timestamp(time).unwrap_or_else(|| text(time))),
            ),
        ];
        let known = known
            .into_iter()
            .filter_map(|(name, attr)| Some((name.to_owned(), attr?)));
        let extensions = self.extensions.iter().map(|(name, value)| {
            let attr = match value {
                Value::Bool(b) => Attr::CeBoolean(*b),
                Value::String(text) => Attr::CeString(text.clone()),
                other => match other.as_i64().and_then(|n| i32::try_from(n).ok()) {
                    Some(n) => Attr::CeInteger(n),
                    None => Attr::CeString(other.to_string()),
                },
            };
            (name.clone(), attr)
        });
        proto::CloudEvent {
            id: self.id.clone(),
            source: self.source.clone(),
            spec_version: "1.0".to_owned(),
            r#type: self.ty.clone(),
            attributes: known
                .chain(extensions)
                .map(|(name, attr)| (name, CloudEventAttributeValue { attr: Some(attr) }))
                .collect(),
            data: match &self.data {
                Data::None => None,
                Data::Json(Value::String(text)) if !self.is_json() => Some(ProtoData::TextData(text.clone())),
                Data::Json(json) => Some(ProtoData::TextData(json.to_string())),
                Data::Binary(bytes) => Some(ProtoData::BinaryData(bytes.clone())),
            },
        }
    }

    /// The protobuf format.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }
}

/// An attribute as the JSON format has it; `from_json` then checks it by its name.
fn attribute(name: &str, value: CloudEventAttributeValue) -> Result<Value, EventError> {
    let wrong = |what: &str| EventError::new(name, format!("`{name}` {what}"));
    match value.attr {
        None => Err(wrong("has no value")),
        Some(Attr::CeBoolean(b)) => Ok(Value::Bool(b)),
        Some(Attr::CeInteger(n)) => Ok(n.into()),
        Some(Attr::CeString(text) | Attr::CeUri(text) | Attr::CeUriRef(text)) => Ok(Value::String(text)),
        Some(Attr::CeBytes(bytes)) => Ok(base64::engine::general_purpose::STANDARD.encode(bytes).into()),
        Some(Attr::CeTimestamp(at)) => {
            let nanos = u32::try_from(at.nanos).ok().filter(|n| *n < 1_000_000_000);
            OffsetDateTime::from_unix_timestamp(at.seconds)
                .ok()
                .zip(nanos)
                .and_then(|(time, nanos)| time.replace_nanosecond(nanos).ok()?.format(&Rfc3339).ok())
                .map(Value::String)
                .ok_or_else(|| wrong("is no time between the years 1 and 9999"))
        }
    }
}

/// The type of a message as a URI; without a scheme it is https, says `google.protobuf.Any`. What is none has no place.
fn schema(type_url: String) -> Option<String> {
    let bare = !type_url.contains(':') && !type_url.starts_with('/') && !type_url.is_empty();
    let text = if bare {
        format!("https://{type_url}")
    } else {
        type_url
    };
    uri("dataschema", text).ok()
}

fn timestamp(text: &str) -> Option<Attr> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Attr::CeTimestamp(prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).ok()?,
    }))
}
