//! Who is to be told how an invocation ended.

use crate::codec::{LIVE, id};
use crate::error::Fault;
use crate::invocations::Answer;
use crate::memory::Place;
use crate::open::Store;
use crate::writer::Work;
use async_trait::async_trait;
use neofn_engine::port::{Promise, PromiseStore, StoreError};
use neofn_types::{FunctionKey, InvocationId, UnixMillis};
use rusqlite::{Connection, params};
use std::time::Duration;

#[async_trait]
impl PromiseStore for Store {
    async fn promise(&self, key: &FunctionKey, id: InvocationId, token: &str) -> Result<(), StoreError> {
        let (key, token) = (key.clone(), token.to_owned());
        self.queue
            .call(0, move |work| promise(work, &key, id, &token))
            .await?
    }
    async fn due_promises(
        &self,
        now: UnixMillis,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Promise>, StoreError> {
        if !self.read_after(move |conn| any_due(conn, now)).await? {
            return Ok(Vec::new());
        }
        Ok(self
            .queue
            .call(0, move |work| due(work.conn, now, lease, limit))
            .await?)
    }
    async fn not_kept(&self, promises: &[Promise]) -> Result<(), StoreError> {
        let promises = promises.to_vec();
        Ok(self
            .queue
            .call(0, move |work| not_kept(work.conn, &promises))
            .await?)
    }
    async fn kept(&self, promises: &[Promise]) -> Result<(), StoreError> {
        let promises = promises.to_vec();
        Ok(self.queue.call(0, move |work| kept(work.conn, &promises)).await?)
    }
}

fn promise(work: &mut Work<'_>, key: &FunctionKey, id: InvocationId, token: &str) -> Answer<()> {
    let Some(place) = work.memory.find(work.conn, key)? else {
        return Ok(Err(StoreError::NotFound));
    };
    // of one whose history is gone already there is no end to wait for
    work.conn
        .prepare_cached(
            "INSERT INTO promise (pid, fid, id, token, ended) VALUES (?1, ?2, ?3, ?4, ifnull((SELECT status <> ?5 FROM invocation \
             WHERE pid = ?1 AND fid = ?2 AND id = ?3), 1)) ON CONFLICT DO UPDATE SET again = again + 1 WHERE claimed_until > 0",
        )?
        .execute(params![place.pid, place.fid, id.as_bytes(), token, LIVE])?;
    Ok(Ok(()))
}

/// Whether there is anything to claim: most ends are nobody's promise, and a look costs the writer nothing.
fn any_due(conn: &Connection, now: UnixMillis) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM promise WHERE ended = 1 AND claimed_until <= ?1")?
        .exists([now.0])?)
}

/// Claims what is due, until the lease has ended.
fn due(conn: &Connection, now: UnixMillis, lease: Duration, limit: u32) -> Result<Vec<Promise>, Fault> {
    let mut due = Vec::new();
    {
        let mut statement = conn.prepare_cached(
            "SELECT id, token, again FROM promise WHERE ended = 1 AND claimed_until <= ?1 LIMIT ?2",
        )?;
        let mut rows = statement.query(params![now.0, limit])?;
        while let Some(row) = rows.next()? {
            due.push(Promise {
                id: id(row, 0)?,
                token: row.get(1)?,
                again: row.get(2)?,
            });
        }
    }
    claim(conn, &due, now.plus(lease))?;
    Ok(due)
}

/// They were not kept, and are due again.
fn not_kept(conn: &Connection, promises: &[Promise]) -> Result<(), Fault> {
    claim(conn, promises, UnixMillis(0))
}

fn claim(conn: &Connection, promises: &[Promise], until: UnixMillis) -> Result<(), Fault> {
    let mut statement = conn
        .prepare_cached("UPDATE promise SET claimed_until = ?3 WHERE id = ?1 AND token = ?2 AND ended = 1")?;
    for promise in promises {
        statement.execute(params![promise.id.as_bytes(), promise.token, until.0])?;
    }
    Ok(())
}

/// Whoever had claimed them is gone.
pub(crate) fn end_all(conn: &Connection) -> Result<(), Fault> {
    conn.execute("UPDATE promise SET claimed_until = 0 WHERE claimed_until > 0", [])?;
    Ok(())
}

fn kept(conn: &Connection, promises: &[Promise]) -> Result<(), Fault> {
    let mut statement =
        conn.prepare_cached("DELETE FROM promise WHERE id = ?1 AND token = ?2 AND ended = 1 AND again = ?3")?;
    let mut left = Vec::new();
    for promise in promises {
        if statement.execute(params![promise.id.as_bytes(), promise.token, promise.again])? == 0 {
            left.push(promise.clone());
        }
    }
    not_kept(conn, &left)
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
