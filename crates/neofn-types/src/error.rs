//! An error with two audiences: what the user may read, and the internal chain for the log.

use crate::{Code, Retry};
use std::fmt;

/// A coded error. `Display` is the public text; `source` is for the log alone.
#[derive(Debug)]
pub struct Error {
    /// What happened, from the catalogue.
    pub code: Code,
    /// Public: what was wrong, with the user's own values in it.
    pub message: String,
    /// Public: what to do; empty means the catalogue's cure.
    pub hint: String,
    /// Log only.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with the catalogue's cure as its hint.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: String::new(),
            source: None,
        }
    }
    /// Replaces the catalogue's cure by a more exact one.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
    /// Adds the internal cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
    /// An internal error: the public text says nothing of `source`.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "internal error").because(source)
    }
    /// The hint to show.
    #[must_use]
    pub fn cure(&self) -> &str {
        if self.hint.is_empty() {
            self.code.info().cure
        } else {
            &self.hint
        }
    }
    /// Whether and how to try again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.code.info().retry
    }
}
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::new(code, code.info().title)
    }
}
