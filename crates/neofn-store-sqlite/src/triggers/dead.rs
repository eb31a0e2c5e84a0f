//! Dead letters: queued again, or laid to rest.

use crate::codec::{DEAD, FAILED, LIVE, nat};
use crate::error::Fault;
use crate::invocations::{Answer, QueueEntry, insert_queue};
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::StoreError;
use neofn_engine::triggers::port::Redo;
use neofn_types::{Fence, InvocationId, UnixMillis};
use rusqlite::{OptionalExtension, params};

pub(crate) fn redo(work: &mut Work<'_>, id: InvocationId, redo: Redo, at: UnixMillis) -> Answer<()> {
    let found: Option<(i64, i64, i64)> = work
        .conn
        .prepare_cached("SELECT pid, fid, fence FROM invocation WHERE id = ?1 AND status = ?2")?
        .query_row(params![id.as_bytes(), DEAD], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?))
        })
        .optional()?;
    let Some((pid, fid, fence)) = found else {
        return Ok(Err(StoreError::NotFound));
    };
    let place = Place { pid, fid };
    if !work.memory.ensure(work.conn, place)? {
        return Ok(Err(StoreError::NotFound));
    }
    match redo {
        Redo::Drop => set_status(work, place, id, FAILED)?,
        Redo::Retry => {
            // the newest code: the reason for trying again is that it was mended; and it has not waited since its first time
            work.conn
                .prepare_cached(
                    "UPDATE invocation SET status = ?4, attempt = 0, run_at = ?5, created_at = ?5, finished_at = NULL, result = NULL, \
                     version = (SELECT live FROM function WHERE fid = ?2) \
                     WHERE pid = ?1 AND fid = ?2 AND id = ?3",
                )?
                .execute(params![pid, fid, id.as_bytes(), LIVE, at.0])?;
            let entry = QueueEntry::waiting(0, Fence(nat(fence)));
            insert_queue(work, place, at.0, id, &entry)?;
            work.memory.resumed(place)?;
            work.memory.queued(place, at.0, id)?;
        }
    }
    Ok(Ok(()))
}

fn set_status(work: &Work<'_>, place: Place, id: InvocationId, status: i64) -> Result<(), Fault> {
    work.conn
        .prepare_cached("UPDATE invocation SET status = ?4 WHERE pid = ?1 AND fid = ?2 AND id = ?3")?
        .execute(params![place.pid, place.fid, id.as_bytes(), status])?;
    Ok(())
}
