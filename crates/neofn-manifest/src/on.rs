//! `on` of a function: read by the one reader of triggers, its findings put into the lines of the manifest.

use crate::json::to_json;
use crate::walk::Walk;
use neofn_event::Triggers;
use neofn_event::spec::{Finding, Step, Target};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the triggers of a function; what is wrong is among the findings.
pub(crate) fn on(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Triggers {
    let Some(table) = walk.table("on", value, "[[function.hello.on.cron]]") else {
        return Triggers::default();
    };
    let json = match to_json(value.get_ref()) {
        Ok(json) => json,
        Err(reason) => {
            walk.wrong(value.span(), reason, "triggers are text and whole numbers");
            return Triggers::default();
        }
    };
    match Triggers::read(&json) {
        Ok(triggers) => triggers,
        Err(findings) => {
            for finding in findings {
                let span = place(walk.text, table, value.span(), &finding);
                walk.add(span, finding.code, finding.message, finding.hint);
            }
            Triggers::default()
        }
    }
}

/// The bytes of the manifest that a finding means.
fn place(text: &str, table: &DeTable<'_>, whole: Range<usize>, finding: &Finding) -> Range<usize> {
    let mut at = At::Table(table);
    let (mut key, mut value) = (whole.clone(), whole);
    for step in &finding.path {
        let next = match (step, at) {
            (Step::Key(name), At::Table(table)) => table
                .iter()
                .find(|(k, _)| k.get_ref() == name)
                .map(|(k, v)| (k.span(), v)),
            (Step::Index(index), At::Value(found)) => match found.get_ref() {
                DeValue::Array(items) => items.get(*index).map(|item| (item.span(), item)),
                _ => None,
            },
            _ => None,
        };
        let Some((key_span, found)) = next else { break };
        (key, value) = (key_span, found.span());
        at = match found.get_ref() {
            DeValue::Table(table) => At::Table(table),
            _ => At::Value(found),
        };
    }
    match &finding.target {
        Target::Key => key,
        Target::Value => first_line(text, value),
        Target::Inside(_, inner) => match text.get(value.clone()) {
            Some(literal) => {
                value.start + raw_offset(literal, inner.start)..value.start + raw_offset(literal, inner.end)
            }
            None => value,
        },
    }
}

#[derive(Clone, Copy)]
enum At<'t, 'i> {
    Table(&'t DeTable<'i>),
    Value(&'t Spanned<DeValue<'i>>),
}

/// A table of several lines is meant as a whole; its header is enough to point at.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let length = text.get(span.clone()).and_then(|t| t.find('\n'));
    span.start..length.map_or(span.end, |length| span.start + length)
}

/// Where the byte `decoded` of a string's value stands in its TOML literal.
fn raw_offset(literal: &str, decoded: usize) -> usize {
    let (mut raw, escapes) = if literal.starts_with("\"\"\"") {
        (3, true)
    } else if literal.starts_with("'''") {
        (3, false)
    } else {
        (1, literal.starts_with('"'))
    };
    if raw == 3 {
        // a line break behind the opening is no part of the value
        let rest = literal.get(3..).unwrap_or_default();
        raw += if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
    }
    let mut passed = 0;
    while passed < decoded {
        let Some(rest) = literal.get(raw..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        let (raw_length, value_length) = if escapes { escape(rest) } else { plain(rest) };
        raw += raw_length;
        passed += value_length;
    }
    raw.min(literal.len())
}

/// The bytes of a character in the literal, and in the value.
fn plain(rest: &str) -> (usize, usize) {
    let length = rest.chars().next().map_or(1, char::len_utf8);
    (length, length)
}

/// The same where backslashes begin escapes.
fn escape(rest: &str) -> (usize, usize) {
    let Some(after) = rest.strip_prefix('\\') else {
        return plain(rest);
    };
    let code = |digits: usize| {
        let found = after
            .get(1..1 + digits)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (
            2 + digits,
            found.and_then(char::from_u32).map_or(1, char::len_utf8),
        )
    };
    match after.chars().next() {
        Some('x') => code(2),
        Some('u') => code(4),
        Some('U') => code(8),
        Some(c) if c.is_whitespace() => {
            // a backslash at the end of a line takes the break and what follows it away
            let blank = after.len() - after.trim_start().len();
            (1 + blank, 0)
        }
        Some(c) => (1 + c.len_utf8(), 1),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::raw_offset;

    #[test]
    fn offsets_pass_escapes_and_openings() {
        for (literal, decoded, raw) in [
            ("'a == b'", 2, 3),
            ("\"a == b\"", 2, 3),
            (r#""a\"b\" x""#, 5, 8),
            (r#""\u00e4x""#, 2, 7),
            ("\"\"\"\na\"\"\"", 0, 4),
            ("'''a'''", 0, 3),
            ("\"\"\"a \\\n  b\"\"\"", 2, 5),
            ("'a'", 99, 3),
            ("", 1, 0),
        ] {
            assert_eq!(raw_offset(literal, decoded), raw, "{literal}");
        }
    }
}
