//! The forms in which a value turns up in text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use zeroize::Zeroizing;

mod spelled;

/// A form that is shorter than this stands in text by chance.
const PATTERN_BYTES_MIN: usize = 6;
/// Strings of JSON within each other that a value is looked for in.
const NESTED_MAX: u32 = 5;
/// A longer value is looked for in its compact forms alone: spelled out byte by byte it would fill the memory.
const SPELLED_BYTES_MAX: usize = 4 << 10;

/// Every form of a value, each once.
pub(super) fn of(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms: BTreeSet<Vec<u8>> = plain(value).into_iter().collect();
    let reversed: Vec<u8> = value.iter().rev().copied().collect();
    forms.insert(reversed);
    if let Ok(text) = std::str::from_utf8(value) {
        forms.insert(text.chars().rev().collect::<String>().into_bytes());
    }
    // deeper, only what every writer has to escape: an answer that shows an error that shows JSON within JSON
    let deeper: Vec<Vec<u8>> = forms.iter().flat_map(|f| nested(f)).collect();
    // JSON in a string of JSON, as logs have it
    let escaped: BTreeSet<Vec<u8>> = forms.iter().flat_map(|f| json(f)).collect();
    let twice: BTreeSet<Vec<u8>> = escaped.iter().flat_map(|f| json(f)).collect();
    forms.extend(escaped);
    forms.extend(twice);
    forms.extend(deeper);
    forms
        .into_iter()
        .filter(|form| form.len() >= PATTERN_BYTES_MIN)
        .map(Zeroizing::new)
        .collect()
}

/// The forms that stand in a text whose percent escapes were read back; forms write a space as `+`.
pub(super) fn read_back(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let forms: BTreeSet<Vec<u8>> = [value.to_vec(), replaced(value, b' ', b"+")].into();
    let long = forms.into_iter().filter(|form| form.len() >= PATTERN_BYTES_MIN);
    long.map(Zeroizing::new).collect()
}

fn plain(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        value.to_vec(),
        hex::encode(value).into_bytes(),
        hex::encode_upper(value).into_bytes(),
        decimal(value),
    ];
    let inner = base64(value);
    let percent = percent(value);
    if value.len() <= SPELLED_BYTES_MAX {
        forms.extend(spelled::of(value));
        // an encoding of an encoding, as headers and links have it
        forms.extend(inner.iter().flat_map(|form| base64(form)));
        forms.extend(percent.iter().map(|form| replaced(form, b'%', b"%25")));
    }
    forms.extend(inner);
    forms.extend(percent);
    forms
}

fn replaced(form: &[u8], byte: u8, by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(form.len());
    for &b in form {
        if b == byte {
            out.extend_from_slice(by);
        } else {
            out.push(b);
        }
    }
    out
}

/// As an array of bytes is written.
fn decimal(value: &[u8]) -> Vec<u8> {
    let numbers: Vec<String> = value.iter().map(u8::to_string).collect();
    numbers.join(",").into_bytes()
}

/// In both alphabets, at each of the three places where a value may begin within a group: the characters that its
/// neighbours have no part in.
fn base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3usize {
        let mut bytes = Zeroizing::new(vec![0; before]);
        bytes.extend_from_slice(value);
        let own = (before * 8).div_ceil(6)..(bytes.len() * 8) / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(&*bytes));
            if let Some(part) = text.as_bytes().get(own.clone()) {
                forms.push(part.to_vec());
            }
        }
    }
    forms
}

/// As encodeURIComponent, encodeURI, forms and strict encoders write it, in both cases.
fn percent(value: &[u8]) -> Vec<Vec<u8>> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let component = move |b: u8| unreserved(b) || b"!*'()".contains(&b);
    let uri = move |b: u8| component(b) || b";/?:@&=+$,#".contains(&b);
    let query = |b: u8| (0x21..0x7f).contains(&b) && !b"\"#<>'".contains(&b);
    let form = |b: u8| b.is_ascii_alphanumeric() || b"*-._ ".contains(&b);
    let none = |_: u8| false;
    let keeps: [&dyn Fn(u8) -> bool; 6] = [&unreserved, &component, &uri, &query, &form, &none];
    let mut forms = Vec::new();
    for keep in keeps {
        let mut upper = String::new();
        for &b in value {
            if keep(b) {
                upper.push(char::from(b));
            } else {
                let _ = write!(upper, "%{b:02X}");
            }
        }
        let lower = lower_escapes(&upper);
        forms.extend([
            upper.replace(' ', "+").into_bytes(),
            lower.replace(' ', "+").into_bytes(),
        ]);
    }
    forms
}

fn lower_escapes(text: &str) -> String {
    // of an escape: the sign and its two digits
    let mut left = 0u8;
    text.chars()
        .map(|c| {
            if c == '%' {
                left = 3;
            }
            let escape = left > 0;
            left = left.saturating_sub(1);
            if escape { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

/// Three and more strings of JSON within each other.
fn nested(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let Ok(mut text) = String::from_utf8(value.to_vec()) else {
        return forms;
    };
    for depth in 1..=NESTED_MAX {
        let Some(escaped) = least(&text) else { return forms };
        if escaped == text {
            return forms;
        }
        text = escaped;
        if depth > 2 {
            forms.push(text.clone().into_bytes());
        }
    }
    forms
}

/// As a string of JSON has it, without its quotes.
fn least(text: &str) -> Option<String> {
    let quoted = serde_json::to_string(text).ok()?;
    quoted.get(1..quoted.len().checked_sub(1)?).map(str::to_owned)
}

/// As JSON writers escape it: as little as possible, with slashes, and without anything that is not ASCII.
fn json(value: &[u8]) -> Vec<Vec<u8>> {
    let plain = |b: &u8| (0x20..0x7f).contains(b) && !b"\"\\/<>&'".contains(b);
    if value.iter().all(plain) {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return Vec::new();
    };
    let Some(least) = least(text) else {
        return Vec::new();
    };
    let mut forms = vec![least.as_bytes().to_vec(), least.replace('/', "\\/").into_bytes()];
    for upper in [false, true] {
        let mut ascii = String::new();
        for unit in least.encode_utf16() {
            match u8::try_from(unit) {
                Ok(b) if b.is_ascii() && b != 0x7f => ascii.push(char::from(b)),
                _ if upper => {
                    let _ = write!(ascii, "\\u{unit:04X}");
                }
                _ => {
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
        }
        forms.push(ascii.into_bytes());
    }
    // writers for web pages escape these too
    let mut web = String::new();
    for c in least.chars() {
        match c {
            '<' | '>' | '&' | '\'' => {
                let _ = write!(web, "\\u{:04x}", u32::from(c));
            }
            c => web.push(c),
        }
    }
    forms.push(web.clone().into_bytes());
    forms.push(
        web.replace("\\u003c", "\\u003C")
            .replace("\\u003e", "\\u003E")
            .into_bytes(),
    );
    forms
}
