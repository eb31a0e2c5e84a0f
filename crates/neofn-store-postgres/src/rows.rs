//! How PostgreSQL's columns are read. What the values look like is common to all stores.

use crate::error::Fault;
use neofn_types::{Caller, FunctionKey, InvocationId};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// A function's place in every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub pid: i64,
    pub fid: i64,
}

impl Place {
    /// From two neighbouring columns.
    pub(crate) fn at(row: &PgRow, column: usize) -> Result<Self, Fault> {
        Ok(Self {
            pid: row.try_get(column)?,
            fid: row.try_get(column + 1)?,
        })
    }
}

/// A column of exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(
    row: &PgRow,
    column: usize,
    what: &'static str,
) -> Result<[u8; N], Fault> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Fault::Damaged(what))
}
pub(crate) fn id(row: &PgRow, column: usize) -> Result<InvocationId, Fault> {
    fixed(row, column, "invocation id").map(InvocationId::from_bytes)
}
/// Who had something done; none: nobody, or a row from before it was written down.
pub(crate) fn caller(row: &PgRow, column: usize) -> Result<Option<Caller>, Fault> {
    Ok(row.try_get::<Option<&str>, _>(column)?.map(Caller::new))
}
/// What is text though PostgreSQL holds it as bytes.
pub(crate) fn text(row: &PgRow, column: usize) -> Result<String, Fault> {
    String::from_utf8(row.try_get(column)?).map_err(|_| Fault::Damaged("text"))
}
/// Text that means something.
pub(crate) fn parsed<T: std::str::FromStr>(
    row: &PgRow,
    column: usize,
    what: &'static str,
) -> Result<T, Fault> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| Fault::Damaged(what))
}

/// As [`parsed`], of what may be missing.
pub(crate) fn optional<T: std::str::FromStr>(
    row: &PgRow,
    column: usize,
    what: &'static str,
) -> Result<Option<T>, Fault> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|t| t.parse().map_err(|_| Fault::Damaged(what)))
        .transpose()
}

/// Text that people send: PostgreSQL's holds every character but one.
pub(crate) fn sent(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
/// A function's name from two neighbouring columns.
pub(crate) fn key(row: &PgRow, column: usize) -> Result<FunctionKey, Fault> {
    let damaged = |_| Fault::Damaged("name");
    let (project, function): (&str, &str) = (row.try_get(column)?, row.try_get(column + 1)?);
    Ok(FunctionKey::new(
        project.parse().map_err(damaged)?,
        function.parse().map_err(damaged)?,
    ))
}

/// A function that exists, and goes on existing until this transaction has ended.
pub(crate) async fn find(conn: &mut PgConnection, key: &FunctionKey) -> Result<Option<Place>, Fault> {
    let row = sqlx::query(
        "SELECT f.pid, f.fid FROM function f JOIN project p ON p.pid = f.pid WHERE p.name = $1 AND f.name = $2 \
         FOR KEY SHARE OF f",
    )
    .bind(key.project.as_ref())
    .bind(key.function.as_ref())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Place::at(&row, 0)).transpose()
}

/// A statement around the bytes that an ended invocation takes.
macro_rules! with_bytes {
    ($before:literal, $($after:tt)*) => {
        concat!(
            $before,
            "(octet_length(event) + coalesce(octet_length(result), 0) + coalesce(octet_length(detail), 0) \
             + coalesce(octet_length(recording), 0))::bigint",
            $($after)*
        )
    };
}
pub(crate) use with_bytes;
