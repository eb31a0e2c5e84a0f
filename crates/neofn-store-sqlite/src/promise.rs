//! Who is to be told how an invocation ended.

use crate::codec::{LIVE, id};
use crate::error::Fault;
use crate::invocations::Answer;
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::{Promise, StoreError};
use neofn_types::{FunctionKey, InvocationId};
use rusqlite::{Connection, params};

pub(crate) fn promise(work: &mut Work<'_>, key: &FunctionKey, id: InvocationId, token: &str) -> Answer<()> {
    let Some(place) = work.memory.find(work.conn, key)? else {
        return Ok(Err(StoreError::NotFound));
    };
    // of one whose history is gone already there is no end to wait for
    work.conn
        .prepare_cached(
            "INSERT INTO promise VALUES (?1, ?2, ?3, ?4, ifnull((SELECT status <> ?5 FROM invocation \
             WHERE pid = ?1 AND fid = ?2 AND id = ?3), 1)) ON CONFLICT DO NOTHING",
        )?
        .execute(params![place.pid, place.fid, id.as_bytes(), token, LIVE])?;
    Ok(Ok(()))
}

pub(crate) fn due(conn: &Connection, limit: u32) -> Result<Vec<Promise>, Fault> {
    let mut statement = conn.prepare_cached("SELECT id, token FROM promise WHERE ended = 1 LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(Promise {
            id: id(row, 0)?,
            token: row.get(1)?,
        });
    }
    Ok(due)
}

pub(crate) fn kept(conn: &Connection, promises: &[Promise]) -> Result<(), Fault> {
    let mut statement =
        conn.prepare_cached("DELETE FROM promise WHERE id = ?1 AND token = ?2 AND ended = 1")?;
    for promise in promises {
        statement.execute(params![promise.id.as_bytes(), promise.token])?;
    }
    Ok(())
}

/// In the transaction that ends the invocation.
pub(crate) fn ended(conn: &Connection, place: Place, id: InvocationId) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE promise SET ended = 1 WHERE pid = ?1 AND fid = ?2 AND id = ?3")?
        .execute(params![place.pid, place.fid, id.as_bytes()])?;
    Ok(())
}

/// Nothing of a deleted function will end any more.
pub(crate) fn ended_all(conn: &Connection, place: Place) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE promise SET ended = 1 WHERE pid = ?1 AND fid = ?2")?
        .execute(params![place.pid, place.fid])?;
    Ok(())
}
