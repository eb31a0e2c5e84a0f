//! Whose clock counts. Nodes ask and are answered in their own time; when a lease ends, whose a claim is and what is due is
//! written and compared in the database's, which they share. A node whose clock is an hour off then takes nothing from
//! others, and keeps nothing from them.

use crate::error::Fault;
use neofn_types::UnixMillis;
use sqlx::postgres::PgConnection;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whose clock says what time it is for leases, claims and what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeOf {
    /// The database's.
    #[default]
    Database,
    /// The asker's: for tests that make their own time.
    Asker,
}

impl TimeOf {
    /// What connections are told.
    pub(crate) fn setting(self) -> (&'static str, &'static str) {
        let value = match self {
            Self::Database => "database",
            Self::Asker => "asker",
        };
        ("neofn.time", value)
    }
}

/// SQL: what time it is when the asker says that it is `$asked`, in milliseconds.
macro_rules! now {
    ($asked:literal) => {
        concat!(
            "(CASE current_setting('neofn.time', true) WHEN 'asker' THEN ",
            $asked,
            "::bigint ELSE (extract(epoch FROM clock_timestamp()) * 1000)::bigint END)"
        )
    };
}
pub(crate) use now;

/// What time it is when the asker says that it is `now`.
pub(crate) async fn of(conn: &mut PgConnection, now: UnixMillis) -> Result<UnixMillis, Fault> {
    let at: i64 = sqlx::query_scalar(concat!("SELECT ", now!("$1")))
        .bind(now.0)
        .fetch_one(conn)
        .await?;
    Ok(UnixMillis(at))
}

/// How far that is ahead of the asker's clock.
pub(crate) async fn ahead(conn: &mut PgConnection, now: UnixMillis) -> Result<i64, Fault> {
    Ok(of(conn, now).await?.0.saturating_sub(now.0))
}

/// How far a node's clock may be off before it is said.
const SKEW_MAX_MS: i64 = 2_000;

/// Whether this node's clock was off when it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Skew(AtomicBool);

impl Skew {
    /// Says when it begins to be off, and when it is right again.
    pub(crate) fn note(&self, database_ahead_ms: i64) {
        let off = database_ahead_ms.saturating_abs() > SKEW_MAX_MS;
        if self.0.swap(off, Ordering::AcqRel) == off {
            return;
        }
        if !off {
            return tracing::info!("this node's clock agrees with PostgreSQL's again");
        }
        let seconds = database_ahead_ms.saturating_abs() / 1_000;
        let way = if database_ahead_ms < 0 {
            "ahead of"
        } else {
            "behind"
        };
        tracing::warn!(
            "this node's clock is {seconds} s {way} PostgreSQL's; claims and leases go by PostgreSQL's, but what the node writes \
             into history and answers is wrong by as much: set its clock (NTP)"
        );
    }
}
