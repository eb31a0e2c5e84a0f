//! Why the store itself failed, as against a command that was refused. Knows no port's refusals.

use neofn_chain::port::TxStoreError;
use neofn_engine::port::StoreError;
use neofn_identity::port::IdentityStoreError;
use neofn_registry::port::RegistryStoreError;
use neofn_rows::RowError;
use neofn_secrets::port::SecretStoreError;
use neofn_types::{Code, Error};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// The database failed or cannot be reached; nothing was promised.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// PostgreSQL's own word for it. One failure may answer a whole group of commands, hence the `Arc`.
    #[error("database: {0}")]
    Sql(Arc<sqlx::Error>),
    /// The server does not answer, or has no connection left for us.
    #[error("PostgreSQL cannot be reached: {0}")]
    Down(Arc<sqlx::Error>),
    /// A row that does not read back as it was written.
    #[error("stored {0} is damaged")]
    Damaged(&'static str),
    /// A call that the port does not allow.
    #[error("not allowed: {0}")]
    Misuse(&'static str),
    /// The database is so far behind that a write nobody waits for would grow the queue without bound.
    #[error("too many unwritten records; the database does not keep up")]
    Overrun,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Fault {
    /// The server has said nothing for so long.
    pub(crate) fn silence(time: Duration) -> Self {
        let said = format!("no answer within {time:?}");
        Self::Down(Arc::new(sqlx::Error::Io(io::Error::new(
            ErrorKind::TimedOut,
            said,
        ))))
    }
    /// The connection has ended.
    pub(crate) fn lost() -> Self {
        Self::Down(Arc::new(sqlx::Error::Io(ErrorKind::ConnectionAborted.into())))
    }
    /// Whether it may go on saying nothing, on other connections as well.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Down(e) if matches!(&**e, sqlx::Error::Io(e) if e.kind() == ErrorKind::TimedOut))
    }
    /// Whether the same command may succeed in a moment.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Down(_) => true,
            // serialization failure, deadlock, a lock that was not to be had
            Self::Sql(e) => matches!(state(e).as_deref(), Some("40001" | "40P01" | "55P03")),
            _ => false,
        }
    }
    /// Whether this took as long as a command may wait for a connection.
    pub(crate) fn waited_for_a_connection(&self) -> bool {
        matches!(self, Self::Down(e) if matches!(**e, sqlx::Error::PoolTimedOut))
    }
    /// Whether the cause is the command rather than the database, so that others of its group may still succeed.
    pub(crate) fn is_the_commands_own(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Misuse(_) => true,
            // a limit of the database, a value that it cannot hold, a broken rule
            Self::Sql(e) => {
                state(e).is_none_or(|s| s.starts_with("22") || s.starts_with("23") || s.starts_with("54"))
            }
            _ => false,
        }
    }
}

/// The server's five characters.
fn state(e: &sqlx::Error) -> Option<String> {
    e.as_database_error()?.code().map(|c| c.into_owned())
}

/// Whether a failure says that the server is not there, rather than that it refused.
fn is_down(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // connection exception, shutting down or starting up, no connection left, read-only standby
        _ => state(e).is_some_and(|s| {
            s.starts_with("08") || s.starts_with("57P") || s == "53300" || s == "25006" || s == "25P03"
        }),
    }
}

impl From<sqlx::Error> for Fault {
    fn from(e: sqlx::Error) -> Self {
        match e {
            sqlx::Error::PoolClosed => Self::Closed,
            e if is_down(&e) => Self::Down(Arc::new(e)),
            e => Self::Sql(Arc::new(e)),
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
        let error = match &f {
            Fault::Down(e) if matches!(**e, sqlx::Error::Tls(_)) => unavailable(&f).hint(
                "`sslmode` in `[postgres] url` says how the server is checked: verify-full needs a certificate of an authority that \
                 `sslrootcert` names or the system knows, and a server that speaks TLS.",
            ),
            Fault::Down(_) => unavailable(&f).hint(
                "See that PostgreSQL runs and takes connections from here, and that `[postgres] url` names it; then try again.",
            ),
            Fault::Sql(e) => match setup(e) {
                Some((what, hint)) => Self::new(Code::ConfigInvalid, format!("PostgreSQL: {what}")).hint(hint),
                None => unavailable(&f),
            },
            _ => unavailable(&f),
        };
        error.because(f)
    }
}

fn unavailable(f: &Fault) -> Error {
    Error::new(Code::StoreFailed, format!("storage unavailable: {f}"))
}

/// What an operator has to set up first, and how: trying again helps nobody.
fn setup(e: &sqlx::Error) -> Option<(String, &'static str)> {
    let said = e.as_database_error()?;
    let hint = match &*said.code()? {
        "3D000" => "Create the database, owned by the role in `[postgres] url`: createdb --owner ROLE NAME.",
        s if s.starts_with("28") => {
            "See the role in `[postgres] url`, its password or `password_file`, and the server's pg_hba.conf."
        }
        "42501" => {
            "The role makes tables of its own: have it own the database, or GRANT CREATE, USAGE ON SCHEMA public TO it."
        }
        "42P07" | "42710" => {
            "Something of that name is there and not neofn's: give neofn a database of its own."
        }
        _ => return None,
    };
    Some((said.message().to_owned(), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_no_full_disk() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let down = Error::from(Fault::from(sqlx::Error::Io(refused)));
        assert_eq!(down.code, Code::StoreFailed);
        assert!(down.cure().contains("PostgreSQL runs"), "{}", down.cure());
        assert!(!down.cure().contains("ree space"), "{}", down.cure());
    }
}
