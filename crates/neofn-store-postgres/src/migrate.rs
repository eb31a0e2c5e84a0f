//! Forward-only migrations: numbered files, applied in one transaction by one node while others wait.

use crate::error::Fault;
use neofn_types::{Code, Error};
use sqlx::postgres::{PgConnection, PgPool};

/// In order; the layout of the database is how many of these it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_identity.sql"),
    include_str!("../migrations/0003_ledger.sql"),
    include_str!("../migrations/0004_audit.sql"),
    include_str!("../migrations/0005_keys.sql"),
    include_str!("../migrations/0006_reply.sql"),
    include_str!("../migrations/0007_promise.sql"),
    include_str!("../migrations/0008_caller.sql"),
    include_str!("../migrations/0009_credit.sql"),
    include_str!("../migrations/0010_ended_project.sql"),
    include_str!("../migrations/0011_keys_of_keys.sql"),
    include_str!("../migrations/0012_makers.sql"),
    include_str!("../migrations/0013_promise_claims.sql"),
];

/// Any number that others are unlikely to choose: "neofn" in ASCII.
const LOCK: i64 = 0x6e_65_6f_66_6e;

/// Brings the database up to this binary, or refuses one that is ahead of it.
pub(crate) async fn run(pool: &PgPool) -> Result<(), Error> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = crate::conn::transact!(pool, |conn| apply(conn))?;
    if found > known {
        return Err(Error::new(
            Code::DataTooNew,
            format!("the database has layout {found}; this neofn knows layouts up to {known}"),
        ));
    }
    Ok(())
}

/// Answers the layout before.
async fn apply(conn: &mut PgConnection) -> Result<i64, Fault> {
    // ends with the transaction, so with a node that dies too
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS neofn_migration(number bigint PRIMARY KEY, applied_at timestamptz NOT NULL)",
    )
    .execute(&mut *conn)
    .await?;
    let found: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM neofn_migration")
        .fetch_one(&mut *conn)
        .await?;
    for (number, sql) in (1_i64..).zip(MIGRATIONS) {
        if number > found {
            sqlx::raw_sql(*sql).execute(&mut *conn).await?;
            sqlx::query("INSERT INTO neofn_migration VALUES ($1, now())")
                .bind(number)
                .execute(&mut *conn)
                .await?;
        }
    }
    Ok(found)
}
