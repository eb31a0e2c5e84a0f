//! Why a backup was not made, read or restored. Knows no transport.

use neofn_types::{Code, Error};
use std::io;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file.
    #[error("{what}")]
    File {
        /// Which, and what was done to it.
        what: String,
        /// The system's word for it.
        #[source]
        source: io::Error,
    },
    /// Not a backup, damaged, or for another key.
    #[error("{0}")]
    Invalid(String),
    /// It would undo what is known to have happened.
    #[error(
        "the backup ends at audit entry {backup}, but {seen} entries were seen {whence}: what happened since would be undone"
    )]
    Stale {
        /// Entries in the backup.
        backup: u64,
        /// Entries seen.
        seen: u64,
        /// `here` or `on chain`.
        whence: &'static str,
    },
    /// The log that is known is not this backup's.
    #[error("the backup is not of the log that you know: {0}")]
    OtherLog(String),
    /// The directory has something in it.
    #[error("{0} is not empty")]
    NotEmpty(String),
}
impl BackupError {
    pub(crate) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }
}
impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        let code = match error {
            BackupError::File { .. } => Code::StoreFailed,
            BackupError::Invalid(_) => Code::BackupInvalid,
            BackupError::Stale { .. } => Code::BackupStale,
            BackupError::OtherLog(_) => Code::AuditBroken,
            BackupError::NotEmpty(_) => Code::RestoreTarget,
        };
        Self::new(code, error.to_string()).because(error)
    }
}
