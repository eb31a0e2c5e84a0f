//! The key-value namespace of a project: writes that commit with a result, and reads.
//!
//! All writes of an invocation are worked out against the namespace first; only when every expectation and the
//! quota hold is anything written.

use crate::codec::{int, nat};
use crate::error::Fault;
use crate::invocations::Answer;
use crate::writer::Work;
use neofn_engine::port::{Finish, KvEntry, StoreError};
use neofn_rows::kv::{Keys, Touched, exceeds, key_of, less, live, measure, rewritten, size};
use neofn_types::{ProjectName, UnixMillis};
use rusqlite::{Connection, Row, params};

/// Applies the writes of an ended attempt, or says why not; then nothing was written.
pub(crate) fn commit(work: &mut Work<'_>, pid: i64, finish: &Finish) -> Answer<()> {
    if finish.kv.is_empty() {
        return Ok(Ok(()));
    }
    let mut space = work.memory.space(work.conn, pid)?;
    let mut touched = Keys::new();
    for write in &finish.kv {
        let key = key_of(write);
        let slot = match touched.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(load(work.conn, pid, key, finish.at)?)
            }
        };
        if let Err(refusal) = slot.step(write, &mut space.revision) {
            return Ok(Err(refusal));
        }
    }
    let before = work.memory.space(work.conn, pid)?;
    let mut after = measure(space, &touched);
    if after.keys > finish.kv_quota.keys_max || after.bytes > finish.kv_quota.bytes_max {
        // entries that are gone for everybody must not count
        let swept = sweep_space(work.conn, pid, finish.at, &touched)?;
        let before = less(before, swept);
        work.memory.set_space(pid, before);
        after = less(after, swept);
        if exceeds(less(before, rewritten(&touched)), after, finish.kv_quota) {
            return Ok(Err(StoreError::KvQuota));
        }
    }
    write_all(work, pid, &touched)?;
    work.memory.set_space(pid, after);
    Ok(Ok(()))
}

fn load(conn: &Connection, pid: i64, key: &str, now: UnixMillis) -> Result<Touched, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT key, value, revision, expires_at FROM kv WHERE pid = ?1 AND key = ?2")?;
    let mut rows = statement.query(params![pid, key])?;
    Ok(Touched::load(key, rows.next()?.map(entry).transpose()?, now))
}

fn write_all(work: &Work<'_>, pid: i64, touched: &Keys<'_>) -> Result<(), Fault> {
    for (key, touched) in touched.iter().filter(|(_, t)| t.changed) {
        match &touched.now {
            Some(slot) => work
                .conn
                .prepare_cached("INSERT OR REPLACE INTO kv VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    pid,
                    key,
                    int(slot.revision),
                    slot.expires_at.map(|t| t.0),
                    &*slot.value
                ])?,
            None => work
                .conn
                .prepare_cached("DELETE FROM kv WHERE pid = ?1 AND key = ?2")?
                .execute(params![pid, key])?,
        };
    }
    Ok(())
}

/// Removes the expired entries of one namespace, but for the keys that are being written anyway; answers how
/// many keys and bytes that were.
fn sweep_space(
    conn: &Connection,
    pid: i64,
    now: UnixMillis,
    touched: &Keys<'_>,
) -> Result<(u64, u64), Fault> {
    let expired: Vec<(String, u64)> = {
        let mut statement = conn.prepare_cached(
            "SELECT key, length(value) FROM kv INDEXED BY kv_expiry \
             WHERE expires_at IS NOT NULL AND expires_at <= ?2 AND pid = ?1",
        )?;
        let rows = statement.query_map(params![pid, now.0], |r| {
            Ok((r.get::<_, String>(0)?, nat(r.get(1)?)))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let (mut keys, mut bytes) = (0, 0);
    for (key, length) in expired
        .iter()
        .filter(|(key, _)| !touched.get(key.as_str()).is_some_and(|t| t.changed))
    {
        conn.prepare_cached("DELETE FROM kv WHERE pid = ?1 AND key = ?2")?
            .execute(params![pid, key])?;
        keys += 1;
        bytes += size(key, 0) + length;
    }
    Ok((keys, bytes))
}

/// Removes expired entries of every namespace.
pub(crate) fn sweep(work: &mut Work<'_>, now: UnixMillis, limit: u32) -> Answer<u32> {
    let expired: Vec<(i64, String, u64)> = {
        let mut statement = work.conn.prepare_cached(
            "SELECT pid, key, length(value) FROM kv INDEXED BY kv_expiry \
             WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        )?;
        let rows = statement.query_map(params![now.0, limit], |r| {
            Ok((r.get(0)?, r.get(1)?, nat(r.get(2)?)))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    for (pid, key, length) in &expired {
        let mut space = work.memory.space(work.conn, *pid)?;
        work.conn
            .prepare_cached("DELETE FROM kv WHERE pid = ?1 AND key = ?2")?
            .execute(params![pid, key])?;
        space.keys = space.keys.saturating_sub(1);
        space.bytes = space.bytes.saturating_sub(size(key, 0) + length);
        work.memory.set_space(*pid, space);
    }
    Ok(Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX)))
}

fn entry(row: &Row<'_>) -> Result<KvEntry, Fault> {
    Ok(KvEntry {
        key: row.get(0)?,
        value: row.get::<_, Vec<u8>>(1)?.into(),
        revision: nat(row.get(2)?),
        expires_at: row.get::<_, Option<i64>>(3)?.map(UnixMillis),
    })
}

pub(crate) fn get(
    conn: &Connection,
    project: &ProjectName,
    key: &str,
    now: UnixMillis,
) -> Result<Option<KvEntry>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT key, value, revision, expires_at FROM kv \
         WHERE pid = (SELECT pid FROM project WHERE name = ?1) AND key = ?2",
    )?;
    let mut rows = statement.query(params![project.as_ref(), key])?;
    let found = rows.next()?.map(entry).transpose()?;
    Ok(found.filter(|entry| live(entry, now)))
}

macro_rules! page {
    ($from:literal) => {
        concat!(
            "SELECT key, value, revision, expires_at FROM kv \
             WHERE pid = (SELECT pid FROM project WHERE name = ?1) \
             AND (expires_at IS NULL OR expires_at > ?3) AND key ",
            $from,
            " ?2 ORDER BY key LIMIT ?4"
        )
    };
}

pub(crate) fn list(
    conn: &Connection,
    project: &ProjectName,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
    now: UnixMillis,
) -> Result<Vec<KvEntry>, Fault> {
    // keys with a prefix lie side by side in byte order, so the first one without it ends the walk
    let (from, sql) = match after {
        Some(after) if after >= prefix => (after, page!(">")),
        _ => (prefix, page!(">=")),
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![project.as_ref(), from, now.0, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        if !entry.key.starts_with(prefix) {
            break;
        }
        found.push(entry);
    }
    Ok(found)
}
