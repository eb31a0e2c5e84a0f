//! Answers to requests that named themselves.

use crate::error::Fault;
use crate::open::Store;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply, ReplyStore, StoreError};
use neofn_types::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _, params};

/// The request, and the answer's status and body.
type Row = ([u8; 32], Option<u16>, Option<Vec<u8>>);

/// Forgotten at a time: a flood of old ones does not hold up the writer.
const FORGOTTEN_MAX: i64 = 100;

#[async_trait]
impl ReplyStore for Store {
    async fn begin_reply(
        &self,
        named: NamedRequest,
        now: UnixMillis,
        until: UnixMillis,
        kept_since: UnixMillis,
    ) -> Result<Begun, StoreError> {
        Ok(self
            .queue
            .call(0, move |work| begin(work.conn, named, now, until, kept_since))
            .await?)
    }
    async fn end_reply(&self, named: NamedRequest, answer: Option<Reply>) -> Result<(), StoreError> {
        Ok(self
            .queue
            .call(0, move |work| end(work.conn, named, answer.as_ref()))
            .await?)
    }
}

fn begin(
    conn: &Connection,
    named: NamedRequest,
    now: UnixMillis,
    until: UnixMillis,
    kept_since: UnixMillis,
) -> Result<Begun, Fault> {
    conn.prepare_cached(
        "DELETE FROM reply WHERE name IN (SELECT name FROM reply WHERE begun_at < ?1 LIMIT ?2)",
    )?
    .execute(params![kept_since.0, FORGOTTEN_MAX])?;
    let taken = conn
        .prepare_cached(
            "INSERT INTO reply(name, request, begun_at, until, doer) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
             SET until = excluded.until, doer = excluded.doer WHERE status IS NULL AND request = excluded.request \
             AND (until <= ?3 OR doer = excluded.doer)",
        )?
        .execute(params![
            named.name.0,
            named.request.0,
            now.0,
            until.0,
            named.doer
        ])?;
    if taken > 0 {
        return Ok(Begun::Fresh);
    }
    let row: Option<Row> = conn
        .prepare_cached("SELECT request, status, body FROM reply WHERE name = ?1")?
        .query_row([named.name.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(match row {
        Some((request, _, _)) if request != named.request.0 => Begun::Other,
        Some((_, Some(status), Some(body))) => Begun::Done(Reply {
            status,
            body: Bytes::from(body),
        }),
        _ => Begun::Running,
    })
}

fn end(conn: &Connection, named: NamedRequest, reply: Option<&Reply>) -> Result<(), Fault> {
    match reply {
        // done is done, whoever did it
        Some(reply) => conn
            .prepare_cached(
                "UPDATE reply SET status = ?3, body = ?4 WHERE name = ?1 AND request = ?2 AND status IS NULL",
            )?
            .execute(params![
                named.name.0,
                named.request.0,
                reply.status,
                &reply.body[..]
            ])?,
        None => conn
            .prepare_cached("DELETE FROM reply WHERE name = ?1 AND doer = ?2 AND status IS NULL")?
            .execute(params![named.name.0, named.doer])?,
    };
    Ok(())
}

/// What an earlier process was doing when it died may be done again at once.
pub(crate) fn end_all(conn: &Connection) -> Result<(), Fault> {
    conn.execute("UPDATE reply SET until = 0 WHERE status IS NULL", [])?;
    Ok(())
}
