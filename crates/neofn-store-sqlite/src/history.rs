//! Invocations as history shows them. Used by readers, and by the writer for what it has not committed yet.

use crate::codec::{caller, fixed, id, key, nat32, origin, status, unpack_detail, unpack_recording};
use crate::error::Fault;
use neofn_engine::port::{InvocationFilter, InvocationRecord, Replayable, Status};
use neofn_types::{Attempt, FunctionKey, InvocationId, UnixMillis, Version};
use rusqlite::{Connection, Row, params};

/// The columns that [`record`] reads.
macro_rules! columns {
    () => {
        "SELECT p.name, f.name, i.id, i.version, i.origin, i.status, i.attempt, i.run_at, i.created_at, \
         i.finished_at, i.trace, i.detail, i.result, q.state, q.attempt"
    };
}
/// An invocation by the name of its function. A deleted function has none, whatever rows remain of it.
macro_rules! from_invocation {
    () => {
        from_invocation!("")
    };
    ($index:literal) => {
        concat!(
            " FROM invocation i",
            $index,
            " JOIN function f ON f.fid = i.fid JOIN project p ON p.pid = i.pid \
         LEFT JOIN queue q ON i.status = 0 AND q.pid = i.pid AND q.fid = i.fid AND q.run_at = i.run_at \
         AND q.id = i.id"
        )
    };
}

/// Whether there is such an invocation, of a function that exists.
pub(crate) fn exists(conn: &Connection, id: InvocationId) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM invocation i JOIN function f ON f.fid = i.fid WHERE i.id = ?1")?
        .exists([id.as_bytes().as_slice()])?)
}

pub(crate) fn by_id(conn: &Connection, id: InvocationId) -> Result<Option<InvocationRecord>, Fault> {
    let mut statement = conn.prepare_cached(concat!(
        columns!(),
        ", i.caller",
        from_invocation!(),
        " WHERE i.id = ?1"
    ))?;
    let mut rows = statement.query([id.as_bytes().as_slice()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(InvocationRecord {
        caller: caller(row, 15)?,
        ..record(row)?
    }))
}

pub(crate) fn replayable(conn: &Connection, id: InvocationId) -> Result<Option<Replayable>, Fault> {
    let mut statement = conn.prepare_cached(concat!(
        columns!(),
        ", i.event, i.recording, i.caller",
        from_invocation!(),
        " WHERE i.id = ?1 AND i.status >= 2 AND i.recording IS NOT NULL"
    ))?;
    let mut rows = statement.query([id.as_bytes().as_slice()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Replayable {
        record: InvocationRecord {
            caller: caller(row, 17)?,
            ..record(row)?
        },
        event: row.get::<_, Vec<u8>>(15)?.into(),
        recording: unpack_recording(&row.get::<_, Vec<u8>>(16)?)?,
    }))
}

pub(crate) fn list(
    conn: &Connection,
    key: &FunctionKey,
    filter: InvocationFilter,
) -> Result<Vec<InvocationRecord>, Fault> {
    let place: (i64, i64) = {
        let mut statement = conn.prepare_cached(
            "SELECT f.pid, f.fid FROM function f JOIN project p ON p.pid = f.pid \
             WHERE p.name = ?1 AND f.name = ?2",
        )?;
        let mut rows = statement.query([key.project.as_ref(), key.function.as_ref()])?;
        match rows.next()? {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => return Ok(Vec::new()),
        }
    };
    // no id is as short as nothing or as long as 17 bytes
    let after = filter.after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let before = filter.before.as_ref().map_or(&[0xff; 17][..], |id| id.as_bytes());
    let mut statement = conn.prepare_cached(page_of(filter.status, filter.after.is_some()))?;
    let mut rows = statement.query(params![place.0, place.1, after, before, filter.limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

/// The status is written into the text, because a partial index is not chosen for a parameter.
fn page_of(status: Option<Status>, oldest_first: bool) -> &'static str {
    macro_rules! ended {
        ($index:literal, $extra:literal, $order:literal) => {
            concat!(
                columns!(),
                from_invocation!($index),
                " WHERE i.pid = ?1 AND i.fid = ?2 AND i.id > ?3 AND i.id < ?4",
                $extra,
                " ORDER BY i.id ",
                $order,
                " LIMIT ?5"
            )
        };
    }
    // what has not ended is found from the queue, which is short
    macro_rules! live {
        ($state:literal, $order:literal) => {
            concat!(
                columns!(),
                " FROM queue q CROSS JOIN invocation i ON i.pid = q.pid AND i.fid = q.fid AND i.id = q.id \
                 JOIN function f ON f.fid = i.fid JOIN project p ON p.pid = i.pid \
                 WHERE q.pid = ?1 AND q.fid = ?2 AND q.id > ?3 AND q.id < ?4 AND q.state = ",
                $state,
                " ORDER BY q.id ",
                $order,
                " LIMIT ?5"
            )
        };
    }
    macro_rules! page {
        ($order:literal) => {
            match status {
                None => ended!("", "", $order),
                Some(Status::Succeeded) => ended!("", " AND i.status = 2", $order),
                Some(Status::Failed) => ended!(
                    " INDEXED BY invocation_failed",
                    " AND i.status >= 3 AND i.status = 3",
                    $order
                ),
                Some(Status::Dead) => ended!(
                    " INDEXED BY invocation_failed",
                    " AND i.status >= 3 AND i.status = 4",
                    $order
                ),
                Some(Status::Queued) => live!("0", $order),
                Some(Status::Running) => live!("1", $order),
            }
        };
    }
    if oldest_first { page!("ASC") } else { page!("DESC") }
}

fn record(row: &Row<'_>) -> Result<InvocationRecord, Fault> {
    let status = status(row.get(5)?, row.get(13)?)?;
    let detail = unpack_detail(row.get::<_, Option<Vec<u8>>>(11)?.as_deref())?;
    let tries: i64 = match row.get(14)? {
        Some(tries) => tries,
        None => row.get(6)?,
    };
    Ok(InvocationRecord {
        id: id(row, 2)?,
        key: key(row, 0)?,
        version: Version(row.get(3)?),
        origin: origin(row.get(4)?)?,
        caller: None,
        status,
        attempt: Attempt(nat32(tries)),
        result: row.get::<_, Option<Vec<u8>>>(12)?.map(Into::into),
        failure: detail.failure.filter(|_| status != Status::Running),
        logs: detail.logs,
        units: detail.units,
        duration_us: detail.duration_us,
        trace_id: fixed(row, 10, "trace id")?,
        created_at: UnixMillis(row.get(8)?),
        finished_at: row.get::<_, Option<i64>>(9)?.map(UnixMillis),
        run_at: match status {
            Status::Queued => Some(UnixMillis(row.get(7)?)),
            _ => None,
        },
    })
}
