//! Events as bytes: bounded and checked, never built as a tree.
//!
//! Knows nothing of what an event means; a checked body travels to the sandbox as it came.

use bytes::Bytes;
use neofn_event::CloudEvent;
use neofn_types::{Code, Error, JsonText};
use serde::de::IgnoredAny;
use serde_json::Value;

/// Most bytes of an event.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a deployment.
pub const DEPLOY_BYTES_MAX: usize = 16 << 20;
/// Most bytes of `allow`, of `on`, and of what a smoke test expects.
pub const SETTING_BYTES_MAX: usize = 256 << 10;
/// Most arrays and objects around a value.
pub const DEPTH_MAX: usize = 128;

/// Checks a body that is to be an event. An empty one is `null`.
pub fn event(body: Bytes) -> Result<Bytes, Error> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    if body.len() > EVENT_BYTES_MAX {
        return Err(too_large(EVENT_BYTES_MAX));
    }
    check(&body)?;
    Ok(body)
}

/// A CloudEvent as a function gets it: in the JSON format, within the bound of events.
pub fn cloud_event(event: &CloudEvent) -> Result<Bytes, Error> {
    as_event(event.to_json())
}

/// A batch of them, which a function gets as one event.
pub fn cloud_events(events: &[CloudEvent]) -> Result<Bytes, Error> {
    as_event(events.iter().map(CloudEvent::to_json).collect())
}

/// What came in another form was shorter: the sender may well have kept to the bound, and is told where it is not.
fn as_event(json: Value) -> Result<Bytes, Error> {
    let text = json.to_string();
    if text.len() <= EVENT_BYTES_MAX {
        return Ok(text.into());
    }
    let (has, most) = (text.len(), size(EVENT_BYTES_MAX));
    let message = format!(
        "the event has {has} bytes in the JSON format, in which functions get it; it may have {most}"
    );
    Err(Error::new(Code::BodyTooLarge, message).hint(
        "Send less, or a reference to the data. Data that is no text becomes base64, a third longer than it was: about 768 KiB \
         of it fit.",
    ))
}

/// The refusal of a body that is larger than `most` bytes.
#[must_use]
pub fn too_large(most: usize) -> Error {
    Error::new(
        Code::BodyTooLarge,
        format!("the body is larger than {}", size(most)),
    )
}

/// The refusal of a member of a request that has `has` bytes.
#[must_use]
pub fn member_too_large(name: &str, has: usize, most: usize) -> Error {
    let message = format!("`{name}` has {has} bytes; it may have {}", size(most));
    Error::new(Code::BodyTooLarge, message)
}

/// A member of a request as a tree, which takes up to eighty times as much as its text: never of more than `most` bytes.
pub(crate) fn tree(name: &str, text: &JsonText, most: usize) -> Result<Value, Error> {
    let has = text.get().len();
    if has > most {
        return Err(member_too_large(name, has, most));
    }
    text.tree()
        .map_err(|e| Error::new(Code::RequestInvalid, format!("`{name}`: {e}")))
}

/// Whole MiB or KiB where it is so much, beside the bytes.
fn size(bytes: usize) -> String {
    const MIB: usize = 1 << 20;
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(MIB) => format!("{bytes} bytes ({} MiB)", bytes / MIB),
        _ if bytes.is_multiple_of(1_024) => format!("{bytes} bytes ({} KiB)", bytes / 1_024),
        _ => format!("{bytes} bytes"),
    }
}

/// Checks that `body` is one JSON value in UTF-8, nested at most [`DEPTH_MAX`] deep. Neither step recurses.
pub fn check(body: &[u8]) -> Result<(), Error> {
    let text = utf8(body)?;
    depth(body)?;
    // serde_json skips an ignored value with a stack of its own, so the depth above is our rule, not its need
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| malformed(&e))?;
    Ok(())
}

/// Reads a request of a known shape, after the same checks.
pub fn request<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let text = utf8(body)?;
    depth(body)?;
    serde_json::from_str(text).map_err(|e| {
        if e.is_data() {
            Error::new(Code::RequestInvalid, format!("{e}"))
        } else {
            malformed(&e)
        }
    })
}

/// As [`request`]; an empty body is the default.
pub fn request_or_default<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, Error> {
    if body.is_empty() {
        Ok(T::default())
    } else {
        request(body)
    }
}

fn utf8(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|e| {
        Error::new(
            Code::MalformedJson,
            format!(
                "the body is not UTF-8: byte {} does not belong there",
                e.valid_up_to()
            ),
        )
    })
}

fn malformed(e: &serde_json::Error) -> Error {
    let text = e.to_string();
    let what = text.split(" at line ").next().unwrap_or("not JSON");
    Error::new(
        Code::MalformedJson,
        format!(
            "the body is not JSON at line {}, column {}: {what}",
            e.line(),
            e.column()
        ),
    )
}

fn depth(body: &[u8]) -> Result<(), Error> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, byte) in body.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Error::new(
                        Code::JsonTooDeep,
                        format!("the body is nested deeper than {DEPTH_MAX} at byte {at}"),
                    ));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_what_they_are_made_of() {
        for (bytes, told) in [
            (16_384, "16384 bytes (16 KiB)"),
            (1 << 20, "1048576 bytes (1 MiB)"),
            (1_500, "1500 bytes"),
        ] {
            assert_eq!(
                too_large(bytes).message,
                format!("the body is larger than {told}")
            );
        }
    }

    #[test]
    fn an_event_that_grows_beyond_the_bound_is_told_how_large_it_is() {
        let event = |bytes: usize| CloudEvent {
            id: "1".to_owned(),
            source: "/s".to_owned(),
            ty: "t".to_owned(),
            data: neofn_event::Data::Binary(vec![0; bytes]),
            ..CloudEvent::default()
        };
        assert!(cloud_event(&event(768 << 10)).is_err());
        assert!(cloud_event(&event((768 << 10) - 200)).is_ok());
        let refused = cloud_event(&event(900_000)).unwrap_err();
        assert_eq!(refused.code, Code::BodyTooLarge);
        assert_eq!(
            refused.message,
            "the event has 1200072 bytes in the JSON format, in which functions get it; it may have 1048576 bytes (1 MiB)"
        );
        assert!(refused.cure().contains("base64"), "{}", refused.cure());
        let many = cloud_events(&[event(500_000), event(500_000)]);
        assert_eq!(many.unwrap_err().code, Code::BodyTooLarge);
    }

    use proptest::prelude::*;

    fn code(body: impl Into<Vec<u8>>) -> Option<Code> {
        event(Bytes::from(body.into())).err().map(|e| e.code)
    }

    #[test]
    fn takes_any_json_as_it_is() {
        assert_eq!(&event(Bytes::new()).unwrap()[..], b"null");
        for good in [
            "null",
            " 1 ",
            "{\"a\":1,\"a\":2}",
            "123456789012345678901234567890.5e-9",
            "\"\\ud800 [[[[\"",
            "[\"\\\"\",{}]",
        ] {
            assert_eq!(&event(Bytes::from(good)).unwrap()[..], good.as_bytes());
        }
        assert_eq!(code(nested(DEPTH_MAX)), None);
    }

    fn nested(n: usize) -> String {
        format!("{}{}", "[".repeat(n), "]".repeat(n))
    }

    #[test]
    fn refuses_with_its_own_code() {
        for bad in ["{", "nul", "1 2", "{a:1}", "[1,]", " ", "'x'", "\u{feff}1"] {
            assert_eq!(code(bad), Some(Code::MalformedJson), "{bad}");
        }
        assert_eq!(code(vec![b'"', 0xff, b'"']), Some(Code::MalformedJson));
        assert_eq!(code(nested(DEPTH_MAX + 1)), Some(Code::JsonTooDeep));
        assert_eq!(code("[".repeat(200_000)), Some(Code::JsonTooDeep));
        assert_eq!(code("{\"a\":".repeat(200_000)), Some(Code::JsonTooDeep));
        let big = format!("\"{}\"", "x".repeat(EVENT_BYTES_MAX));
        assert_eq!(code(big), Some(Code::BodyTooLarge));
        let place = event(Bytes::from_static(b"{\n \"a\": tru }")).unwrap_err();
        assert_eq!(
            place.message,
            "the body is not JSON at line 2, column 10: expected ident"
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_parser_that_builds_the_tree(text in "[\\[\\]{}\",:0-9a-e\\\\ ]{0,40}") {
            let ours = check(text.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // overflowing numbers and lone surrogates are refused by the tree alone
            if ours != theirs.is_ok() {
                let why = theirs.err().map(|e| e.to_string()).unwrap_or_default();
                prop_assert!(ours && (why.contains("out of range") || why.contains("surrogate") || why.contains("escape")), "{text:?}: {why}");
            }
        }
    }
}
