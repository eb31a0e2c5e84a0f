//! The members of one table of `on`: taken by name, with a finding for whatever does not fit.

use super::finding::{Finding, Step, Target};
use crate::filter::{Expression, FilterError};
use neofn_types::{Code, ScriptHash, closest, parse_duration_ms};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Most findings of one document.
const FINDINGS_MAX: usize = 50;

/// What was found so far, and where the reader stands.
pub(super) struct Members<'a> {
    pub(super) members: &'a Map<String, Value>,
    pub(super) path: Vec<Step>,
    pub(super) findings: &'a mut Vec<Finding>,
}

pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

pub(super) fn push(findings: &mut Vec<Finding>, finding: Finding) {
    if findings.len() < FINDINGS_MAX {
        findings.push(finding);
    }
}

impl<'a> Members<'a> {
    pub(super) fn report(
        &mut self,
        key: &str,
        target: Target,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let mut path = self.path.clone();
        if !key.is_empty() {
            path.push(Step::Key(key.to_owned()));
        }
        push(
            self.findings,
            Finding {
                path,
                target,
                code,
                message: message.into(),
                hint: hint.into(),
            },
        );
    }

    /// A wrong value of `key`.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.report(key, Target::Value, Code::TriggerInvalid, message, hint);
    }

    fn mistyped(&mut self, key: &str, value: &Value, wanted: &str, example: &str) {
        self.wrong(
            key,
            format!("`{key}` must be {wanted}, found {}", kind(value)),
            format!("write it like `{example}`"),
        );
    }

    /// Reports members that are not `known`.
    pub(super) fn known(&mut self, known: &[&str], place: &str) {
        let members = self.members;
        for key in members.keys().filter(|k| !known.contains(&k.as_str())) {
            let hint = match closest(key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.report(
                key,
                Target::Key,
                Code::TriggerInvalid,
                format!("unknown key `{}` in {place}", shorten(key)),
                hint,
            );
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn text(&mut self, key: &str, example: &str) -> Option<&'a str> {
        let value = self.get(key)?;
        match value.as_str() {
            Some(text) => Some(text),
            None => {
                self.mistyped(key, value, "a string", example);
                None
            }
        }
    }

    /// Text of 1 to `bytes_max` bytes without control characters.
    pub(super) fn label(&mut self, key: &str, bytes_max: usize, example: &str) -> Option<String> {
        let text = self.text(key, example)?;
        if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
            self.wrong(
                key,
                format!("`{key}` has 1 to {bytes_max} bytes and no control characters"),
                format!("write it like `{example}`"),
            );
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        let value = self.get(key)?;
        if !value.is_number() {
            self.mistyped(key, value, "an integer", example);
            return None;
        }
        let found = value.as_u64().filter(|n| range.contains(n));
        if found.is_none() {
            self.wrong(
                key,
                format!(
                    "`{key}` is a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
                format!("write it like `{example}`"),
            );
        }
        found
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        let text = self.text(key, example)?;
        match parse_duration_ms(text) {
            Ok(ms) if range.contains(&ms) => Some(ms),
            Ok(_) => {
                self.wrong(
                    key,
                    format!("`{key}` lies between {} and {} ms", range.start(), range.end()),
                    format!("write it like `{example}`"),
                );
                None
            }
            Err(reason) => {
                self.wrong(
                    key,
                    format!("`{key}`: {reason}"),
                    format!("write it like `{example}`"),
                );
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let example = format!("{key} = \"{}\"", words.first().map_or("", |(word, _)| word));
        let text = self.text(key, &example)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = match closest(text, names.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("one of \"{}\"", names.join("\", \"")),
        };
        self.wrong(key, format!("`{key}` cannot be \"{}\"", shorten(text)), hint);
        None
    }

    /// An address, a script hash, or the name of a native contract.
    pub(super) fn hash(&mut self, key: &str, example: &str) -> Option<ScriptHash> {
        let text = self.text(key, example)?;
        let found = text.parse().ok().or_else(|| crate::native::contract(text));
        if found.is_none() {
            let hint = match closest(text, crate::native::names()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => {
                    "write 0x and 40 digits, an address (N…), or a native contract such as \"GAS\"".to_owned()
                }
            };
            self.wrong(
                key,
                format!(
                    "\"{}\" is neither a script hash, nor an address, nor a native contract",
                    shorten(text)
                ),
                hint,
            );
        }
        found
    }

    pub(super) fn expression(&mut self, key: &str) -> Option<Expression> {
        let text = self.text(key, &format!("{key} = \"amount >= 1_000\""))?;
        match text.parse() {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.filter_errors(key, text, vec![error]);
                None
            }
        }
    }

    pub(super) fn filter_errors(&mut self, key: &str, text: &str, errors: Vec<FilterError>) {
        for error in errors {
            let target = Target::Inside(text.to_owned(), error.span);
            self.report(key, target, error.code, error.message, error.hint);
        }
    }

    /// A table inside this one.
    pub(super) fn table<T>(
        &mut self,
        key: &str,
        known: &[&str],
        example: &str,
        read: impl FnOnce(&mut Members<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let Some(members) = value.as_object() else {
            self.mistyped(key, value, "a table", example);
            return None;
        };
        let mut path = self.path.clone();
        path.push(Step::Key(key.to_owned()));
        let mut inner = Members {
            members,
            path,
            findings: self.findings,
        };
        inner.known(known, &format!("`{key}`"));
        read(&mut inner)
    }
}
