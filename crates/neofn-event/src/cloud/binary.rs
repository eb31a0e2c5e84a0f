//! The binary mode of HTTP: attributes are `ce-` headers, the body is the data.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use super::attribute::is_json;
use super::{CloudEvent, Data, EventError};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Media type of one event in the JSON format.
pub const STRUCTURED_TYPE: &str = "application/cloudevents+json";
/// Media type of a batch.
pub const BATCH_TYPE: &str = "application/cloudevents-batch+json";

impl CloudEvent {
    /// Reads an event from its headers and body. Names are compared without case; headers that do not begin with
    /// `ce-` are left alone, but for the content type, which is taken as it is.
    pub fn from_headers<'h>(
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        body: &[u8],
    ) -> Result<Self, EventError> {
        let mut members = Map::new();
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let attribute = match lower.strip_prefix("ce-") {
                Some("datacontenttype" | "data" | "data_base64") => continue,
                Some(attribute) => attribute.to_owned(),
                None if lower == "content-type" => "datacontenttype".to_owned(),
                None => continue,
            };
            let text = match attribute.as_str() {
                // no value of the binding: its parameters may be quoted, and a percent sign is one of its letters
                "datacontenttype" => value.to_owned(),
                _ => decode(value)
                    .ok_or_else(|| EventError::new(&attribute, format!("`{attribute}` is not UTF-8")))?,
            };
            if members.insert(attribute.clone(), Value::String(text)).is_some() {
                return Err(EventError::new(
                    &attribute,
                    format!("`{attribute}` is given twice"),
                ));
            }
        }
        let mut event = Self::from_json(Value::Object(members))?;
        event.data = if body.is_empty() {
            Data::None
        } else if event.is_json() {
            Data::Json(
                serde_json::from_slice(body)
                    .map_err(|e| EventError::new("data", format!("the body is not JSON: {e}")))?,
            )
        } else {
            match std::str::from_utf8(body) {
                Ok(text) if is_text(event.datacontenttype.as_deref()) => {
                    Data::Json(Value::String(text.to_owned()))
                }
                _ => Data::Binary(body.to_vec()),
            }
        };
        Ok(event)
    }

    /// The headers of the binary mode, the content type among them, and the body.
    #[must_use]
    pub fn to_headers(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let mut headers = Vec::new();
        let mut put = |name: &str, value: &str| headers.push((name.to_owned(), encode(value)));
        put("ce-specversion", "1.0");
        put("ce-id", &self.id);
        put("ce-source", &self.source);
        put("ce-type", &self.ty);
        for (name, value) in [
            ("ce-subject", &self.subject),
            ("ce-time", &self.time),
            ("ce-dataschema", &self.dataschema),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        for (name, value) in &self.extensions {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            put(&format!("ce-{name}"), &text);
        }
        let body = match &self.data {
            Data::None => Vec::new(),
            Data::Json(Value::String(text)) if !self.is_json() => text.clone().into_bytes(),
            Data::Json(json) => json.to_string().into_bytes(),
            Data::Binary(bytes) => bytes.clone(),
        };
        match &self.datacontenttype {
            Some(media_type) => headers.push(("content-type".to_owned(), media_type.clone())),
            None if !body.is_empty() => {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            None => {}
        }
        (headers, body)
    }
}

fn is_text(media_type: Option<&str>) -> bool {
    media_type.is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("text/") || is_json(t))
}

/// Percent-encodes what a header cannot carry: anything but printable ASCII, and space, quote and percent.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The inverse: a value in double quotes is unescaped first, then codes are decoded, once. A percent sign that begins no
/// code stands for itself, as the binding asks (3.1.3.2).
pub(super) fn decode(text: &str) -> Option<String> {
    let text = unquoted(text);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let mut byte = [0u8; 1];
        match (first, after.get(..2)) {
            (b'%', Some(digits)) if hex::decode_to_slice(digits, &mut byte).is_ok() => {
                out.extend_from_slice(&byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// What stands in double quotes, each backslash taken away from what it stands before; anything else as it is.
fn unquoted(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            // its last quote was an escaped one, so that nothing ends what the first begins
            '\\' => match rest.next() {
                Some(escaped) => out.push(escaped),
                None => return Cow::Borrowed(text),
            },
            '"' => return Cow::Borrowed(text),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}
