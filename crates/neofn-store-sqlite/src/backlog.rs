//! What each function has in the queue, for people who look.

use crate::codec::{key, nat};
use crate::error::Fault;
use neofn_engine::port::Backlog;
use neofn_types::UnixMillis;
use rusqlite::{Connection, Row, params};

pub(crate) fn read(conn: &Connection, now: UnixMillis, limit: u32) -> Result<Vec<Backlog>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT p.name, f.name, sum(q.state = 0 AND q.run_at <= ?1), sum(q.state = 0 AND q.run_at > ?1), \
         sum(q.state = 1), min(CASE WHEN q.state = 0 AND q.run_at <= ?1 THEN q.run_at END) AS oldest \
         FROM queue q JOIN function f ON f.pid = q.pid AND f.fid = q.fid JOIN project p ON p.pid = q.pid \
         GROUP BY q.pid, q.fid ORDER BY oldest IS NULL, oldest, p.name, f.name LIMIT ?2",
    )?;
    let mut rows = statement.query(params![now.0, limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(one(row)?);
    }
    Ok(all)
}

fn one(row: &Row<'_>) -> Result<Backlog, Fault> {
    Ok(Backlog {
        key: key(row, 0)?,
        waiting: nat(row.get(2)?),
        later: nat(row.get(3)?),
        running: nat(row.get(4)?),
        oldest: row.get::<_, Option<i64>>(5)?.map(UnixMillis),
    })
}
