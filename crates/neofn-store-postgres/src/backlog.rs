//! What each function has in the queue, for people who look.

use crate::error::Fault;
use crate::rows::key;
use crate::time;
use neofn_engine::port::Backlog;
use neofn_rows::nat;
use neofn_types::UnixMillis;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

pub(crate) async fn read(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: u32,
) -> Result<Vec<Backlog>, Fault> {
    let ahead = time::ahead(conn, now).await?;
    let rows = sqlx::query(
        "SELECT p.name, f.name, count(*) FILTER (WHERE q.state = 0 AND q.run_at <= $1), \
         count(*) FILTER (WHERE q.state = 0 AND q.run_at > $1), count(*) FILTER (WHERE q.state = 1), \
         min(q.run_at) FILTER (WHERE q.state = 0 AND q.run_at <= $1) AS oldest \
         FROM queue q JOIN function f ON f.pid = q.pid AND f.fid = q.fid JOIN project p ON p.pid = q.pid \
         GROUP BY q.pid, q.fid, p.name, f.name ORDER BY oldest NULLS LAST, p.name, f.name LIMIT $2",
    )
    .bind(now.0.saturating_add(ahead))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let oldest: Option<i64> = row.try_get(5)?;
            Ok(Backlog {
                key: key(row, 0)?,
                waiting: nat(row.try_get(2)?),
                later: nat(row.try_get(3)?),
                running: nat(row.try_get(4)?),
                oldest: oldest.map(|at| UnixMillis(at.saturating_sub(ahead))),
            })
        })
        .collect()
}
