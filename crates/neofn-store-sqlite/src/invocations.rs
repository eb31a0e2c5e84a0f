//! Commands on invocations, as the writer carries them out. A command checks everything before it writes
//! anything, so a refusal needs no rollback.
//!
//! Whoever holds the newest fence of an invocation may end it; nobody else, and only once.

use crate::codec::{
    Encoded, FAILED, LIVE, SUCCEEDED, caller, fixed, id, int, interrupted, is_rearmed, nat, origin,
    origin_number, result, status_of,
};
use crate::error::Fault;
use crate::history;
use crate::kv;
use crate::ledger;
use crate::memory::{Place, Running};
use crate::promise;
use crate::triggers;
use crate::writer::Work;
use neofn_engine::port::{
    Admitted, Claimed, Finish, NewInvocation, Outcome, Record, Rooms, Start, StoreError,
};
use neofn_gas::ledger::Entry;
use neofn_types::{Attempt, Caller, Digest, Fence, InvocationId, UnixMillis, Version};
use rusqlite::params;
use std::time::Duration;

/// The outer error fails the whole group, the inner one is this command's refusal.
pub(crate) type Answer<T> = Result<Result<T, StoreError>, Fault>;

struct Known {
    request: Digest,
    id: InvocationId,
}

fn known_key(work: &Work<'_>, place: Place, key: &Digest) -> Result<Option<Known>, Fault> {
    let mut statement = work
        .conn
        .prepare_cached("SELECT request, id FROM idempotency WHERE pid = ?1 AND fid = ?2 AND key = ?3")?;
    let mut rows = statement.query(params![place.pid, place.fid, key.0])?;
    match rows.next()? {
        Some(row) => Ok(Some(Known {
            request: Digest(fixed(row, 0, "request digest")?),
            id: id(row, 1)?,
        })),
        None => Ok(None),
    }
}

fn remember_key(work: &Work<'_>, place: Place, new: &NewInvocation) -> Result<(), Fault> {
    let Some(idem) = &new.idempotency else {
        return Ok(());
    };
    let key = Digest::of(idem.key.as_bytes());
    insert_key(work, place, &key, &idem.request, new.id, new.at)
}

fn insert_key(
    work: &Work<'_>,
    place: Place,
    key: &Digest,
    request: &Digest,
    id: InvocationId,
    at: UnixMillis,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached("INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            place.pid,
            place.fid,
            key.0,
            request.0,
            id.as_bytes(),
            at.0
        ])?;
    Ok(())
}

pub(crate) fn admit(work: &mut Work<'_>, new: &NewInvocation) -> Answer<Admitted> {
    let Some(place) = work.memory.find(work.conn, &new.key)? else {
        return Ok(Err(StoreError::NotFound));
    };
    let key = new
        .idempotency
        .as_ref()
        .map(|idem| (Digest::of(idem.key.as_bytes()), idem.request));
    if let Some((key, request)) = key
        && let Some(known) = known_key(work, place, &key)?
    {
        if known.request != request {
            return Ok(Err(StoreError::IdempotencyMismatch));
        }
        return replay_or_rearm(work, place, new, known.id);
    }
    if new.start == Start::Queued && work.memory.state(place)?.queued >= u64::from(new.queue_max) {
        return Ok(Err(StoreError::QueueFull));
    }
    if let Some(hold) = &new.hold
        && !history::exists(work.conn, new.id)?
        && let Err(refused) = ledger::write(work.conn, &Entry::Hold(hold.clone()))?
    {
        return Ok(Err(StoreError::Unpaid(refused)));
    }
    if insert_invocation(work, place, new, key.map(|(key, _)| key.0))? == 0 {
        // the caller asks again after an answer that it never saw
        return replay_or_rearm(work, place, new, new.id);
    }
    remember_key(work, place, new)?;
    let fence = match new.start {
        Start::Queued => {
            insert_queue(work, place, new.at.0, new.id, &QueueEntry::waiting(0, Fence(0)))?;
            work.memory.queued(place, new.at.0, new.id)?;
            None
        }
        Start::Claimed { lease } => {
            hold(work, place, new, lease, 1, Fence(1))?;
            Some(Fence(1))
        }
    };
    Ok(Ok(Admitted::Fresh { fence }))
}

/// Writes down an invocation that waits to be claimed.
pub(crate) fn enqueue(work: &mut Work<'_>, place: Place, new: &NewInvocation) -> Result<(), Fault> {
    insert_invocation(work, place, new, None)?;
    insert_queue(work, place, new.at.0, new.id, &QueueEntry::waiting(0, Fence(0)))?;
    work.memory.queued(place, new.at.0, new.id)
}

/// Answers how many rows there are more: none when the id was there.
fn insert_invocation(
    work: &Work<'_>,
    place: Place,
    new: &NewInvocation,
    key: Option<[u8; 32]>,
) -> Result<usize, Fault> {
    Ok(work
        .conn
        .prepare_cached(
            "INSERT INTO invocation(pid, fid, id, version, origin, status, attempt, fence, rearm, run_at, \
             created_at, idem, trace, event, caller) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, ?6, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            place.pid,
            place.fid,
            new.id.as_bytes(),
            new.version.0,
            origin_number(new.origin),
            new.at.0,
            key,
            new.trace_id,
            &*new.event,
            new.caller.as_ref().map(Caller::as_str)
        ])?)
}

/// The invocation that an event had its effect in.
pub(crate) fn known_effect(
    work: &Work<'_>,
    place: Place,
    effect: &Digest,
) -> Result<Option<InvocationId>, Fault> {
    Ok(known_key(work, place, effect)?.map(|known| known.id))
}

/// Remembers that an event has its effect in an invocation.
pub(crate) fn remember_effect(
    work: &Work<'_>,
    place: Place,
    effect: &Digest,
    id: InvocationId,
    at: UnixMillis,
) -> Result<(), Fault> {
    insert_key(work, place, effect, effect, id, at)
}

/// What an invocation that was admitted before answers to the same request.
fn replay_or_rearm(
    work: &mut Work<'_>,
    place: Place,
    new: &NewInvocation,
    first: InvocationId,
) -> Answer<Admitted> {
    let interrupted = {
        let mut statement = work.conn.prepare_cached(
            "SELECT attempt, fence FROM invocation WHERE pid = ?1 AND fid = ?2 AND id = ?3 AND rearm = 1",
        )?;
        let mut rows = statement.query(params![place.pid, place.fid, first.as_bytes()])?;
        match rows.next()? {
            Some(row) => Some((row.get::<_, u32>(0)?, nat(row.get(1)?))),
            None => None,
        }
    };
    let (Some((attempt, fence)), Start::Claimed { lease }) = (interrupted, new.start) else {
        return Ok(match history::by_id(work.conn, first)? {
            Some(record) if record.key == new.key => Ok(Admitted::Replay {
                record: Box::new(record),
            }),
            _ => Err(Fault::Misuse("an invocation id that another function has used").into()),
        });
    };
    let (attempt, fence) = (attempt.saturating_add(1), Fence(fence.saturating_add(1)));
    work.conn
        .prepare_cached(
            "UPDATE invocation SET status = 0, rearm = 0, finished_at = NULL, detail = NULL, recording = NULL, \
             run_at = ?4, version = ?5, trace = ?6, caller = ?7 WHERE pid = ?1 AND fid = ?2 AND id = ?3",
        )?
        .execute(params![
            place.pid,
            place.fid,
            first.as_bytes(),
            new.at.0,
            new.version.0,
            new.trace_id,
            new.caller.as_ref().map(Caller::as_str)
        ])?;
    work.memory.resumed(place)?;
    let again = NewInvocation {
        id: first,
        ..new.clone()
    };
    hold(work, place, &again, lease, attempt, fence)?;
    Ok(Ok(Admitted::Rearmed {
        id: first,
        fence,
        attempt: Attempt(attempt),
    }))
}

/// Writes down that a synchronous caller runs an invocation.
fn hold(
    work: &mut Work<'_>,
    place: Place,
    new: &NewInvocation,
    lease: Duration,
    attempt: u32,
    fence: Fence,
) -> Result<(), Fault> {
    let claim = Running {
        place,
        run_at: new.at.0,
        attempt,
        fence,
        lease_until: new.at.plus(lease).0,
        waits: true,
    };
    let entry = QueueEntry {
        state: 1,
        attempt,
        fence,
        waits: true,
        lease_until: Some(claim.lease_until),
    };
    insert_queue(work, place, new.at.0, new.id, &entry)?;
    work.memory.claimed(new.id, claim)
}

/// The columns of `queue` beside its key.
pub(crate) struct QueueEntry {
    state: i64,
    attempt: u32,
    fence: Fence,
    waits: bool,
    lease_until: Option<i64>,
}

impl QueueEntry {
    pub(crate) fn waiting(attempt: u32, fence: Fence) -> Self {
        Self {
            state: 0,
            attempt,
            fence,
            waits: false,
            lease_until: None,
        }
    }
}

pub(crate) fn insert_queue(
    work: &Work<'_>,
    place: Place,
    run_at: i64,
    id: InvocationId,
    entry: &QueueEntry,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached("INSERT INTO queue VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            place.pid,
            place.fid,
            run_at,
            id.as_bytes(),
            entry.state,
            entry.attempt,
            int(entry.fence.0),
            entry.waits,
            entry.lease_until
        ])?;
    Ok(())
}

fn delete_queue(work: &Work<'_>, claim: &Running, id: InvocationId) -> Result<(), Fault> {
    work.conn
        .prepare_cached("DELETE FROM queue WHERE pid = ?1 AND fid = ?2 AND run_at = ?3 AND id = ?4")?
        .execute(params![
            claim.place.pid,
            claim.place.fid,
            claim.run_at,
            id.as_bytes()
        ])?;
    Ok(())
}

pub(crate) fn claim(
    work: &mut Work<'_>,
    now: UnixMillis,
    lease: Duration,
    limit: u32,
    rooms: &Rooms,
) -> Answer<Vec<Claimed>> {
    // heads are in memory: what waits behind them costs nothing
    let due = work.memory.due(now);
    let mut round = rooms.round(due.iter().map(|state| (&state.key, u32::MAX)));
    let mut heads: Vec<_> = due.iter().map(|state| (state.place, state.head)).collect();
    let mut claimed = Vec::new();
    while u32::try_from(claimed.len()).is_ok_and(|n| n < limit)
        && let Some((place, head)) = round.first().and_then(|at| heads.get_mut(at))
        && let Some((run_at, id)) = *head
    {
        claimed.push(claim_head(work, *place, run_at, id, now.plus(lease))?);
        let next = work.memory.state(*place)?.head;
        *head = next.filter(|(run_at, _)| *run_at <= now.0);
        round.took(head.is_some());
    }
    Ok(Ok(claimed))
}

fn claim_head(
    work: &mut Work<'_>,
    place: Place,
    run_at: i64,
    id: InvocationId,
    until: UnixMillis,
) -> Result<Claimed, Fault> {
    let (attempt, fence) = work
        .conn
        .prepare_cached(
            "UPDATE queue SET state = 1, attempt = attempt + 1, fence = fence + 1, lease_until = ?5 \
             WHERE pid = ?1 AND fid = ?2 AND run_at = ?3 AND id = ?4 RETURNING attempt, fence",
        )?
        .query_row(
            params![place.pid, place.fid, run_at, id.as_bytes(), until.0],
            |r| Ok((r.get::<_, u32>(0)?, nat(r.get(1)?))),
        )?;
    let mut statement = work.conn.prepare_cached(
        "SELECT version, created_at, trace, event, origin, caller FROM invocation WHERE pid = ?1 AND fid = ?2 AND id = ?3",
    )?;
    let mut rows = statement.query(params![place.pid, place.fid, id.as_bytes()])?;
    let row = rows.next()?.ok_or(Fault::Damaged("queue"))?;
    let claimed = Claimed {
        id,
        key: work.memory.state(place)?.key.clone(),
        version: Version(row.get(0)?),
        created_at: UnixMillis(row.get(1)?),
        trace_id: fixed(row, 2, "trace id")?,
        event: row.get::<_, Vec<u8>>(3)?.into(),
        fence: Fence(fence),
        attempt: Attempt(attempt),
        origin: origin(row.get(4)?)?,
        caller: caller(row, 5)?,
        depth: 0,
        hold: ledger::open_hold(work.conn, id)?,
    };
    let claimed = Claimed {
        depth: if claimed.origin.is_trigger() {
            triggers::depth_of(work.conn, place, id)?
        } else {
            0
        },
        ..claimed
    };
    work.memory.unqueued_head(work.conn, place)?;
    let held = Running {
        place,
        run_at,
        attempt,
        fence: claimed.fence,
        lease_until: until.0,
        waits: false,
    };
    work.memory.claimed(id, held)?;
    Ok(claimed)
}

/// Puts claims back into the queue as if they had never been made, but for their fence.
pub(crate) fn release(work: &mut Work<'_>, held: &[(InvocationId, Fence)]) -> Answer<()> {
    for (id, fence) in held {
        let claim = work.memory.running.get(id).copied();
        let Some(claim) = claim.filter(|c| c.fence == *fence && !c.waits) else {
            continue;
        };
        put_back(work, *id, &claim, claim.attempt.saturating_sub(1))?;
    }
    Ok(Ok(()))
}

/// A claim is a queued invocation again, after so many attempts.
fn put_back(work: &mut Work<'_>, id: InvocationId, claim: &Running, attempt: u32) -> Result<(), Fault> {
    work.memory.unclaimed(id)?;
    work.conn
        .prepare_cached(
            "UPDATE queue SET state = 0, attempt = ?5, lease_until = NULL \
             WHERE pid = ?1 AND fid = ?2 AND run_at = ?3 AND id = ?4",
        )?
        .execute(params![
            claim.place.pid,
            claim.place.fid,
            claim.run_at,
            id.as_bytes(),
            attempt
        ])?;
    work.memory.queued(claim.place, claim.run_at, id)
}

pub(crate) fn renew(
    work: &mut Work<'_>,
    held: &[(InvocationId, Fence)],
    until: UnixMillis,
) -> Answer<Vec<InvocationId>> {
    let mut lost = Vec::new();
    for (id, fence) in held {
        let Some(claim) = work.memory.running.get_mut(id).filter(|c| c.fence == *fence) else {
            lost.push(*id);
            continue;
        };
        claim.lease_until = until.0;
        work.conn
            .prepare_cached(
                "UPDATE queue SET lease_until = ?5 WHERE pid = ?1 AND fid = ?2 AND run_at = ?3 AND id = ?4",
            )?
            .execute(params![
                claim.place.pid,
                claim.place.fid,
                claim.run_at,
                id.as_bytes(),
                until.0
            ])?;
    }
    Ok(Ok(lost))
}

pub(crate) fn finish(work: &mut Work<'_>, finish: &Finish, encoded: &Encoded) -> Answer<()> {
    let id = finish.id;
    let Some(claim) = work.memory.running.get(&id).copied() else {
        if history::exists(work.conn, id)? {
            return Ok(Err(StoreError::Fenced));
        }
        ledger::charge(work.conn, finish)?;
        return Ok(Err(StoreError::NotFound));
    };
    if claim.fence != finish.fence {
        return Ok(Err(StoreError::Fenced));
    }
    if let Outcome::Retry { at, .. } = finish.outcome {
        return retry(work, finish, encoded, &claim, at);
    }
    let status = status_of(finish).unwrap_or(FAILED);
    if !triggers::has_room(work, &finish.emitted, finish.queue_max)? {
        return Ok(Err(StoreError::QueueFull));
    }
    if let Err(refusal) = kv::commit(work, claim.place.pid, finish)? {
        return Ok(Err(refusal));
    }
    ledger::charge(work.conn, finish)?;
    delete_queue(work, &claim, id)?;
    work.conn
        .prepare_cached(
            "UPDATE invocation SET status = ?4, attempt = ?5, fence = ?6, finished_at = ?7, detail = ?8, \
             result = ?9, recording = ?10, rearm = ?11 WHERE pid = ?1 AND fid = ?2 AND id = ?3",
        )?
        .execute(params![
            claim.place.pid,
            claim.place.fid,
            id.as_bytes(),
            status,
            claim.attempt,
            int(claim.fence.0),
            finish.at.0,
            encoded.detail,
            result(finish),
            encoded.recording,
            is_rearmed(finish)
        ])?;
    promise::ended(work.conn, claim.place, id)?;
    triggers::ended(work.conn, id)?;
    triggers::emitted(work, &finish.emitted, finish.at)?;
    work.memory.unclaimed(id)?;
    work.memory.ended(claim.place, status == SUCCEEDED)?;
    Ok(Ok(()))
}

/// The attempt failed; the invocation waits for its next one and shows why.
fn retry(
    work: &mut Work<'_>,
    finish: &Finish,
    encoded: &Encoded,
    claim: &Running,
    at: UnixMillis,
) -> Answer<()> {
    if claim.waits {
        return Ok(Err(Fault::Misuse("a retry of a synchronous invocation").into()));
    }
    let id = finish.id;
    ledger::charge(work.conn, finish)?;
    delete_queue(work, claim, id)?;
    let entry = QueueEntry::waiting(claim.attempt, claim.fence);
    insert_queue(work, claim.place, at.0, id, &entry)?;
    work.conn
        .prepare_cached(
            "UPDATE invocation SET run_at = ?4, detail = ?5, recording = ?6 \
             WHERE pid = ?1 AND fid = ?2 AND id = ?3",
        )?
        .execute(params![
            claim.place.pid,
            claim.place.fid,
            id.as_bytes(),
            at.0,
            encoded.detail,
            encoded.recording
        ])?;
    work.memory.unclaimed(id)?;
    work.memory.queued(claim.place, at.0, id)?;
    Ok(Ok(()))
}

pub(crate) fn record(work: &mut Work<'_>, record: &Record, encoded: &Encoded) -> Answer<()> {
    let Record { new, finish } = record;
    let Some(place) = work.memory.find(work.conn, &new.key)? else {
        ledger::charge(work.conn, finish)?;
        return Ok(Err(StoreError::NotFound));
    };
    let Some(status) = status_of(finish) else {
        return Ok(Err(Fault::Misuse("a retry of a synchronous invocation").into()));
    };
    let key = new
        .idempotency
        .as_ref()
        .map(|idem| Digest::of(idem.key.as_bytes()));
    if let (Some(key), Some(idem)) = (&key, &new.idempotency)
        && let Some(known) = known_key(work, place, key)?
    {
        return Ok(if known.request == idem.request {
            Ok(()) // committed before; at most once
        } else {
            Err(StoreError::IdempotencyMismatch)
        });
    }
    if !finish.kv.is_empty() && history::exists(work.conn, new.id)? {
        return Ok(Err(StoreError::Fenced));
    }
    if !triggers::has_room(work, &finish.emitted, finish.queue_max)? {
        return Ok(Err(StoreError::QueueFull));
    }
    if let Err(refusal) = kv::commit(work, place.pid, finish)? {
        return Ok(Err(refusal));
    }
    let inserted = work
        .conn
        .prepare_cached(
            "INSERT INTO invocation VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 1, 0, ?7, ?7, ?8, ?9, ?10, ?11, ?12, \
             ?13, ?14, ?15) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            place.pid,
            place.fid,
            new.id.as_bytes(),
            new.version.0,
            origin_number(new.origin),
            status,
            new.at.0,
            finish.at.0,
            key.map(|k| k.0),
            new.trace_id,
            encoded.detail,
            result(finish),
            &*new.event,
            encoded.recording,
            new.caller.as_ref().map(Caller::as_str)
        ])?;
    if inserted == 0 {
        return Ok(Err(StoreError::Fenced)); // it has ended
    }
    ledger::charge(work.conn, finish)?;
    remember_key(work, place, new)?;
    triggers::emitted(work, &finish.emitted, finish.at)?;
    work.memory.ended(place, status == SUCCEEDED)?;
    Ok(Ok(()))
}

/// Why a claim has no owner any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its lease ended: an attempt.
    Lease,
    /// The whole process ended, which says nothing of the invocations that it ran: no attempt. The fence still grows
    /// with each claim, so that whoever takes processes along is known in the end.
    Process,
}

/// Ends every claim that `which` picks by its lease: back to the queue, or failed when its caller is gone.
pub(crate) fn give_up(
    work: &mut Work<'_>,
    now: UnixMillis,
    lost_by: Lost,
    which: impl Fn(UnixMillis) -> bool,
) -> Result<u32, Fault> {
    let lost: Vec<(InvocationId, Running)> = work
        .memory
        .running
        .iter()
        .filter(|(_, claim)| which(UnixMillis(claim.lease_until)))
        .map(|(id, claim)| (*id, *claim))
        .collect();
    for (id, claim) in &lost {
        if claim.waits {
            work.memory.unclaimed(*id)?;
            interrupt(work, *id, claim, now)?;
        } else {
            let attempt = claim.attempt.saturating_sub(u32::from(lost_by == Lost::Process));
            put_back(work, *id, claim, attempt)?;
        }
    }
    Ok(u32::try_from(lost.len()).unwrap_or(u32::MAX))
}

/// A keyed synchronous invocation lost its process: failed, until its caller sends the key again.
fn interrupt(work: &mut Work<'_>, id: InvocationId, claim: &Running, now: UnixMillis) -> Result<(), Fault> {
    let detail = interrupted()?;
    delete_queue(work, claim, id)?;
    work.conn
        .prepare_cached(
            "UPDATE invocation SET status = ?4, rearm = 1, attempt = ?5, fence = ?6, finished_at = ?7, \
             detail = ?8 WHERE pid = ?1 AND fid = ?2 AND id = ?3 AND status = ?9",
        )?
        .execute(params![
            claim.place.pid,
            claim.place.fid,
            id.as_bytes(),
            FAILED,
            claim.attempt,
            int(claim.fence.0),
            now.0,
            detail,
            LIVE
        ])?;
    work.memory.ended(claim.place, false)
}
