//! Why a value cannot be written or read.

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A row that does not read back as it was written.
    #[error("stored {0} is damaged")]
    Damaged(&'static str),
    /// A call that the port does not allow.
    #[error("not allowed: {0}")]
    Misuse(&'static str),
}
