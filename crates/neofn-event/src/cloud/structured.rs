//! The JSON format: one object for an event, an array for a batch.

use super::attribute::{extension, is_json, media_type, name, string, timestamp, uri, uri_reference};
use super::{BATCH_MAX, CloudEvent, Data, EventError};
use base64::Engine as _;
use serde_json::{Map, Value};

/// Most attributes of an event.
const ATTRIBUTES_MAX: usize = 64;

/// Takes a string attribute; null says the same as leaving it out.
fn take(
    members: &mut Map<String, Value>,
    name: &str,
    check: fn(&str, String) -> Result<String, EventError>,
) -> Result<Option<String>, EventError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => check(name, text).map(Some),
        Some(_) => Err(EventError::new(name, format!("`{name}` is not a string"))),
    }
}

fn need(found: Option<String>, name: &str) -> Result<String, EventError> {
    found.ok_or_else(|| EventError::new(name, format!("`{name}` is missing")))
}

impl CloudEvent {
    /// Reads one event of the JSON format.
    pub fn from_json(json: Value) -> Result<Self, EventError> {
        let Value::Object(mut m) = json else {
            return Err(EventError::new("", "a CloudEvent is a JSON object"));
        };
        if m.len() > ATTRIBUTES_MAX {
            return Err(EventError::new(
                "",
                format!("more than {ATTRIBUTES_MAX} attributes"),
            ));
        }
        let version = need(take(&mut m, "specversion", string)?, "specversion")?;
        if version != "1.0" {
            let shown: String = version.chars().take(20).collect();
            return Err(EventError::new(
                "specversion",
                format!("`specversion` is \"{shown}\", neofn reads \"1.0\""),
            ));
        }
        let id = need(take(&mut m, "id", string)?, "id")?;
        let source = need(take(&mut m, "source", uri_reference)?, "source")?;
        let ty = need(take(&mut m, "type", string)?, "type")?;
        let mut event = Self {
            id,
            source,
            ty,
            subject: take(&mut m, "subject", string)?,
            time: take(&mut m, "time", timestamp)?,
            datacontenttype: take(&mut m, "datacontenttype", media_type)?,
            dataschema: take(&mut m, "dataschema", uri)?,
            ..Self::default()
        };
        let data = m.remove("data");
        let bytes = take(&mut m, "data_base64", |_, text| Ok(text))?;
        event.data = match (data, bytes) {
            (Some(_), Some(_)) => {
                return Err(EventError::new(
                    "data_base64",
                    "`data` and `data_base64` exclude each other",
                ));
            }
            (None, None) => Data::None,
            (Some(data), None) => Data::Json(data),
            (None, Some(text)) => Data::Binary(
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map_err(|_| EventError::new("data_base64", "`data_base64` is not base64"))?,
            ),
        };
        for (key, value) in m {
            name(&key)?;
            if !value.is_null() {
                let value = extension(&key, value)?;
                event.extensions.insert(key, value);
            }
        }
        Ok(event)
    }

    /// Reads a batch.
    pub fn batch_from_json(json: Value) -> Result<Vec<Self>, EventError> {
        let Value::Array(items) = json else {
            return Err(EventError::new("", "a batch of CloudEvents is a JSON array"));
        };
        if items.len() > BATCH_MAX {
            return Err(EventError::new("", format!("more than {BATCH_MAX} events")));
        }
        items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                Self::from_json(item).map_err(|e| EventError {
                    index: Some(index),
                    ..e
                })
            })
            .collect()
    }

    /// The JSON format.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: &str| out.insert(key.to_owned(), Value::String(value.to_owned()));
        put("specversion", "1.0");
        put("id", &self.id);
        put("source", &self.source);
        put("type", &self.ty);
        for (key, value) in [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.datacontenttype),
            ("dataschema", &self.dataschema),
        ] {
            if let Some(value) = value {
                put(key, value);
            }
        }
        for (key, value) in &self.extensions {
            out.insert(key.clone(), value.clone());
        }
        match &self.data {
            Data::None => {}
            Data::Json(data) => {
                out.insert("data".to_owned(), data.clone());
            }
            Data::Binary(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                out.insert("data_base64".to_owned(), Value::String(text));
            }
        }
        Value::Object(out)
    }

    /// Whether the data is JSON by its content type.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.datacontenttype.as_deref().is_none_or(is_json)
    }
}
