//! Why the store itself failed, as against a command that was refused. Knows no port's refusals.

use neofn_chain::port::TxStoreError;
use neofn_engine::port::StoreError;
use neofn_identity::port::IdentityStoreError;
use neofn_registry::port::RegistryStoreError;
use neofn_rows::RowError;
use neofn_secrets::port::SecretStoreError;
use neofn_types::{Code, Error};
use std::sync::Arc;

/// The database or the disk failed; nothing of the command was written, or at least nothing was promised.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// SQLite's own word for it. One failure may answer a whole group of commands, hence the `Arc`.
    #[error("database")]
    Sql(#[source] Arc<rusqlite::Error>),
    /// No room: the disk, or the limit set on the database.
    #[error("the disk is full, or the database has reached its size limit")]
    Full,
    /// A file beside the database.
    #[error("{what}")]
    File {
        /// What was being done to which file.
        what: String,
        /// The system's word for it.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A row that does not read back as it was written.
    #[error("stored {0} is damaged")]
    Damaged(&'static str),
    /// A call that the port does not allow.
    #[error("not allowed: {0}")]
    Misuse(&'static str),
    /// The writer is so far behind that a write nobody waits for would grow its queue without bound.
    #[error("too many unwritten records; the disk does not keep up")]
    Overrun,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A defect of ours; the transaction was rolled back.
    #[error("a store command panicked")]
    Panicked,
}

impl Fault {
    /// A failure of a file operation.
    pub(crate) fn file(what: impl Into<String>, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::File {
                what: what.into(),
                source: Arc::new(source),
            },
        }
    }
    /// Whether the cause is the command rather than the disk, so that others of its group may still succeed.
    pub(crate) fn is_the_commands_own(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Misuse(_) | Self::Panicked => true,
            Self::Sql(e) => matches!(
                e.sqlite_error_code(),
                Some(rusqlite::ErrorCode::ConstraintViolation | rusqlite::ErrorCode::TooBig) | None
            ),
            _ => false,
        }
    }
}

impl From<RowError> for Fault {
    fn from(e: RowError) -> Self {
        match e {
            RowError::Damaged(what) => Self::Damaged(what),
            RowError::Misuse(what) => Self::Misuse(what),
        }
    }
}
impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            Self::Full
        } else {
            Self::Sql(Arc::new(e))
        }
    }
}
impl From<Fault> for StoreError {
    fn from(f: Fault) -> Self {
        Self::Backend(Box::new(f))
    }
}
impl From<Fault> for RegistryStoreError {
    fn from(f: Fault) -> Self {
        Self::Backend(Box::new(f))
    }
}
impl From<Fault> for IdentityStoreError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}
impl From<Fault> for SecretStoreError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}
impl From<Fault> for TxStoreError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}
impl From<Fault> for Error {
    fn from(f: Fault) -> Self {
        Self::new(Code::StoreFailed, format!("storage unavailable: {f}")).because(f)
    }
}
