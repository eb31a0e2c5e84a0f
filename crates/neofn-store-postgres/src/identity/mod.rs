//! Who may do what: the rows. No secret ever comes here but as a hash or sealed. Knows no policy.

mod audit;
mod keys;
mod members;
mod ports;
mod sessions;

use crate::error::Fault;
use crate::rows::{fixed, optional, parsed, sent};
use neofn_types::{ProjectName, ScriptHash};
use sqlx::postgres::{PgConnection, PgRow};

fn account(row: &PgRow, column: usize) -> Result<ScriptHash, Fault> {
    fixed(row, column, "account").map(ScriptHash)
}

/// A project, whose members and keys nobody else changes until this transaction ends.
async fn hold_project(conn: &mut PgConnection, project: &ProjectName) -> Result<Option<i64>, Fault> {
    Ok(
        sqlx::query_scalar("SELECT pid FROM project WHERE name = $1 AND ended_at IS NULL FOR NO KEY UPDATE")
            .bind(project.as_ref())
            .fetch_optional(conn)
            .await?,
    )
}
