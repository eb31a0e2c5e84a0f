//! Who is to be told how an invocation ended.

use crate::admit::Answer;
use crate::error::Fault;
use crate::rows::{Place, find, id};
use crate::time::now;
use neofn_engine::port::{Promise, StoreError};
use neofn_rows::LIVE;
use neofn_types::{FunctionKey, InvocationId, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::time::Duration;

pub(crate) async fn promise(
    conn: &mut PgConnection,
    key: &FunctionKey,
    id: InvocationId,
    token: &str,
) -> Answer<()> {
    let Some(place) = find(conn, key).await? else {
        return Ok(Err(StoreError::NotFound));
    };
    // who ends the invocation has its row, and marks promises in a later statement: either we wait and see the end, or he
    // waits and sees the promise. Of one whose history is gone already there is no end to wait for.
    sqlx::query(
        "WITH i AS (SELECT status FROM invocation WHERE pid = $1 AND fid = $2 AND id = $3 FOR SHARE) \
         INSERT INTO promise (pid, fid, id, token, ended) SELECT $1, $2, $3, $4, coalesce((SELECT status <> $5 FROM i), true) \
         ON CONFLICT (pid, fid, id, token) DO UPDATE SET again = promise.again + 1 WHERE promise.claimed_until > 0",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(id.as_bytes().as_slice())
    .bind(token)
    .bind(LIVE)
    .execute(conn)
    .await?;
    Ok(Ok(()))
}

/// Claims what is due past what other nodes are claiming, until the lease has ended. One statement.
pub(crate) async fn due(
    conn: &mut PgConnection,
    now: UnixMillis,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Promise>, Fault> {
    let rows = sqlx::query(concat!(
        "WITH c AS (SELECT ",
        now!("$1"),
        " AS now), due AS (SELECT p.pid, p.fid, p.id, p.token, c.now FROM promise p CROSS JOIN c \
         WHERE p.ended AND p.claimed_until <= c.now LIMIT $3 FOR UPDATE OF p SKIP LOCKED) \
         UPDATE promise p SET claimed_until = due.now + $2 FROM due \
         WHERE p.pid = due.pid AND p.fid = due.fid AND p.id = due.id AND p.token = due.token RETURNING p.id, p.token, p.again"
    ))
    .bind(now.0)
    .bind(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Promise {
                id: id(row, 0)?,
                token: row.try_get(1)?,
                again: u32::try_from(row.try_get::<i64, _>(2)?)
                    .map_err(|_| Fault::Damaged("how often an end was asked for"))?,
            })
        })
        .collect()
}

pub(crate) async fn kept(conn: &mut PgConnection, promises: &[Promise]) -> Result<(), Fault> {
    let (ids, tokens) = columns(promises);
    let again: Vec<i64> = promises.iter().map(|p| i64::from(p.again)).collect();
    // another node may have told the same ones after our claim had ended; in one order, so that two wait and never deadlock
    sqlx::query(
        "WITH told AS (SELECT p.pid, p.fid, p.id, p.token, p.again = n.again AS last FROM promise p \
         JOIN unnest($1::bytea[], $2::text[], $3::bigint[]) AS n(id, token, again) ON p.id = n.id AND p.token = n.token \
         WHERE p.ended ORDER BY p.id, p.token FOR UPDATE OF p), \
         gone AS (DELETE FROM promise WHERE (pid, fid, id, token) IN (SELECT pid, fid, id, token FROM told WHERE last)) \
         UPDATE promise SET claimed_until = 0 WHERE (pid, fid, id, token) IN (SELECT pid, fid, id, token FROM told WHERE NOT last)",
    )
    .bind(ids)
    .bind(tokens)
    .bind(again)
    .execute(conn)
    .await?;
    Ok(())
}

/// They were not kept, and are due again.
pub(crate) async fn not_kept(conn: &mut PgConnection, promises: &[Promise]) -> Result<(), Fault> {
    let (ids, tokens) = columns(promises);
    sqlx::query(
        "UPDATE promise SET claimed_until = 0 WHERE (pid, fid, id, token) IN (SELECT p.pid, p.fid, p.id, p.token \
         FROM promise p JOIN unnest($1::bytea[], $2::text[]) AS n(id, token) ON p.id = n.id AND p.token = n.token \
         WHERE p.ended ORDER BY p.id, p.token FOR UPDATE OF p)",
    )
    .bind(ids)
    .bind(tokens)
    .execute(conn)
    .await?;
    Ok(())
}

fn columns(promises: &[Promise]) -> (Vec<&[u8]>, Vec<&str>) {
    promises
        .iter()
        .map(|p| (p.id.as_bytes().as_slice(), p.token.as_str()))
        .unzip()
}

/// In the transaction that ends the invocations, after the statement that writes their ends.
pub(crate) async fn ended(
    conn: &mut PgConnection,
    pids: &[i64],
    fids: &[i64],
    ids: &[&[u8]],
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE promise p SET ended = true FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS n(pid, fid, id) \
         WHERE p.pid = n.pid AND p.fid = n.fid AND p.id = n.id",
    )
    .bind(pids)
    .bind(fids)
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing of a deleted function will end any more.
pub(crate) async fn ended_all(conn: &mut PgConnection, place: Place) -> Result<(), Fault> {
    sqlx::query("UPDATE promise SET ended = true WHERE pid = $1 AND fid = $2")
        .bind(place.pid)
        .bind(place.fid)
        .execute(conn)
        .await?;
    Ok(())
}
