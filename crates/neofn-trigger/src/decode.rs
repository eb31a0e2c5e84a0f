//! Values of the chain for filters and for functions, by the types of the contract's manifest where they are known.

use neofn_chain::stack::StackItem;
use neofn_event::filter::{ParameterType, Value};
use neofn_types::{Hash256, ScriptHash};
use num_bigint::BigInt;
use serde_json::{Map, Value as Json, json};

/// A value for a filter.
#[must_use]
pub fn stack_value(item: &StackItem, ty: ParameterType) -> Value {
    match (ty, item) {
        (ParameterType::Boolean, _) => match truth(item) {
            Some(b) => Value::Bool(b),
            None => plain_value(item),
        },
        (ParameterType::Integer, StackItem::ByteString(bytes) | StackItem::Buffer(bytes)) => {
            Value::bytes_to_int(bytes).map_or_else(|| plain_value(item), Value::int)
        }
        (ParameterType::String, StackItem::ByteString(bytes) | StackItem::Buffer(bytes)) => {
            match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Bytes(bytes.clone()),
            }
        }
        _ => plain_value(item),
    }
}

fn plain_value(item: &StackItem) -> Value {
    match item {
        StackItem::Null | StackItem::Interop(_) => Value::Null,
        StackItem::Boolean(b) => Value::Bool(*b),
        StackItem::Integer(n) => Value::int(n.clone()),
        StackItem::ByteString(bytes) | StackItem::Buffer(bytes) => Value::Bytes(bytes.clone()),
        StackItem::Array(items) | StackItem::Struct(items) => {
            Value::Array(items.iter().map(plain_value).collect())
        }
        StackItem::Map(pairs) => Value::Map(
            pairs
                .iter()
                .map(|(key, value)| (plain_value(key), plain_value(value)))
                .collect(),
        ),
        StackItem::Pointer(at) => Value::int(*at),
    }
}

/// Contracts often put 0 and 1 where their manifest says Boolean.
fn truth(item: &StackItem) -> Option<bool> {
    match item {
        StackItem::Boolean(b) => Some(*b),
        StackItem::Integer(n) => Some(*n != BigInt::ZERO),
        StackItem::ByteString(bytes) => Some(bytes.iter().any(|b| *b != 0)),
        _ => None,
    }
}

/// A parameter as a function gets it: integers are decimal strings, accounts addresses, hashes `0x…`, text is text,
/// bytes are `0x` and hexadecimal.
#[must_use]
pub fn parameter_json(item: &StackItem, ty: ParameterType) -> Json {
    let bytes = item.as_bytes();
    match (ty, bytes) {
        (ParameterType::Boolean, _) => truth(item).map_or_else(|| plain_json(item), Json::Bool),
        (ParameterType::Integer, Some(bytes)) => {
            Value::bytes_to_int(bytes).map_or_else(|| plain_json(item), |n| json!(n.to_string()))
        }
        (ParameterType::Hash160, Some(bytes)) => match bytes.try_into() {
            Ok(hash) => json!(ScriptHash(hash).to_address()),
            Err(_) => hex_json(bytes),
        },
        (ParameterType::Hash256, Some(bytes)) => match bytes.try_into() {
            Ok(hash) => json!(Hash256(hash)),
            Err(_) => hex_json(bytes),
        },
        (ParameterType::PublicKey, Some(bytes)) => json!(hex::encode(bytes)),
        (ParameterType::ByteArray | ParameterType::Signature, Some(bytes)) => hex_json(bytes),
        (ParameterType::String, Some(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => hex_json(bytes),
        },
        _ => plain_json(item),
    }
}

fn hex_json(bytes: &[u8]) -> Json {
    json!(format!("0x{}", hex::encode(bytes)))
}

/// Without a type: bytes that are printable text are text.
fn plain_json(item: &StackItem) -> Json {
    match item {
        StackItem::Null | StackItem::Interop(_) => Json::Null,
        StackItem::Boolean(b) => Json::Bool(*b),
        StackItem::Integer(n) => json!(n.to_string()),
        StackItem::Pointer(at) => json!(at.to_string()),
        StackItem::ByteString(bytes) | StackItem::Buffer(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => json!(text),
            _ => hex_json(bytes),
        },
        StackItem::Array(items) | StackItem::Struct(items) => {
            Json::Array(items.iter().map(plain_json).collect())
        }
        StackItem::Map(pairs) => map_json(pairs),
    }
}

/// An object when every key is a plain one, a list of pairs otherwise.
fn map_json(pairs: &[(StackItem, StackItem)]) -> Json {
    let mut object = Map::new();
    for (key, value) in pairs {
        let key = match plain_json(key) {
            Json::String(text) => text,
            other => other.to_string(),
        };
        if object.insert(key, plain_json(value)).is_some() {
            let pairs = pairs.iter().map(|(k, v)| json!([plain_json(k), plain_json(v)]));
            return Json::Array(pairs.collect());
        }
    }
    Json::Object(object)
}
