//! Who does what only one node may do at a time.

use crate::error::Fault;
use crate::time;
use neofn_engine::port::Lease;
use neofn_rows::nat;
use neofn_types::{Fence, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// Takes or renews a lease that is free, has ended, or is the holder's own; answers whose it is.
pub(crate) async fn take(
    conn: &mut PgConnection,
    name: &str,
    holder: &str,
    now: UnixMillis,
    until: UnixMillis,
) -> Result<Lease, Fault> {
    let ahead = time::ahead(conn, now).await?;
    sqlx::query(
        "INSERT INTO lease AS l VALUES ($1, $2, 1, $4) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
         fence = l.fence + CASE WHEN l.holder = excluded.holder AND l.until > $3 THEN 0 ELSE 1 END, \
         until = excluded.until WHERE l.holder = excluded.holder OR l.until <= $3",
    )
    .bind(name)
    .bind(holder)
    .bind(now.0.saturating_add(ahead))
    .bind(until.0.saturating_add(ahead))
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("SELECT holder, fence, until FROM lease WHERE name = $1")
        .bind(name)
        .fetch_one(conn)
        .await?;
    Ok(Lease {
        holder: row.try_get(0)?,
        fence: Fence(nat(row.try_get(1)?)),
        until: UnixMillis(row.try_get::<i64, _>(2)?.saturating_sub(ahead)),
    })
}

/// Gives a lease back; nothing happens when it is another's by now.
pub(crate) async fn give(conn: &mut PgConnection, name: &str, holder: &str) -> Result<(), Fault> {
    sqlx::query("UPDATE lease SET until = 0 WHERE name = $1 AND holder = $2")
        .bind(name)
        .bind(holder)
        .execute(conn)
        .await?;
    Ok(())
}

/// Those that hold, by name.
pub(crate) async fn all(conn: &mut PgConnection, now: UnixMillis) -> Result<Vec<(String, Lease)>, Fault> {
    let ahead = time::ahead(conn, now).await?;
    let rows = sqlx::query("SELECT name, holder, fence, until FROM lease WHERE until > $1 ORDER BY name")
        .bind(now.0.saturating_add(ahead))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let lease = Lease {
                holder: row.try_get(1)?,
                fence: Fence(nat(row.try_get(2)?)),
                until: UnixMillis(row.try_get::<i64, _>(3)?.saturating_sub(ahead)),
            };
            Ok((row.try_get(0)?, lease))
        })
        .collect()
}

/// Deleted by one statement: a lease that is renewed meanwhile is looked at again, and stays.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    prefix: &str,
    now: UnixMillis,
    age: Duration,
) -> Result<u64, Fault> {
    let before = time::of(conn, now).await?.minus(age);
    let gone = sqlx::query("DELETE FROM lease WHERE starts_with(name, $1) AND until < $2")
        .bind(prefix)
        .bind(before.0)
        .execute(conn)
        .await?;
    Ok(gone.rows_affected())
}
