//! TOML values as JSON, for events that a manifest spells out.

use serde_json::{Number, Value};
use toml::de::DeValue;

/// The JSON of a TOML value; what JSON cannot say is refused in words.
pub(crate) fn to_json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(s) => Value::String(s.to_string()),
        DeValue::Integer(i) => Value::Number(
            i64::from_str_radix(i.as_str(), i.radix())
                .map_err(|_| format!("{i} is too large for a 64-bit integer"))?
                .into(),
        ),
        DeValue::Float(f) => f
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("{f} cannot be written as JSON"))?,
        DeValue::Boolean(b) => Value::Bool(*b),
        // The only faithful form that JSON has.
        DeValue::Datetime(d) => Value::String(d.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|v| to_json(v.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(k, v)| Ok((k.get_ref().to_string(), to_json(v.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}
