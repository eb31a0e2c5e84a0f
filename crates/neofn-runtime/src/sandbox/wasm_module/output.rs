//! Standard output as the result: nothing, or exactly one JSON value.

use crate::sandbox::nesting::{DEPTH_MAX, depth};
use bytes::Bytes;

/// How much of what is no JSON is shown.
const SHOWN: usize = 60;

/// The result, or what is wrong with it.
pub(super) fn result(stdout: Vec<u8>) -> Result<Bytes, String> {
    let stdout = Bytes::from(stdout);
    let trimmed = stdout.trim_ascii();
    if trimmed.is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    if std::str::from_utf8(trimmed).is_err() {
        return Err("standard output is not UTF-8".to_owned());
    }
    if depth(trimmed) > DEPTH_MAX {
        return Err(format!("standard output is nested deeper than {DEPTH_MAX}"));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(trimmed) {
        Ok(_) => Ok(stdout.slice_ref(trimmed)),
        Err(error) => {
            let text = String::from_utf8_lossy(trimmed);
            let shown: String = text.chars().take(SHOWN).collect();
            let dots = if shown.len() < text.len() { "…" } else { "" };
            Err(format!(
                "standard output is not one JSON value ({error}): {shown:?}{dots}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_nothing() {
        let ok = |s: &str| result(s.as_bytes().to_vec()).unwrap();
        assert_eq!(ok(" \n"), "null");
        assert_eq!(ok("{\"a\": [1]}\n"), "{\"a\": [1]}");
        assert_eq!(ok("\"[[\\\"[\""), "\"[[\\\"[\"");
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(ok(&deep(128)), deep(128));
        for bad in ["hello", "1 2", "{", "NaN", deep(129).as_str()] {
            assert!(result(bad.as_bytes().to_vec()).is_err(), "{bad}");
        }
        assert!(result(vec![b'"', 0xff, b'"']).is_err());
    }
}
