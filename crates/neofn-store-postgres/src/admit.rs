//! Admission: an invocation is written down before it runs. Unkeyed ones that wait share a transaction with others;
//! those with a key, or with a caller who runs them at once, are decided one by one.

use crate::batch::{Counts, Group};
use crate::error::Fault;
use crate::history;
use crate::ledger;
use crate::queue::{Done, Load, Loads, Op, Verdict};
use crate::rows::{Place, find, fixed, id};
use crate::time::now;
use neofn_engine::port::{Admitted, NewInvocation, Start, StoreError};
use neofn_gas::ledger::Entry;
use neofn_rows::{int, nat, nat32, origin_number};
use neofn_types::{Attempt, Caller, Digest, Fence, InvocationId, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

/// The outer error is worth another try, the inner one is this command's refusal.
pub(crate) type Answer<T> = Result<Result<T, StoreError>, Fault>;

/// How long a count of what waits is trusted, as long as the queue is less than half full.
const LOAD_FRESH: Duration = Duration::from_millis(250);

/// Writes down the unkeyed waiting invocations of a group.
pub(crate) async fn many(
    group: &mut Group<'_>,
    ops: &[Op],
    loads: &Loads,
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Fault> {
    let mut room: HashMap<i64, u64> = HashMap::new();
    let mut fresh: Vec<(usize, Place, &NewInvocation)> = Vec::new();
    for (n, op) in ops.iter().enumerate() {
        let Op::Admit(new) = op else { continue };
        let verdict = match group.places.get(&new.key).copied() {
            None => Err(StoreError::NotFound),
            Some(place) => {
                let waiting = match room.get(&place.fid) {
                    Some(waiting) => *waiting,
                    None => load(group.conn, loads, place, new.queue_max, new.at).await?,
                };
                if waiting >= u64::from(new.queue_max) {
                    room.insert(place.fid, waiting);
                    Err(StoreError::QueueFull)
                } else {
                    room.insert(place.fid, waiting + 1);
                    fresh.push((n, place, new));
                    Ok(Done::Admitted(Admitted::Fresh { fence: None }))
                }
            }
        };
        if let Some(slot) = verdicts.get_mut(n) {
            *slot = Some(verdict);
        }
    }
    set_aside(group.conn, &mut fresh, verdicts).await?;
    let written = insert(group.conn, fresh.iter().map(|(_, place, new)| (*place, *new))).await?;
    let mut seen = HashSet::new();
    for (n, place, new) in fresh {
        if written.contains(&new.id) && seen.insert(new.id) {
            note(loads, place);
            continue;
        }
        // the caller asks again after an answer that it never saw
        let verdict = if group.again {
            Ok(Done::Admitted(Admitted::Fresh { fence: None }))
        } else {
            replay(group.conn, new, new.id).await?.map(Done::Admitted)
        };
        if let Some(slot) = verdicts.get_mut(n) {
            *slot = Some(verdict);
        }
    }
    Ok(())
}

/// Sets aside what first attempts may cost; leaves out those for which nothing is to be had.
async fn set_aside(
    conn: &mut PgConnection,
    fresh: &mut Vec<(usize, Place, &NewInvocation)>,
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Fault> {
    if fresh.iter().all(|(_, _, new)| new.hold.is_none()) {
        return Ok(());
    }
    // of one that is there the hold is, too, or was
    let ids: Vec<&[u8]> = fresh
        .iter()
        .map(|(_, _, new)| new.id.as_bytes().as_slice())
        .collect();
    let there = sqlx::query("SELECT id FROM invocation WHERE id = ANY($1)")
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
    let there: HashSet<InvocationId> = there.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
    let mut unpaid = HashSet::new();
    for (n, _, new) in fresh.iter() {
        let Some(hold) = new.hold.as_ref().filter(|_| !there.contains(&new.id)) else {
            continue;
        };
        if let Err(refused) = ledger::write(conn, &Entry::Hold(hold.clone())).await? {
            unpaid.insert(*n);
            if let Some(slot) = verdicts.get_mut(*n) {
                *slot = Some(Err(StoreError::Unpaid(refused)));
            }
        }
    }
    fresh.retain(|(n, _, _)| !unpaid.contains(n));
    Ok(())
}

/// Writes down invocations that wait to be claimed; answers those that are new.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    all: impl Iterator<Item = (Place, &NewInvocation)>,
) -> Result<HashSet<InvocationId>, Fault> {
    let mut numbers: [Vec<i64>; 5] = Default::default();
    let mut bytes: [Vec<&[u8]>; 3] = Default::default();
    let mut callers: Vec<Option<&str>> = Vec::new();
    for (place, new) in all {
        let row = [
            place.pid,
            place.fid,
            i64::from(new.version.0),
            origin_number(new.origin),
            new.at.0,
        ];
        for (column, value) in numbers.iter_mut().zip(row) {
            column.push(value);
        }
        let row: [&[u8]; 3] = [new.id.as_bytes(), &new.trace_id, &new.event];
        for (column, value) in bytes.iter_mut().zip(row) {
            column.push(value);
        }
        callers.push(new.caller.as_ref().map(Caller::as_str));
    }
    let [pids, fids, versions, origins, at] = numbers;
    let [ids, traces, events] = bytes;
    if pids.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(concat!(
        "WITH new AS (INSERT INTO invocation(pid, fid, id, version, origin, status, attempt, fence, rearm, run_at, \
         created_at, trace, event, caller) SELECT pid, fid, id, version, origin, 0, 0, 0, false, ",
        now!("at"),
        ", at, trace, event, caller \
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], \
         $8::bytea[], $9::text[]) AS n(pid, fid, id, version, origin, at, trace, event, caller) ON CONFLICT DO NOTHING \
         RETURNING pid, fid, id, run_at) \
         INSERT INTO queue(pid, fid, run_at, id, state, attempt, fence, waits) \
         SELECT pid, fid, run_at, id, 0, 0, 0, false FROM new RETURNING id"
    ))
    .bind(pids)
    .bind(fids)
    .bind(ids)
    .bind(versions)
    .bind(origins)
    .bind(at)
    .bind(traces)
    .bind(events)
    .bind(callers)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| id(row, 0)).collect()
}

/// How many invocations of a function wait, exactly so from half of its limit on.
async fn load(
    conn: &mut PgConnection,
    loads: &Loads,
    place: Place,
    max: u32,
    at: UnixMillis,
) -> Result<u64, Fault> {
    let now = Duration::from_millis(nat(at.0));
    let known = {
        let loads = loads.lock().unwrap_or_else(PoisonError::into_inner);
        loads.get(&place.fid).copied()
    };
    if let Some(load) = known
        && load.counted + load.since < u64::from(max / 2)
        && now.checked_sub(load.at).is_some_and(|age| age < LOAD_FRESH)
    {
        return Ok(load.counted + load.since);
    }
    let counted = queued(conn, place, max).await?;
    let mut loads = loads.lock().unwrap_or_else(PoisonError::into_inner);
    if loads.len() >= LOADS_MAX {
        loads.clear();
    }
    let load = Load {
        counted,
        since: 0,
        at: now,
    };
    loads.insert(place.fid, load);
    Ok(counted)
}

/// Functions whose load is remembered.
const LOADS_MAX: usize = 4_096;

fn note(loads: &Loads, place: Place) {
    let mut loads = loads.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(load) = loads.get_mut(&place.fid) {
        load.since += 1;
    }
}

/// How many invocations of a function wait, counted up to `max`.
pub(crate) async fn queued(conn: &mut PgConnection, place: Place, max: u32) -> Result<u64, Fault> {
    let counted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM queue WHERE pid = $1 AND fid = $2 AND state = 0 LIMIT $3) q",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(i64::from(max))
    .fetch_one(conn)
    .await?;
    Ok(nat(counted))
}

/// Admits those of a group that have a key, or a caller who runs them, and are paid for. The ledger is this transaction's.
pub(crate) async fn paid(
    conn: &mut PgConnection,
    ops: &[Op],
    again: bool,
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Fault> {
    for (op, slot) in ops.iter().zip(verdicts) {
        if let Op::AdmitPaid(new) = op {
            *slot = Some(one(conn, new, again).await?.map(Done::Admitted));
        }
    }
    Ok(())
}

/// Admits one invocation with a key, or one that its caller runs. A refusal leaves nothing behind; where money is to be set
/// aside, the ledger is this transaction's. `again`: an earlier try may have been committed without an answer.
pub(crate) async fn one(conn: &mut PgConnection, new: &NewInvocation, again: bool) -> Answer<Admitted> {
    let Some(place) = find(conn, &new.key).await? else {
        return Ok(Err(StoreError::NotFound));
    };
    if again && is_as_admitted(conn, place, new).await? {
        let fence = matches!(new.start, Start::Claimed { .. }).then_some(Fence(1));
        return Ok(Ok(Admitted::Fresh { fence }));
    }
    let key = new
        .idempotency
        .as_ref()
        .map(|idem| Digest::of(idem.key.as_bytes()));
    if let (Some(key), Some(idem)) = (&key, &new.idempotency)
        && let Some(known) = known_key(conn, place, key).await?
    {
        return known_answer(conn, place, new, &idem.request, known).await;
    }
    if new.start == Start::Queued && queued(conn, place, new.queue_max).await? >= u64::from(new.queue_max) {
        return Ok(Err(StoreError::QueueFull));
    }
    // of two that come with one key at the same moment, the second waits here for the first
    if let (Some(key), Some(idem)) = (&key, &new.idempotency)
        && !remember_key(conn, place, key, &idem.request, new.id, new.at).await?
    {
        let known = known_key(conn, place, key)
            .await?
            .ok_or(Fault::Damaged("idempotency key"))?;
        return known_answer(conn, place, new, &idem.request, known).await;
    }
    if let Some(hold) = &new.hold
        && !exists(conn, new.id).await?
        && let Err(refused) = ledger::write(conn, &Entry::Hold(hold.clone())).await?
    {
        if let Some(key) = &key {
            free_key(conn, place, key).await?;
        }
        return Ok(Err(StoreError::Unpaid(refused)));
    }
    let inserted = sqlx::query(concat!(
        "INSERT INTO invocation(pid, fid, id, version, origin, status, attempt, fence, rearm, run_at, created_at, \
         idem, trace, event, caller) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, false, ",
        now!("$6"),
        ", $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
    ))
    .bind(place.pid)
    .bind(place.fid)
    .bind(new.id.as_bytes().as_slice())
    .bind(i64::from(new.version.0))
    .bind(origin_number(new.origin))
    .bind(new.at.0)
    .bind(key.as_ref().map(|k| k.0.as_slice()))
    .bind(new.trace_id.as_slice())
    .bind(&*new.event)
    .bind(new.caller.as_ref().map(Caller::as_str))
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return replay_or_rearm(conn, place, new, new.id).await;
    }
    let fence = match new.start {
        Start::Queued => {
            enter(conn, place, new, new.id, None).await?;
            None
        }
        Start::Claimed { lease } => {
            enter(conn, place, new, new.id, Some((1, Fence(1), lease))).await?;
            Some(Fence(1))
        }
    };
    Ok(Ok(Admitted::Fresh { fence }))
}

/// Whether an invocation is there; one that its caller runs is his as long as nobody has ended its claim.
async fn is_as_admitted(conn: &mut PgConnection, place: Place, new: &NewInvocation) -> Result<bool, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM invocation WHERE pid = $1 AND fid = $2 AND id = $3) \
         AND ($4 OR EXISTS (SELECT 1 FROM queue WHERE pid = $1 AND fid = $2 AND id = $3 AND state = 1 AND fence = 1))",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(new.id.as_bytes().as_slice())
    .bind(new.start == Start::Queued)
    .fetch_one(conn)
    .await?)
}

/// The queue's row of an invocation: waiting, or held by a synchronous caller.
async fn enter(
    conn: &mut PgConnection,
    place: Place,
    new: &NewInvocation,
    id: InvocationId,
    held: Option<(u32, Fence, Duration)>,
) -> Result<(), Fault> {
    let (attempt, fence) = match held {
        Some((attempt, fence, _)) => (i64::from(attempt), int(fence.0)),
        None => (0, 0),
    };
    let lease = held.map(|(_, _, lease)| i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
    sqlx::query(concat!(
        "INSERT INTO queue VALUES ($1, $2, ",
        now!("$3"),
        ", $4, $5, $6, $7, $8, ",
        now!("$3"),
        " + $9)"
    ))
    .bind(place.pid)
    .bind(place.fid)
    .bind(new.at.0)
    .bind(id.as_bytes().as_slice())
    .bind(i64::from(held.is_some()))
    .bind(attempt)
    .bind(fence)
    .bind(held.is_some())
    .bind(lease)
    .execute(conn)
    .await?;
    Ok(())
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub request: Digest,
    pub id: InvocationId,
}

pub(crate) async fn known_key(
    conn: &mut PgConnection,
    place: Place,
    key: &Digest,
) -> Result<Option<Known>, Fault> {
    let row = sqlx::query("SELECT request, id FROM idempotency WHERE pid = $1 AND fid = $2 AND key = $3")
        .bind(place.pid)
        .bind(place.fid)
        .bind(key.0.as_slice())
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        Ok(Known {
            request: Digest(fixed(&row, 0, "request digest")?),
            id: id(&row, 1)?,
        })
    })
    .transpose()
}

/// Whether the key was free.
pub(crate) async fn remember_key(
    conn: &mut PgConnection,
    place: Place,
    key: &Digest,
    request: &Digest,
    id: InvocationId,
    at: UnixMillis,
) -> Result<bool, Fault> {
    let done = sqlx::query("INSERT INTO idempotency VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(place.pid)
        .bind(place.fid)
        .bind(key.0.as_slice())
        .bind(request.0.as_slice())
        .bind(id.as_bytes().as_slice())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A key that was remembered for an invocation that is refused.
pub(crate) async fn free_key(conn: &mut PgConnection, place: Place, key: &Digest) -> Result<(), Fault> {
    sqlx::query("DELETE FROM idempotency WHERE pid = $1 AND fid = $2 AND key = $3")
        .bind(place.pid)
        .bind(place.fid)
        .bind(key.0.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

async fn exists(conn: &mut PgConnection, id: InvocationId) -> Result<bool, Fault> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM invocation WHERE id = $1)")
            .bind(id.as_bytes().as_slice())
            .fetch_one(conn)
            .await?,
    )
}

async fn known_answer(
    conn: &mut PgConnection,
    place: Place,
    new: &NewInvocation,
    request: &Digest,
    known: Known,
) -> Answer<Admitted> {
    if known.request != *request {
        return Ok(Err(StoreError::IdempotencyMismatch));
    }
    replay_or_rearm(conn, place, new, known.id).await
}

/// What an invocation that was admitted before answers to the same request.
async fn replay_or_rearm(
    conn: &mut PgConnection,
    place: Place,
    new: &NewInvocation,
    first: InvocationId,
) -> Answer<Admitted> {
    let Start::Claimed { lease } = new.start else {
        return replay(conn, new, first).await;
    };
    let interrupted = sqlx::query(crate::rows::with_bytes!(
        "SELECT attempt, fence, ",
        " FROM invocation WHERE pid = $1 AND fid = $2 AND id = $3 AND rearm FOR UPDATE"
    ))
    .bind(place.pid)
    .bind(place.fid)
    .bind(first.as_bytes().as_slice())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = interrupted else {
        return replay(conn, new, first).await;
    };
    let attempt = nat32(row.try_get(0)?).saturating_add(1);
    let fence = Fence(nat(row.try_get(1)?).saturating_add(1));
    let mut counts = Counts::default();
    counts.resumed(place, row.try_get(2)?);
    sqlx::query(concat!(
        "UPDATE invocation SET status = 0, rearm = false, finished_at = NULL, detail = NULL, recording = NULL, run_at = ",
        now!("$4"),
        ", version = $5, trace = $6, caller = $7 WHERE pid = $1 AND fid = $2 AND id = $3"
    ))
    .bind(place.pid)
    .bind(place.fid)
    .bind(first.as_bytes().as_slice())
    .bind(new.at.0)
    .bind(i64::from(new.version.0))
    .bind(new.trace_id.as_slice())
    .bind(new.caller.as_ref().map(Caller::as_str))
    .execute(&mut *conn)
    .await?;
    enter(conn, place, new, first, Some((attempt, fence, lease))).await?;
    counts.write(conn).await?;
    Ok(Ok(Admitted::Rearmed {
        id: first,
        fence,
        attempt: Attempt(attempt),
    }))
}

async fn replay(conn: &mut PgConnection, new: &NewInvocation, first: InvocationId) -> Answer<Admitted> {
    Ok(match history::by_id(conn, first).await? {
        Some(record) if record.key == new.key => Ok(Admitted::Replay {
            record: Box::new(record),
        }),
        _ => Err(Fault::Misuse("an invocation id that another function has used").into()),
    })
}
