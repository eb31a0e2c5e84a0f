//! Forms that write each byte or character of a value out: escapes, entities, digits with something between them.

use std::fmt::Write as _;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// All of them.
pub(super) fn of(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = base32(value);
    forms.extend(digits(value));
    if let Ok(text) = std::str::from_utf8(value) {
        forms.extend(characters(text));
        forms.extend(entities(text));
    }
    forms
}

/// At each of the five places where a value may begin within a group, in both cases.
fn base32(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..5usize {
        let bits = (before * 8).div_ceil(5)..((before + value.len()) * 8) / 5;
        let bit = |at: usize| {
            let byte = (at / 8).checked_sub(before).and_then(|i| value.get(i));
            byte.map_or(0, |byte| byte >> (7 - at % 8) & 1)
        };
        let upper: Vec<u8> = bits
            .filter_map(|five| {
                let index = (0..5).fold(0usize, |sum, i| sum * 2 + usize::from(bit(five * 5 + i)));
                BASE32.get(index).copied()
            })
            .collect();
        forms.push(upper.to_ascii_lowercase());
        forms.push(upper);
    }
    forms
}

/// Bytes as numbers with something between them, as escapes, and as an object whose members are their places: that is
/// how JSON has a typed array.
fn digits(value: &[u8]) -> Vec<Vec<u8>> {
    let joined = |between: &str, one: &dyn Fn(usize, u8) -> String| {
        let all: Vec<String> = value.iter().enumerate().map(|(at, b)| one(at, *b)).collect();
        all.join(between).into_bytes()
    };
    let mut forms = vec![
        joined(", ", &|_, b| b.to_string()),
        joined(" ", &|_, b| b.to_string()),
        joined(",", &|at, b| format!("\"{at}\":{b}")),
    ];
    for between in [":", " ", "-", "\\x", "\\X"] {
        forms.push(joined(between, &|_, b| format!("{b:02x}")));
        forms.push(joined(between, &|_, b| format!("{b:02X}")));
    }
    forms
}

/// Every character as an escape of JavaScript, and the other case of all letters.
fn characters(text: &str) -> Vec<Vec<u8>> {
    let (mut lower, mut upper) = (String::new(), String::new());
    for unit in text.encode_utf16() {
        let _ = write!(lower, "\\u{unit:04x}");
        let _ = write!(upper, "\\u{unit:04X}");
    }
    [lower, upper, text.to_uppercase(), text.to_lowercase()]
        .map(String::into_bytes)
        .to_vec()
}

/// As pages have it: with names, and every character as a number.
fn entities(text: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for apostrophe in ["&#39;", "&#x27;", "&apos;", "'"] {
        for quote in ["&quot;", "&#34;", "\""] {
            let mut named = String::new();
            for c in text.chars() {
                match c {
                    '&' => named.push_str("&amp;"),
                    '<' => named.push_str("&lt;"),
                    '>' => named.push_str("&gt;"),
                    '"' => named.push_str(quote),
                    '\'' => named.push_str(apostrophe),
                    c => named.push(c),
                }
            }
            forms.push(named.into_bytes());
        }
    }
    let [mut decimal, mut lower, mut upper] = std::array::from_fn(|_| String::new());
    for c in text.chars() {
        let n = u32::from(c);
        let _ = write!(decimal, "&#{n};");
        let _ = write!(lower, "&#x{n:x};");
        let _ = write!(upper, "&#x{n:X};");
    }
    forms.extend([decimal, lower, upper].map(String::into_bytes));
    forms
}
