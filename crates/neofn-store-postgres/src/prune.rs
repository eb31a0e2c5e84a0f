//! What goes away: ended invocations past the retention, idempotency keys past theirs, and the rows of deleted
//! functions. Always a bounded number in one transaction, by one node at a time.

use crate::batch::Counts;
use crate::error::Fault;
use crate::rows::{Place, with_bytes};
use crate::time;
use neofn_engine::port::Retention;
use neofn_rows::nat;
use neofn_types::UnixMillis;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// Rows of a deleted function removed in one transaction.
const BURY_MAX: i64 = 1_000;
/// "neofn" and "p".
const LOCK: i64 = 0x6e65_6f66_6e70;

/// An answer to an idempotency key stays as long as its key.
macro_rules! unneeded {
    () => {
        "status >= 2 AND (idem IS NULL OR NOT EXISTS (SELECT 1 FROM idempotency k \
         WHERE k.pid = invocation.pid AND k.fid = invocation.fid AND k.key = invocation.idem \
         AND k.id = invocation.id))"
    };
}

pub(crate) async fn prune(
    conn: &mut PgConnection,
    keep: Retention,
    now: UnixMillis,
    limit: u32,
) -> Result<u32, Fault> {
    let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *conn)
        .await?;
    if !ours {
        return Ok(0);
    }
    // a node that is years ahead would forget everything
    let now = time::of(conn, now).await?;
    let before = |age: std::time::Duration| {
        now.0
            .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    bury(conn).await?;
    let mut counts = Counts::default();
    let mut left = limit;
    left -= old_keys(conn, before(keep.idempotency), left).await?;
    left -= old_rows(conn, &mut counts, before(keep.age), left).await?;
    left -= surplus_rows(conn, &mut counts, keep.per_function, left).await?;
    let bytes: i64 = sqlx::query_scalar("SELECT coalesce(sum(bytes), 0)::bigint FROM tally")
        .fetch_one(&mut *conn)
        .await?;
    if nat(bytes) > keep.bytes {
        left -= old_rows(conn, &mut counts, i64::MAX, left).await?;
    }
    counts.write(conn).await?;
    Ok(limit - left)
}

async fn old_keys(conn: &mut PgConnection, before: i64, limit: u32) -> Result<u32, Fault> {
    let gone = sqlx::query(
        "DELETE FROM idempotency k USING (SELECT pid, fid, key FROM idempotency WHERE created_at < $1 \
         ORDER BY created_at LIMIT $2) AS old WHERE k.pid = old.pid AND k.fid = old.fid AND k.key = old.key",
    )
    .bind(before)
    .bind(i64::from(limit))
    .execute(conn)
    .await?;
    Ok(u32::try_from(gone.rows_affected()).unwrap_or(u32::MAX))
}

/// Ids begin with the time of admission, so the index on them finds what is old without a further one.
async fn old_rows(
    conn: &mut PgConnection,
    counts: &mut Counts,
    before: i64,
    limit: u32,
) -> Result<u32, Fault> {
    let top = neofn_rows::first_id_at(UnixMillis(before));
    let rows = sqlx::query(with_bytes!(
        "DELETE FROM invocation i USING (SELECT pid AS dpid, fid AS dfid, id AS did, ",
        concat!(
            " AS bytes FROM invocation WHERE id < $1 AND finished_at < $2 AND ",
            unneeded!(),
            " ORDER BY id LIMIT $3) AS doomed WHERE i.pid = dpid AND i.fid = dfid AND i.id = did \
             RETURNING dpid, dfid, did, bytes"
        )
    ))
    .bind(top.as_slice())
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    removed(conn, counts, &rows).await
}

async fn surplus_rows(
    conn: &mut PgConnection,
    counts: &mut Counts,
    per_function: u32,
    limit: u32,
) -> Result<u32, Fault> {
    // what this transaction removed before is written first
    counts.write(conn).await?;
    *counts = Counts::default();
    let full = sqlx::query(
        "SELECT pid, fid, sum(history)::bigint - $1 FROM tally GROUP BY pid, fid HAVING sum(history) > $1",
    )
    .bind(i64::from(per_function))
    .fetch_all(&mut *conn)
    .await?;
    let mut gone = 0;
    for row in &full {
        if gone >= limit {
            break;
        }
        let place = Place::at(row, 0)?;
        // the surplus are the oldest ended ones; those that a key still needs stay beyond the count
        let rows = sqlx::query(with_bytes!(
            "DELETE FROM invocation i USING (SELECT pid AS dpid, fid AS dfid, id AS did, ",
            concat!(
                " AS bytes FROM (SELECT * FROM invocation WHERE pid = $1 AND fid = $2 AND status >= 2 \
                 ORDER BY id LIMIT $3) AS invocation WHERE ",
                unneeded!(),
                " ORDER BY id LIMIT $4) AS doomed WHERE i.pid = dpid AND i.fid = dfid AND i.id = did \
                 RETURNING dpid, dfid, did, bytes"
            )
        ))
        .bind(place.pid)
        .bind(place.fid)
        .bind(row.try_get::<i64, _>(2)?)
        .bind(i64::from(limit - gone))
        .fetch_all(&mut *conn)
        .await?;
        gone += removed(conn, counts, &rows).await?;
    }
    Ok(gone)
}

/// Counts removed invocations, and removes what goes with them.
async fn removed(conn: &mut PgConnection, counts: &mut Counts, rows: &[PgRow]) -> Result<u32, Fault> {
    let (mut pids, mut fids, mut ids): (Vec<i64>, Vec<i64>, Vec<&[u8]>) = Default::default();
    for row in rows {
        let place = Place::at(row, 0)?;
        counts.removed(place, row.try_get(3)?);
        pids.push(place.pid);
        fids.push(place.fid);
        ids.push(row.try_get(2)?);
    }
    if !rows.is_empty() {
        sqlx::query(
            "DELETE FROM fired x USING unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS n(pid, fid, id) \
             WHERE x.pid = n.pid AND x.fid = n.fid AND x.id = n.id",
        )
        .bind(pids)
        .bind(fids)
        .bind(ids)
        .execute(conn)
        .await?;
    }
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

/// Removes some rows of one deleted function, and its tomb with the last of them.
async fn bury(conn: &mut PgConnection) -> Result<(), Fault> {
    let tomb = sqlx::query("SELECT pid, fid FROM tomb LIMIT 1 FOR UPDATE SKIP LOCKED")
        .fetch_optional(&mut *conn)
        .await?;
    let Some(tomb) = tomb else { return Ok(()) };
    let place = Place::at(&tomb, 0)?;
    let mut gone = 0;
    for sql in [
        "DELETE FROM invocation WHERE pid = $1 AND fid = $2 AND id IN \
         (SELECT id FROM invocation WHERE pid = $1 AND fid = $2 LIMIT $3)",
        "DELETE FROM idempotency WHERE pid = $1 AND fid = $2 AND key IN \
         (SELECT key FROM idempotency WHERE pid = $1 AND fid = $2 LIMIT $3)",
        "DELETE FROM fired WHERE pid = $1 AND fid = $2 AND id IN \
         (SELECT id FROM fired WHERE pid = $1 AND fid = $2 LIMIT $3)",
        "DELETE FROM delivery WHERE pid = $1 AND fid = $2 AND (name, lane, seq) IN \
         (SELECT name, lane, seq FROM delivery WHERE pid = $1 AND fid = $2 LIMIT $3)",
        "DELETE FROM version WHERE pid = $1 AND fid = $2 AND version IN \
         (SELECT version FROM version WHERE pid = $1 AND fid = $2 LIMIT $3)",
    ] {
        gone += sqlx::query(sql)
            .bind(place.pid)
            .bind(place.fid)
            .bind(BURY_MAX)
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    if gone > 0 {
        return Ok(());
    }
    for sql in [
        "DELETE FROM trigger_state WHERE pid = $1 AND fid = $2",
        "DELETE FROM tally WHERE pid = $1 AND fid = $2",
        "DELETE FROM tomb WHERE pid = $1 AND fid = $2",
    ] {
        sqlx::query(sql)
            .bind(place.pid)
            .bind(place.fid)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
