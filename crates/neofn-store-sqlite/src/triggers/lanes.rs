//! Deliveries that wait: lanes keep their order, batches fill up, bursts are waited out.

use crate::codec::{fixed, id, int, nat, origin_number};
use crate::error::Fault;
use crate::invocations::{Answer, enqueue};
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::{NewInvocation, Start};
use neofn_engine::triggers::port::{BATCH_BYTES_MAX, Delivery, Hold, LANE_PAUSE, Released};
use neofn_types::{InvocationId, UnixMillis, Version};
use rusqlite::{Connection, OptionalExtension, params};

/// Deliveries of a function that wait.
pub(super) fn waiting(conn: &Connection, place: Place) -> Result<u64, Fault> {
    let sum: i64 = conn
        .prepare_cached("SELECT coalesce(sum(waiting), 0) FROM lane WHERE pid = ?1 AND fid = ?2")?
        .query_row([place.pid, place.fid], |r| r.get(0))?;
    Ok(nat(sum))
}

pub(super) fn hold(
    conn: &Connection,
    place: Place,
    delivery: &Delivery,
    hold: &Hold,
    at: UnixMillis,
) -> Result<(), Fault> {
    let name = delivery.trigger.name.as_str();
    let lane = hold.lane.as_str();
    if hold.debounce.is_some() {
        // a burst is one event: its last
        conn.prepare_cached("DELETE FROM delivery WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4")?
            .execute(params![place.pid, place.fid, name, lane])?;
        conn.prepare_cached(
            "UPDATE lane SET waiting = 0 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4",
        )?
        .execute(params![place.pid, place.fid, name, lane])?;
    }
    let wait = hold.debounce.or(hold.batch.map(|b| b.wait)).unwrap_or_default();
    let ready_at = at.plus(wait).0;
    let size = hold.batch.map_or(0, |b| b.size);
    conn.prepare_cached(
        "INSERT INTO delivery VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(seq), 0) + 1 FROM delivery \
         WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        place.pid,
        place.fid,
        name,
        lane,
        delivery.id.as_bytes(),
        delivery.version.0,
        origin_number(delivery.origin),
        delivery.event_id,
        delivery.effect.0,
        delivery.height.map(int),
        delivery.depth,
        delivery.trace_id,
        ready_at,
        &*delivery.event
    ])?;
    // the lane is ready when its oldest delivery is, or when a batch is full
    conn.prepare_cached(
        "INSERT INTO lane VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, CASE WHEN ?6 = 1 THEN ?8 ELSE ?7 END, NULL) \
         ON CONFLICT DO UPDATE SET ordered = excluded.ordered, size = excluded.size, waiting = waiting + 1, \
         ready_at = CASE WHEN ?6 > 0 AND waiting + 1 >= ?6 THEN min(ready_at, ?8) WHEN waiting = 0 THEN ?7 \
         ELSE ready_at END",
    )?
    .execute(params![
        place.pid,
        place.fid,
        name,
        lane,
        hold.ordered,
        size,
        ready_at,
        at.0
    ])?;
    Ok(())
}

struct Lane {
    place: Place,
    name: String,
    lane: String,
    ordered: bool,
    size: u32,
    waiting: i64,
}

struct Waiting {
    seq: i64,
    id: InvocationId,
    version: Version,
    origin: i64,
    event_id: String,
    height: Option<i64>,
    depth: u32,
    trace: [u8; 16],
    event: Vec<u8>,
}

pub(crate) fn release_due(work: &mut Work<'_>, now: UnixMillis, limit: u32) -> Answer<Released> {
    let ready: Vec<Lane> = {
        let mut statement = work.conn.prepare_cached(
            "SELECT pid, fid, name, lane, ordered, size, waiting FROM lane \
             WHERE waiting > 0 AND running IS NULL AND ready_at <= ?1 ORDER BY ready_at LIMIT ?2",
        )?;
        let rows = statement.query_map(params![now.0, limit], |r| {
            Ok(Lane {
                place: Place {
                    pid: r.get(0)?,
                    fid: r.get(1)?,
                },
                name: r.get(2)?,
                lane: r.get(3)?,
                ordered: r.get(4)?,
                size: r.get(5)?,
                waiting: r.get(6)?,
            })
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let mut done = Released::default();
    for lane in ready {
        if work.memory.ensure(work.conn, lane.place)? {
            done.released += u32::from(released(work, &lane, now)?);
        } else {
            // its function was deleted; the rest of its rows goes with the tomb
            work.conn
                .prepare_cached("DELETE FROM lane WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4")?
                .execute(params![lane.place.pid, lane.place.fid, lane.name, lane.lane])?;
        }
    }
    done.next = work
        .conn
        .prepare_cached("SELECT min(ready_at) FROM lane WHERE waiting > 0 AND running IS NULL")?
        .query_row([], |r| r.get::<_, Option<i64>>(0))?
        .map(UnixMillis);
    Ok(Ok(done))
}

/// Releases a lane, or puts it off when the fault is its own; whether it went.
fn released(work: &mut Work<'_>, lane: &Lane, now: UnixMillis) -> Result<bool, Fault> {
    work.conn.prepare_cached("SAVEPOINT lane")?.execute([])?;
    let went = match release(work, lane, now) {
        Ok(()) => true,
        Err(fault) if fault.is_the_commands_own() => {
            work.conn.prepare_cached("ROLLBACK TO lane")?.execute([])?;
            let function = &work.memory.state(lane.place)?.key;
            tracing::error!(error = %fault, %function, trigger = lane.name, "deliveries not released");
            work.conn
                .prepare_cached(
                    "UPDATE lane SET ready_at = ?5 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4",
                )?
                .execute(params![
                    lane.place.pid,
                    lane.place.fid,
                    lane.name,
                    lane.lane,
                    now.plus(LANE_PAUSE).0
                ])?;
            false
        }
        Err(fault) => return Err(fault),
    };
    work.conn.prepare_cached("RELEASE lane")?.execute([])?;
    Ok(went)
}

fn release(work: &mut Work<'_>, lane: &Lane, now: UnixMillis) -> Result<(), Fault> {
    let taken = first(work.conn, lane)?;
    let (Some(head), Some(last)) = (taken.first(), taken.last()) else {
        return Err(Fault::Damaged("lane"));
    };
    let event = if lane.size == 0 {
        head.event.clone()
    } else {
        neofn_rows::joined(&taken.iter().map(|w| w.event.as_slice()).collect::<Vec<_>>())
    };
    let origin = crate::codec::origin(head.origin)?;
    let new = NewInvocation {
        id: head.id,
        key: work.memory.state(lane.place)?.key.clone(),
        version: last.version,
        origin,
        caller: Some(origin.trigger(&lane.name)),
        event: event.into(),
        idempotency: None,
        trace_id: head.trace,
        at: now,
        start: Start::Queued,
        queue_max: u32::MAX,
        hold: None,
    };
    let (height, depth) = (
        last.height.map(nat),
        taken.iter().map(|w| w.depth).max().unwrap_or(0),
    );
    super::fired::insert(
        work.conn,
        lane.place,
        head.id,
        &lane.name,
        &head.event_id,
        height,
        depth,
    )?;
    work.conn
        .prepare_cached(
            "DELETE FROM delivery WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4 AND seq <= ?5",
        )?
        .execute(params![
            lane.place.pid,
            lane.place.fid,
            lane.name,
            lane.lane,
            last.seq
        ])?;
    settle(work.conn, lane, taken.len(), head.id, now)?;
    // last, because the mirror knows no savepoint
    enqueue(work, lane.place, &new)
}

/// What remains of a lane of which so many deliveries went.
fn settle(
    conn: &Connection,
    lane: &Lane,
    went: usize,
    head: InvocationId,
    now: UnixMillis,
) -> Result<(), Fault> {
    let went = i64::try_from(went).unwrap_or(i64::MAX);
    let left = lane.waiting - went;
    if left <= 0 && !lane.ordered {
        conn.prepare_cached("DELETE FROM lane WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4")?
            .execute(params![lane.place.pid, lane.place.fid, lane.name, lane.lane])?;
        return Ok(());
    }
    let oldest: Option<i64> = conn
        .prepare_cached(
            "SELECT ready_at FROM delivery WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4 \
             ORDER BY seq LIMIT 1",
        )?
        .query_row(
            params![lane.place.pid, lane.place.fid, lane.name, lane.lane],
            |r| r.get(0),
        )
        .optional()?;
    let size = i64::from(lane.size);
    // another batch is full, or what is left had no room in this one
    let full = size > 0 && (left >= size || went < size);
    let ready_at = if full { now.0 } else { oldest.unwrap_or(now.0) };
    conn.prepare_cached(
        "UPDATE lane SET waiting = ?5, ready_at = ?6, running = ?7 \
         WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4",
    )?
    .execute(params![
        lane.place.pid,
        lane.place.fid,
        lane.name,
        lane.lane,
        left.max(0),
        ready_at,
        lane.ordered.then(|| head.as_bytes().to_vec())
    ])?;
    Ok(())
}

/// What goes together, oldest first: no more events than make a batch, nor more bytes.
fn first(conn: &Connection, lane: &Lane) -> Result<Vec<Waiting>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, version, origin, event_id, height, depth, trace, event FROM delivery \
         WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND lane = ?4 ORDER BY seq LIMIT ?5",
    )?;
    let mut rows = statement.query(params![
        lane.place.pid,
        lane.place.fid,
        lane.name,
        lane.lane,
        lane.size.max(1)
    ])?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let event: Vec<u8> = row.get(8)?;
        bytes += event.len();
        if bytes > BATCH_BYTES_MAX && !found.is_empty() {
            break;
        }
        found.push(Waiting {
            seq: row.get(0)?,
            id: id(row, 1)?,
            version: Version(row.get(2)?),
            origin: row.get(3)?,
            event_id: row.get(4)?,
            height: row.get(5)?,
            depth: row.get(6)?,
            trace: fixed(row, 7, "trace id")?,
            event,
        });
    }
    Ok(found)
}

/// The invocation has ended, whatever way: the next of its lane may go.
pub(crate) fn ended(conn: &Connection, id: InvocationId) -> Result<(), Fault> {
    let freed = conn
        .prepare_cached("UPDATE lane SET running = NULL WHERE running = ?1")?
        .execute([id.as_bytes().as_slice()])?;
    if freed > 0 {
        conn.prepare_cached("DELETE FROM lane WHERE waiting = 0 AND running IS NULL")?
            .execute([])?;
    }
    Ok(())
}
