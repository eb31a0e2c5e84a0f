//! The key-value namespace of a project: writes that commit with a result, and reads.
//!
//! All writes of an invocation are worked out against the namespace first; only when every expectation and the
//! quota hold is anything written.

use crate::codec::{int, nat};
use crate::error::Fault;
use crate::invocations::Answer;
use crate::memory::Space;
use crate::writer::Work;
use bytes::Bytes;
use neofn_engine::port::{COUNTER_MAX, Finish, KvEntry, KvExpect, KvQuota, KvWrite, StoreError};
use neofn_types::{ProjectName, UnixMillis};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// What a key holds, or will hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    value: Bytes,
    revision: u64,
    expires_at: Option<UnixMillis>,
}

/// A key that the writes touch: the row as it is on disk, expired or not, and what is to become of it.
#[derive(Debug)]
struct Touched {
    stored_bytes: Option<u64>,
    expired: bool,
    now: Option<Slot>,
    changed: bool,
}

/// Applies the writes of an ended attempt, or says why not; then nothing was written.
pub(crate) fn commit(work: &mut Work<'_>, pid: i64, finish: &Finish) -> Answer<()> {
    if finish.kv.is_empty() {
        return Ok(Ok(()));
    }
    let mut space = work.memory.space(work.conn, pid)?;
    let mut touched: BTreeMap<&str, Touched> = BTreeMap::new();
    for write in &finish.kv {
        let (KvWrite::Put { key, .. } | KvWrite::Delete { key, .. } | KvWrite::Add { key, .. }) = write;
        let slot = match touched.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(load(work.conn, pid, key, finish.at)?)
            }
        };
        if let Err(refusal) = step(slot, write, &mut space.revision) {
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
    let Some(entry) = rows.next()?.map(entry).transpose()? else {
        return Ok(Touched {
            stored_bytes: None,
            expired: false,
            now: None,
            changed: false,
        });
    };
    Ok(Touched {
        stored_bytes: Some(size(key, &entry.value)),
        expired: !live(&entry, now),
        now: live(&entry, now).then_some(Slot {
            value: entry.value,
            revision: entry.revision,
            expires_at: entry.expires_at,
        }),
        changed: false,
    })
}

/// One write on one key.
fn step(touched: &mut Touched, write: &KvWrite, revision: &mut u64) -> Result<(), StoreError> {
    let next = match write {
        KvWrite::Put {
            key,
            value,
            expect,
            expires_at,
        } => {
            check(touched.now.as_ref(), *expect, key)?;
            Some((value.clone(), *expires_at))
        }
        KvWrite::Delete { key, expect } => {
            check(touched.now.as_ref(), *expect, key)?;
            if touched.now.is_none() {
                return Ok(()); // nothing to remove, nothing written
            }
            None
        }
        KvWrite::Add { key, by } => {
            let (sum, expires_at) = match &touched.now {
                None => (Some(*by), None),
                Some(slot) => (
                    counter(&slot.value)
                        .and_then(|n| n.checked_add(*by))
                        .filter(|n| (-COUNTER_MAX..=COUNTER_MAX).contains(n)),
                    slot.expires_at,
                ),
            };
            let sum = sum.ok_or_else(|| StoreError::KvNotCounter(key.clone()))?;
            Some((Bytes::from(sum.to_string()), expires_at))
        }
    };
    *revision += 1;
    touched.changed = true;
    touched.now = next.map(|(value, expires_at)| Slot {
        value,
        revision: *revision,
        expires_at,
    });
    Ok(())
}

fn check(now: Option<&Slot>, expect: KvExpect, key: &str) -> Result<(), StoreError> {
    let holds = match expect {
        KvExpect::Any => true,
        KvExpect::Absent => now.is_none(),
        KvExpect::Revision(revision) => now.is_some_and(|slot| slot.revision == revision),
    };
    if holds {
        Ok(())
    } else {
        Err(StoreError::KvConflict(key.to_owned()))
    }
}

/// A counter is a JSON integer.
fn counter(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn size(key: &str, value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

/// The counters after the writes.
fn measure(mut space: Space, touched: &BTreeMap<&str, Touched>) -> Space {
    for (key, touched) in touched.iter().filter(|(_, t)| t.changed) {
        if let Some(bytes) = touched.stored_bytes {
            space.keys = space.keys.saturating_sub(1);
            space.bytes = space.bytes.saturating_sub(bytes);
        }
        if let Some(slot) = &touched.now {
            space.keys += 1;
            space.bytes += size(key, &slot.value);
        }
    }
    space
}

fn less(space: Space, (keys, bytes): (u64, u64)) -> Space {
    Space {
        keys: space.keys.saturating_sub(keys),
        bytes: space.bytes.saturating_sub(bytes),
        ..space
    }
}

/// Keys and bytes of expired rows that the writes replace anyway.
fn rewritten(touched: &BTreeMap<&str, Touched>) -> (u64, u64) {
    touched
        .values()
        .filter(|t| t.expired && t.changed)
        .fold((0, 0), |(keys, bytes), t| {
            (keys + 1, bytes + t.stored_bytes.unwrap_or(0))
        })
}

/// Whether the writes make a namespace too large; one that is too large already may still shrink.
fn exceeds(before: Space, after: Space, quota: KvQuota) -> bool {
    (after.keys > quota.keys_max && after.keys > before.keys)
        || (after.bytes > quota.bytes_max && after.bytes > before.bytes)
}

fn write_all(work: &Work<'_>, pid: i64, touched: &BTreeMap<&str, Touched>) -> Result<(), Fault> {
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
    touched: &BTreeMap<&str, Touched>,
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
        bytes += size(key, &[]) + length;
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
        space.bytes = space.bytes.saturating_sub(size(key, &[]) + length);
        work.memory.set_space(*pid, space);
    }
    Ok(Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX)))
}

fn live(entry: &KvEntry, now: UnixMillis) -> bool {
    entry.expires_at.is_none_or(|end| now < end)
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
