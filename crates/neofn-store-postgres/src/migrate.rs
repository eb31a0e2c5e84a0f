//! Forward-only migrations: numbered files, applied in one transaction by one node while others wait.

use crate::conn::Pool;
use crate::error::Fault;
use neofn_types::{Code, Error};
use sqlx::postgres::PgConnection;
use std::time::Duration;

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
    include_str!("../migrations/0014_promise_again.sql"),
    include_str!("../migrations/0015_reply_doer.sql"),
    include_str!("../migrations/0016_schedule.sql"),
];

/// Texts of functions and their callers are Unicode.
const ENCODING: &str = "UTF8";

/// All of them together, on tables that have grown.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// Any number that others are unlikely to choose: "neofn" in ASCII.
const LOCK: i64 = 0x6e_65_6f_66_6e;

/// Brings the database up to this binary, or refuses one that is ahead of it, or cannot hold every text.
pub(crate) async fn run(pool: &Pool) -> Result<(), Error> {
    let (database, encoding) = crate::conn::read!(pool, |conn| encoding(conn))?;
    if encoding != ENCODING {
        return Err(other_encoding(&database, &encoding));
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let patient = pool.patient(TIME_MAX);
    let found: i64 = crate::conn::transact!(patient, |conn| apply(conn))?;
    if found > known {
        return Err(Error::new(
            Code::DataTooNew,
            format!("the database has layout {found}; this neofn knows layouts up to {known}"),
        ));
    }
    Ok(())
}

/// The name of the database and its encoding.
async fn encoding(conn: &mut PgConnection) -> Result<(String, String), Fault> {
    let sql = "SELECT current_database()::text, current_setting('server_encoding')";
    Ok(sqlx::query_as(sql).fetch_one(conn).await?)
}

/// In LATIN1 most characters cannot be stored, so an event or a log line would fail on its way in; SQL_ASCII stores any bytes, and
/// what counts or cuts characters there counts bytes.
fn other_encoding(database: &str, encoding: &str) -> Error {
    let message = format!("the database {database} has the encoding {encoding}; neofn needs {ENCODING}");
    Error::new(Code::ConfigInvalid, message).hint(
        "The encoding of a database stays as it was made. Make another one, `createdb --encoding UTF8 --template template0 \
         --owner ROLE NAME`, and name it in `[postgres] url`; what this one holds gets there by pg_dump and pg_restore.",
    )
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
