//! What the specification asks of attributes.

use super::EventError;
use serde_json::Value;

/// Longest attribute, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 4_096;
/// Longest name of an extension.
const NAME_BYTES_MAX: usize = 64;

fn is_text(text: &str) -> bool {
    // the specification excludes control characters and noncharacters
    let noncharacter = |c: char| matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    !text.chars().any(|c| c.is_control() || noncharacter(c))
}

/// A non-empty string.
pub(super) fn string(name: &str, text: String) -> Result<String, EventError> {
    if text.is_empty() {
        return Err(EventError::new(name, format!("`{name}` is empty")));
    }
    if text.len() > ATTRIBUTE_BYTES_MAX {
        return Err(EventError::new(
            name,
            format!("`{name}` has more than {ATTRIBUTE_BYTES_MAX} bytes"),
        ));
    }
    if !is_text(&text) {
        return Err(EventError::new(
            name,
            format!("`{name}` holds control characters"),
        ));
    }
    Ok(text)
}

/// A URI or a relative reference: no spaces, no quotes, at the least.
pub(super) fn uri_reference(name: &str, text: String) -> Result<String, EventError> {
    let text = string(name, text)?;
    if text
        .chars()
        .any(|c| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        return Err(EventError::new(
            name,
            format!("`{name}` is not a URI: write spaces and quotes as %20, %22"),
        ));
    }
    Ok(text)
}

/// A URI with a scheme.
pub(super) fn uri(name: &str, text: String) -> Result<String, EventError> {
    let text = uri_reference(name, text)?;
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !good {
        return Err(EventError::new(
            name,
            format!("`{name}` is not a URI with a scheme, like https://…"),
        ));
    }
    Ok(text)
}

/// RFC 3339 with seconds and an offset.
pub(super) fn timestamp(name: &str, text: String) -> Result<String, EventError> {
    let text = string(name, text)?;
    let parsed = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339);
    if parsed.is_err() {
        return Err(EventError::new(
            name,
            format!("`{name}` is not a time like 2026-01-02T03:04:05Z"),
        ));
    }
    Ok(text)
}

/// `type/subtype`, with parameters.
pub(super) fn media_type(name: &str, text: String) -> Result<String, EventError> {
    let text = string(name, text)?;
    let token = |s: &str| {
        let s = s.trim();
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+%'*`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default();
    if !essence.split_once('/').is_some_and(|(a, b)| token(a) && token(b)) {
        return Err(EventError::new(
            name,
            format!("`{name}` is not a media type like application/json"),
        ));
    }
    Ok(text)
}

/// Whether a media type holds JSON.
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence
        .split_once('/')
        .is_some_and(|(_, sub)| sub == "json" || sub.ends_with("+json"))
}

/// Whether a name may be an attribute: small letters and digits.
pub(super) fn name(name: &str) -> Result<(), EventError> {
    let good = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if good {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(EventError::new(
        &shown,
        format!("`{shown}`: names of attributes have small letters and digits only"),
    ))
}

/// The value of an extension: a string, a boolean or a 32-bit integer.
pub(super) fn extension(name: &str, value: Value) -> Result<Value, EventError> {
    match value {
        Value::String(text) if text.len() <= ATTRIBUTE_BYTES_MAX && is_text(&text) => Ok(Value::String(text)),
        Value::Bool(b) => Ok(Value::Bool(b)),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(Value::Number(n)),
        _ => Err(EventError::new(
            name,
            format!(
                "`{name}` is not a string of at most {ATTRIBUTE_BYTES_MAX} bytes, a boolean or a 32-bit integer"
            ),
        )),
    }
}
