//! What goes away: ended invocations past the retention, idempotency keys past theirs, and the rows of deleted
//! functions. Always a bounded number in one transaction, so that no caller waits long behind it.

use crate::codec::nat;
use crate::error::Fault;
use crate::invocations::Answer;
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::Retention;
use neofn_types::UnixMillis;
use rusqlite::params;

/// Rows of a deleted function removed in one transaction.
const BURY_MAX: u32 = 256;

/// An answer to an idempotency key stays as long as its key.
macro_rules! unneeded {
    () => {
        "status >= 2 AND (idem IS NULL OR NOT EXISTS (SELECT 1 FROM idempotency k \
         WHERE k.pid = invocation.pid AND k.fid = invocation.fid AND k.key = invocation.idem \
         AND k.id = invocation.id))"
    };
}

pub(crate) fn prune(work: &mut Work<'_>, keep: Retention, now: UnixMillis, limit: u32) -> Answer<u32> {
    let before = |age: std::time::Duration| {
        now.0
            .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let mut left = limit;
    left -= old_keys(work, before(keep.idempotency), left)?;
    left -= old_rows(work, before(keep.age), left)?;
    left -= surplus_rows(work, keep.per_function, left)?;
    if used_bytes(work)? > keep.bytes {
        left -= old_rows(work, i64::MAX, left)?;
    }
    Ok(Ok(limit - left))
}

/// Bytes of the database that hold something.
fn used_bytes(work: &Work<'_>) -> Result<u64, Fault> {
    let pragma = |name| work.conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(nat(pages.saturating_mul(pragma("page_size")?)))
}

fn old_keys(work: &Work<'_>, before: i64, limit: u32) -> Result<u32, Fault> {
    let keys = {
        let mut statement = work.conn.prepare_cached(
            "SELECT pid, fid, key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2",
        )?;
        let rows = statement.query_map(params![before, limit], doomed)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for (place, key) in &keys {
        work.conn
            .prepare_cached("DELETE FROM idempotency WHERE pid = ?1 AND fid = ?2 AND key = ?3")?
            .execute(params![place.pid, place.fid, key])?;
    }
    Ok(u32::try_from(keys.len()).unwrap_or(u32::MAX))
}

/// Ids begin with the time of admission, so the index on them finds what is old without a further one.
fn old_rows(work: &mut Work<'_>, before: i64, limit: u32) -> Result<u32, Fault> {
    let top = neofn_rows::first_id_at(UnixMillis(before));
    let rows = {
        let mut statement = work.conn.prepare_cached(concat!(
            "SELECT pid, fid, id FROM invocation INDEXED BY invocation_id \
             WHERE id < ?1 AND finished_at < ?2 AND ",
            unneeded!(),
            " ORDER BY id LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![top, before, limit], doomed)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    remove(work, &rows)
}

fn surplus_rows(work: &mut Work<'_>, per_function: u32, limit: u32) -> Result<u32, Fault> {
    // what this transaction changed is in memory only
    work.memory.flush(work.conn)?;
    let full: Vec<(Place, i64)> = {
        let mut statement = work
            .conn
            .prepare_cached("SELECT pid, fid, history - ?1 FROM function WHERE history > ?1")?;
        let rows = statement.query_map([per_function], |r| {
            let place = Place {
                pid: r.get(0)?,
                fid: r.get(1)?,
            };
            Ok((place, r.get(2)?))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let mut gone = 0;
    for (place, surplus) in full {
        if gone >= limit {
            break;
        }
        let rows = {
            // the surplus are the oldest ended ones; those that a key still needs stay beyond the count
            let mut statement = work.conn.prepare_cached(concat!(
                "SELECT pid, fid, id FROM (SELECT * FROM invocation WHERE pid = ?1 AND fid = ?2 \
                 AND status >= 2 ORDER BY id LIMIT ?3) AS invocation WHERE ",
                unneeded!(),
                " ORDER BY id LIMIT ?4"
            ))?;
            let rows = statement.query_map(params![place.pid, place.fid, surplus, limit - gone], doomed)?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        gone += remove(work, &rows)?;
    }
    Ok(gone)
}

type Doomed = (Place, Vec<u8>);

fn doomed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Doomed> {
    let place = Place {
        pid: row.get(0)?,
        fid: row.get(1)?,
    };
    Ok((place, row.get(2)?))
}

fn remove(work: &mut Work<'_>, rows: &[Doomed]) -> Result<u32, Fault> {
    for (place, id) in rows {
        work.conn
            .prepare_cached("DELETE FROM invocation WHERE pid = ?1 AND fid = ?2 AND id = ?3")?
            .execute(params![place.pid, place.fid, id])?;
        crate::triggers::forget(work.conn, *place, id)?;
        if work.memory.ensure(work.conn, *place)? {
            let state = work.memory.change(*place)?;
            state.history = state.history.saturating_sub(1);
        }
    }
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

/// Removes some rows of one deleted function, and its tomb with the last of them.
pub(crate) fn bury(work: &mut Work<'_>) -> Result<(), Fault> {
    let Some(place) = work.memory.tombs.last().copied() else {
        return Ok(());
    };
    let mut gone = 0;
    // the last column alone in IN: of all three, SQLite would search by the first two only
    for sql in [
        "DELETE FROM invocation WHERE pid = ?1 AND fid = ?2 AND id IN \
         (SELECT id FROM invocation WHERE pid = ?1 AND fid = ?2 ORDER BY id LIMIT ?3)",
        "DELETE FROM queue WHERE pid = ?1 AND fid = ?2 AND run_at IN \
         (SELECT run_at FROM queue WHERE pid = ?1 AND fid = ?2 ORDER BY run_at LIMIT ?3)",
        "DELETE FROM idempotency WHERE pid = ?1 AND fid = ?2 AND key IN \
         (SELECT key FROM idempotency WHERE pid = ?1 AND fid = ?2 ORDER BY key LIMIT ?3)",
        "DELETE FROM fired WHERE pid = ?1 AND fid = ?2 AND id IN \
         (SELECT id FROM fired WHERE pid = ?1 AND fid = ?2 ORDER BY id LIMIT ?3)",
        "DELETE FROM delivery WHERE pid = ?1 AND fid = ?2 AND (name, lane, seq) IN \
         (SELECT name, lane, seq FROM delivery WHERE pid = ?1 AND fid = ?2 LIMIT ?3)",
        "DELETE FROM lane WHERE pid = ?1 AND fid = ?2 AND (name, lane) IN \
         (SELECT name, lane FROM lane WHERE pid = ?1 AND fid = ?2 LIMIT ?3)",
        "DELETE FROM trigger_state WHERE pid = ?1 AND fid = ?2 AND name IN \
         (SELECT name FROM trigger_state WHERE pid = ?1 AND fid = ?2 LIMIT ?3)",
        "DELETE FROM version WHERE pid = ?1 AND fid = ?2 AND version IN \
         (SELECT version FROM version WHERE pid = ?1 AND fid = ?2 ORDER BY version LIMIT ?3)",
    ] {
        gone += work
            .conn
            .prepare_cached(sql)?
            .execute(params![place.pid, place.fid, BURY_MAX])?;
    }
    if gone == 0 {
        work.conn
            .prepare_cached("DELETE FROM tomb WHERE fid = ?1")?
            .execute([place.fid])?;
        work.memory.tombs.pop();
    }
    Ok(())
}
