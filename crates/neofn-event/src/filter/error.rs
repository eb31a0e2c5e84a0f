//! What is wrong with a filter, and where in its text.

use neofn_types::Code;
use std::ops::Range;

/// A finding about a filter's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Bytes of the filter's text.
    pub span: Range<usize>,
    /// Which kind of mistake.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl FilterError {
    /// The text cannot be read.
    pub(crate) fn syntax(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            span,
            code: Code::FilterSyntax,
            message: message.into(),
            hint: hint.into(),
        }
    }
    /// The text can be read but says something that cannot be.
    pub(crate) fn typed(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            span,
            code: Code::FilterType,
            message: message.into(),
            hint: hint.into(),
        }
    }
}
