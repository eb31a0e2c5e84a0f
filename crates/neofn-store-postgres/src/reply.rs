//! Answers to requests that named themselves. Until when one is being done is in the database's time.

use crate::error::Fault;
use crate::time;
use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply};
use neofn_types::UnixMillis;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// Forgotten at a time.
const FORGOTTEN_MAX: i64 = 100;

pub(crate) async fn begin(
    conn: &mut PgConnection,
    named: NamedRequest,
    now: UnixMillis,
    until: UnixMillis,
    kept_since: UnixMillis,
) -> Result<Begun, Fault> {
    let ahead = time::ahead(conn, now).await?;
    // another node may be forgetting the same ones
    sqlx::query(
        "DELETE FROM reply WHERE name IN (SELECT name FROM reply WHERE begun_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(kept_since.0.saturating_add(ahead))
    .bind(FORGOTTEN_MAX)
    .execute(&mut *conn)
    .await?;
    let taken = sqlx::query(
        "INSERT INTO reply AS r (name, request, begun_at, until, doer) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name) DO UPDATE SET until = excluded.until, doer = excluded.doer \
         WHERE r.status IS NULL AND r.request = excluded.request AND (r.until <= $3 OR r.doer = excluded.doer)",
    )
    .bind(&named.name.0[..])
    .bind(&named.request.0[..])
    .bind(now.0.saturating_add(ahead))
    .bind(until.0.saturating_add(ahead))
    .bind(&named.doer[..])
    .execute(&mut *conn)
    .await?;
    if taken.rows_affected() > 0 {
        return Ok(Begun::Fresh);
    }
    let row = sqlx::query("SELECT request, status, body FROM reply WHERE name = $1")
        .bind(&named.name.0[..])
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else {
        return Ok(Begun::Running);
    };
    let request: Vec<u8> = row.try_get(0)?;
    let status: Option<i32> = row.try_get(1)?;
    let body: Option<Vec<u8>> = row.try_get(2)?;
    Ok(match (status.and_then(|n| u16::try_from(n).ok()), body) {
        _ if request != named.request.0 => Begun::Other,
        (Some(status), Some(body)) => Begun::Done(Reply {
            status,
            body: Bytes::from(body),
        }),
        _ => Begun::Running,
    })
}

pub(crate) async fn end(
    conn: &mut PgConnection,
    named: NamedRequest,
    reply: Option<&Reply>,
) -> Result<(), Fault> {
    match reply {
        // done is done, whoever did it
        Some(reply) => {
            sqlx::query(
                "UPDATE reply SET status = $3, body = $4 WHERE name = $1 AND request = $2 AND status IS NULL",
            )
            .bind(&named.name.0[..])
            .bind(&named.request.0[..])
            .bind(i32::from(reply.status))
            .bind(&reply.body[..])
            .execute(conn)
            .await?
        }
        None => {
            sqlx::query("DELETE FROM reply WHERE name = $1 AND doer = $2 AND status IS NULL")
                .bind(&named.name.0[..])
                .bind(&named.doer[..])
                .execute(conn)
                .await?
        }
    };
    Ok(())
}
