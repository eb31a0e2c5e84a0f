//! Who may do what: the rows. No secret ever comes here but as a hash or sealed. Knows no policy.

mod audit;
mod keys;
pub(crate) mod members;
mod ports;
pub(crate) mod sessions;

use crate::codec::fixed;
use crate::error::Fault;
use neofn_types::{ProjectName, ScriptHash};
use rusqlite::{Connection, OptionalExtension as _, Row};

fn account(row: &Row<'_>, column: usize) -> Result<ScriptHash, Fault> {
    fixed(row, column, "account").map(ScriptHash)
}

fn text<T: std::str::FromStr>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, Fault> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Fault::Damaged(what))
}

fn project_id(conn: &Connection, project: &ProjectName) -> Result<Option<i64>, Fault> {
    Ok(conn
        .prepare_cached("SELECT pid FROM project WHERE name = ?1 AND ended_at IS NULL")?
        .query_row([project.as_ref()], |row| row.get(0))
        .optional()?)
}
