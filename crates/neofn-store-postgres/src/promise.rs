//! Who is to be told how an invocation ended.

use crate::admit::Answer;
use crate::error::Fault;
use crate::rows::{Place, find, id};
use neofn_engine::port::{Promise, StoreError};
use neofn_rows::LIVE;
use neofn_types::{FunctionKey, InvocationId};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

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
         INSERT INTO promise SELECT $1, $2, $3, $4, coalesce((SELECT status <> $5 FROM i), true) ON CONFLICT DO NOTHING",
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

pub(crate) async fn due(conn: &mut PgConnection, limit: u32) -> Result<Vec<Promise>, Fault> {
    let rows = sqlx::query("SELECT id, token FROM promise WHERE ended LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Promise {
                id: id(row, 0)?,
                token: row.try_get(1)?,
            })
        })
        .collect()
}

pub(crate) async fn kept(conn: &mut PgConnection, promises: &[Promise]) -> Result<(), Fault> {
    let ids: Vec<&[u8]> = promises.iter().map(|p| p.id.as_bytes().as_slice()).collect();
    let tokens: Vec<&str> = promises.iter().map(|p| p.token.as_str()).collect();
    // another node may have told the same ones; in one order, so that two wait and never deadlock
    sqlx::query(
        "DELETE FROM promise WHERE (pid, fid, id, token) IN (SELECT p.pid, p.fid, p.id, p.token FROM promise p \
         JOIN unnest($1::bytea[], $2::text[]) AS n(id, token) ON p.id = n.id AND p.token = n.token \
         WHERE p.ended ORDER BY p.id, p.token FOR UPDATE OF p)",
    )
    .bind(ids)
    .bind(tokens)
    .execute(conn)
    .await?;
    Ok(())
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
