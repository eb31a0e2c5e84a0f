//! Half a character is a string in JavaScript, and JSON.stringify writes it as an escape that strict readers refuse.
//! It becomes U+FFFD, as everywhere else where text leaves JavaScript.

use bytes::Bytes;

/// A copy of `json` with every escaped lone surrogate replaced.
pub fn mended(json: &[u8]) -> Bytes {
    let mut at = 0;
    let mut lone = Vec::new();
    while let Some(found) = json
        .get(at..)
        .and_then(|rest| rest.iter().position(|b| *b == b'\\'))
    {
        at += found;
        match unit(json, at) {
            Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                lone.push(at);
                at += 6;
            }
            _ => at += 2,
        }
    }
    if lone.is_empty() {
        return Bytes::copy_from_slice(json);
    }
    let mut out = json.to_vec();
    for at in lone {
        if let Some(escape) = out.get_mut(at..at + 6) {
            escape.copy_from_slice(b"\\ufffd");
        }
    }
    Bytes::from(out)
}

/// The UTF-16 unit that an escape at `at` stands for.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at.checked_add(6)?)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::mended;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (given, wanted) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
            (r#""\ud800\ud83d\ude00\udc00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud800 \n\u0041""#, r#""\\ud800 \n\u0041""#),
            (r#""\ud8"#, r#""\ud8"#),
        ] {
            assert_eq!(mended(given.as_bytes()), wanted.as_bytes(), "{given}");
        }
    }
}
