//! Forward-only migrations: numbered files, each one transaction; the number is SQLite's `user_version`.

use crate::error::Fault;
use neofn_types::{Code, Error};
use rusqlite::{Connection, TransactionBehavior};

/// In order; the version of the database is how many of these it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_chain.sql"),
    include_str!("../migrations/0003_triggers.sql"),
    include_str!("../migrations/0004_identity.sql"),
    include_str!("../migrations/0005_secrets.sql"),
    include_str!("../migrations/0006_ledger.sql"),
    include_str!("../migrations/0007_audit.sql"),
    include_str!("../migrations/0008_lease.sql"),
    include_str!("../migrations/0009_reply.sql"),
    include_str!("../migrations/0010_promise.sql"),
    include_str!("../migrations/0011_caller.sql"),
    include_str!("../migrations/0012_credit.sql"),
    include_str!("../migrations/0013_ended_project.sql"),
    include_str!("../migrations/0014_keys_of_keys.sql"),
    include_str!("../migrations/0015_makers.sql"),
    include_str!("../migrations/0016_promise_claims.sql"),
    include_str!("../migrations/0017_promise_again.sql"),
    include_str!("../migrations/0018_reply_doer.sql"),
    include_str!("../migrations/0019_schedule.sql"),
];

/// The layout of this binary's database: how many migrations there are.
#[must_use]
pub fn layout() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the database up to this binary, or refuses one that is ahead of it.
pub(crate) fn run(conn: &mut Connection) -> Result<(), Error> {
    let found: usize = version(conn)?;
    if found > MIGRATIONS.len() {
        return Err(Error::new(
            Code::DataTooNew,
            format!(
                "the database has layout {found}; this neofn knows layouts up to {}",
                MIGRATIONS.len()
            ),
        ));
    }
    for (n, sql) in MIGRATIONS.iter().enumerate().skip(found) {
        apply(conn, n + 1, sql)?;
    }
    Ok(())
}

fn version(conn: &Connection) -> Result<usize, Fault> {
    let v: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    usize::try_from(v).map_err(|_| Fault::Damaged("layout number"))
}

fn apply(conn: &mut Connection, number: usize, sql: &str) -> Result<(), Fault> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(sql)?;
    // a pragma takes no parameters; the number is ours
    tx.execute_batch(&format!("PRAGMA user_version = {number}"))?;
    tx.commit()?;
    Ok(())
}
