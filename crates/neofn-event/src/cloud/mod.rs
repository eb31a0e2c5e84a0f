//! CloudEvents 1.0: the formats JSON and protobuf, batches of both, the headers of the binary mode, and messages.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

mod attribute;
mod binary;
mod format;
mod message;
mod protobuf;
mod structured;

pub use binary::{BATCH_TYPE, STRUCTURED_TYPE};
pub use format::Format;
pub use message::{Announced, trace_of};
pub use protobuf::{PROTOBUF_BATCH_TYPE, PROTOBUF_TYPE, proto};

use neofn_types::{Code, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most events of one batch.
pub const BATCH_MAX: usize = 1_000;

/// What an event carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// JSON, or text when the content type is not JSON.
    Json(Value),
    /// Bytes.
    Binary(Vec<u8>),
}

/// An event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CloudEvent {
    /// Unique together with `source`.
    pub id: String,
    /// Where it comes from, a URI reference.
    pub source: String,
    /// What kind of thing happened.
    pub ty: String,
    /// What of the source it is about.
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    pub time: Option<String>,
    /// Media type of the data; absent means JSON.
    pub datacontenttype: Option<String>,
    /// URI of the schema of the data.
    pub dataschema: Option<String>,
    /// Extension attributes: strings, booleans and 32-bit integers.
    pub extensions: BTreeMap<String, Value>,
    /// What it carries.
    pub data: Data,
}

/// Why something is not a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .index.map(|n| format!("event {n} of the batch: ")).unwrap_or_default())]
pub struct EventError {
    /// NF0707, or NF0712 when it is in a format that is not read.
    pub code: Code,
    /// Which event of a batch, from 0.
    pub index: Option<usize>,
    /// The attribute that is wrong; empty when it is the whole.
    pub attribute: String,
    /// What is wrong, with the name of the attribute in it.
    pub message: String,
}

impl EventError {
    pub(crate) fn new(attribute: &str, message: impl Into<String>) -> Self {
        Self {
            code: Code::EventInvalid,
            index: None,
            attribute: attribute.to_owned(),
            message: message.into(),
        }
    }
}
impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        Error::new(error.code, error.to_string())
    }
}

impl Serialize for CloudEvent {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}
impl<'de> Deserialize<'de> for CloudEvent {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
