//! Collects findings while a document is walked, so that a user sees all of them at once.

use neofn_types::{Code, Diagnostic, Place, Severity, closest, frame};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text being read and what was found wrong so far.
pub(crate) struct Walk<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    pub(crate) findings: Vec<Diagnostic>,
}

/// A member of a table: the span of its key and its value.
pub(crate) type Member<'t, 'i> = (Range<usize>, &'t str, &'t Spanned<DeValue<'i>>);

/// How much of a user's own text a message repeats.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl Walk<'_> {
    /// Adds a finding about the bytes `span`.
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.findings.len() >= crate::FINDINGS_MAX {
            return;
        }
        let place = Place::find(self.text, span);
        self.findings.push(Diagnostic {
            code,
            severity: Severity::Error,
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            length: place.length,
            message: message.into(),
            hint: hint.into(),
            frame: frame(self.text, place),
        });
    }

    /// Adds a finding about a wrong value.
    pub(crate) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, Code::ManifestInvalid, message, hint);
    }

    /// Adds a finding about a key that `place` does not have.
    pub(crate) fn unknown(&mut self, span: Range<usize>, key: &str, place: &str, known: &[&str]) {
        let hint = match closest(key, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "remove it".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        self.wrong(span, format!("unknown key `{}` in {place}", shorten(key)), hint);
    }

    fn kind(value: &DeValue<'_>) -> &'static str {
        match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }

    fn mistyped(&mut self, what: &str, value: &Spanned<DeValue<'_>>, wanted: &str, example: &str) {
        let found = Self::kind(value.get_ref());
        self.wrong(
            value.span(),
            format!("`{what}` must be {wanted}, found {found}"),
            format!("write it like `{example}`"),
        );
    }

    pub(crate) fn table<'t, 'i>(
        &mut self,
        what: &str,
        value: &'t Spanned<DeValue<'i>>,
        example: &str,
    ) -> Option<&'t DeTable<'i>> {
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.mistyped(what, value, "a table", example);
        }
        found
    }

    pub(crate) fn string<'t>(
        &mut self,
        what: &str,
        value: &'t Spanned<DeValue<'_>>,
        example: &str,
    ) -> Option<&'t str> {
        let found = value.get_ref().as_str();
        if found.is_none() {
            self.mistyped(what, value, "a string", example);
        }
        found
    }

    pub(crate) fn boolean(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.mistyped(what, value, "true or false", &format!("{what} = true"));
        }
        found
    }

    pub(crate) fn integer(
        &mut self,
        what: &str,
        value: &Spanned<DeValue<'_>>,
        range: Range<u64>,
        example: &str,
    ) -> Option<u64> {
        let Some(int) = value.get_ref().as_integer() else {
            self.mistyped(what, value, "an integer", example);
            return None;
        };
        let parsed = u64::from_str_radix(int.as_str(), int.radix()).ok();
        let found = parsed.filter(|n| range.contains(n));
        if found.is_none() {
            self.wrong(
                value.span(),
                format!("`{what}` is out of range"),
                format!("at least {}, like `{example}`", range.start),
            );
        }
        found
    }

    /// The members of a table in the order of the file.
    pub(crate) fn members<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Member<'t, 'i>> {
        let mut members: Vec<Member<'t, 'i>> = table
            .iter()
            .map(|(k, v)| (k.span(), k.get_ref().as_ref(), v))
            .collect();
        members.sort_by_key(|(span, ..)| span.start);
        members
    }
}
