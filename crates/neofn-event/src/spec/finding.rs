//! A mistake in a trigger, and the place of it: whoever holds the document turns it into a line and a column.

use neofn_types::{Code, Diagnostic, Place, Severity, frame};
use std::fmt;
use std::ops::Range;

/// One step from `on` down to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member by name.
    Key(String),
    /// An item by position.
    Index(usize),
}

/// Which part of the member is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Its name.
    Key,
    /// Its value.
    Value,
    /// Bytes of its value, which is this text.
    Inside(String, Range<usize>),
}

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// From `on` to the member.
    pub path: Vec<Step>,
    /// Which part of it.
    pub target: Target,
    /// The kind of mistake.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Finding {
    /// `on.notification[0].where`
    #[must_use]
    pub fn member(&self) -> String {
        let mut out = "on".to_owned();
        for step in &self.path {
            match step {
                Step::Key(key) => {
                    out.push('.');
                    out.extend(key.chars().take(64));
                }
                Step::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }

    /// The finding for a document that has no lines, like a request: the member is the file, and a text inside it has
    /// a frame of its own.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let (place, frame) = match &self.target {
            Target::Inside(text, span) => {
                let place = Place::find(text, span.clone());
                (Some(place), frame(text, place))
            }
            Target::Key | Target::Value => (None, String::new()),
        };
        Diagnostic {
            code: self.code,
            severity: Severity::Error,
            file: self.member(),
            line: place.map_or(0, |p| p.line),
            column: place.map_or(0, |p| p.column),
            length: place.map_or(1, |p| p.length),
            message: self.message.clone(),
            hint: self.hint.clone(),
            frame,
        }
    }
}
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.member(), self.message)
    }
}
