//! Claims: taken in batches past rows that other nodes are taking, renewed, given back, and given up when their lease
//! has ended.

use crate::batch::Counts;
use crate::error::Fault;
use crate::ledger;
use crate::rows::{Place, caller, fixed, id, key, with_bytes};
use crate::time::{self, now};
use neofn_engine::port::{Claimed, Rooms};
use neofn_gas::ledger::TransferId;
use neofn_rows::{FAILED, int, interrupted, nat, nat32, origin};
use neofn_types::{Attempt, Fence, FunctionKey, InvocationId, UnixMillis, Version};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::HashMap;
use std::time::Duration;

/// Walks from function to function over the index on what waits, so that its cost does not depend on how much waits.
macro_rules! heads {
    ($($rest:tt)*) => {
        concat!(
            "WITH RECURSIVE head AS (\
             (SELECT pid, fid, run_at, id FROM queue WHERE state = 0 ORDER BY pid, fid, run_at, id LIMIT 1) \
             UNION ALL SELECT next.pid, next.fid, next.run_at, next.id FROM head CROSS JOIN LATERAL (\
             SELECT pid, fid, run_at, id FROM queue WHERE state = 0 AND (pid, fid) > (head.pid, head.fid) \
             ORDER BY pid, fid, run_at, id LIMIT 1) AS next) ",
            $($rest)*
        )
    };
}

/// When the next waiting invocation is due, in the asker's time.
pub(crate) async fn next_due(conn: &mut PgConnection, now: UnixMillis) -> Result<Option<UnixMillis>, Fault> {
    let at: Option<i64> =
        sqlx::query_scalar(heads!("SELECT min(run_at) - (", now!("$1"), " - $1) FROM head"))
            .bind(now.0)
            .fetch_one(conn)
            .await?;
    Ok(at.map(UnixMillis))
}

/// What to claim.
pub(crate) struct Wanted<'a> {
    pub now: UnixMillis,
    pub lease: Duration,
    pub limit: u32,
    pub rooms: &'a Rooms,
}

/// A function with something due.
struct Due {
    place: Place,
    key: FunctionKey,
    /// As much as is known to be.
    waiting: u32,
    share: u32,
}

pub(crate) async fn claim(conn: &mut PgConnection, wanted: Wanted<'_>) -> Result<Vec<Claimed>, Fault> {
    let (now, mut due) = due(conn, &wanted).await?;
    let rows = loop {
        share(conn, &wanted, now, &mut due).await?;
        if due.iter().all(|due| due.share == 0) {
            return Ok(Vec::new());
        }
        let rows = take(conn, &due, now, now.plus(wanted.lease)).await?;
        if !rows.is_empty() {
            break rows;
        }
        // another node is taking all of these
        due.retain(|due| due.share == 0);
    };
    let keys: HashMap<i64, &FunctionKey> = due.iter().map(|due| (due.place.fid, &due.key)).collect();
    let ahead = now.0.saturating_sub(wanted.now.0);
    let ids = rows.iter().map(|row| id(row, 1)).collect::<Result<Vec<_>, _>>()?;
    let holds = ledger::open_holds(conn, ids.into_iter()).await?;
    rows.iter()
        .map(|row| {
            let fid: i64 = row.try_get(0)?;
            let id = id(row, 1)?;
            Ok(Claimed {
                id,
                hold: holds.get(&TransferId::hold_of(id)).copied(),
                key: keys.get(&fid).copied().cloned().ok_or(Fault::Damaged("queue"))?,
                attempt: Attempt(nat32(row.try_get(2)?)),
                fence: Fence(nat(row.try_get(3)?)),
                version: Version(nat32(row.try_get(4)?)),
                // its age is measured by the asker
                created_at: UnixMillis(row.try_get::<i64, _>(5)?.saturating_sub(ahead)),
                trace_id: fixed(row, 6, "trace id")?,
                event: row.try_get::<Vec<u8>, _>(7)?.into(),
                origin: origin(row.try_get(8)?)?,
                depth: nat32(row.try_get(9)?),
                caller: caller(row, 10)?,
            })
        })
        .collect()
}

/// Functions with something due, in the order in which it is; and now, by the server's clock.
async fn due(conn: &mut PgConnection, wanted: &Wanted<'_>) -> Result<(UnixMillis, Vec<Due>), Fault> {
    let rows = sqlx::query(heads!(
        "SELECT h.pid, h.fid, p.name, f.name, c.now FROM (SELECT ",
        now!("$1"),
        " AS now) c CROSS JOIN head h JOIN function f ON f.pid = h.pid AND f.fid = h.fid \
         JOIN project p ON p.pid = h.pid WHERE h.run_at <= c.now ORDER BY h.run_at, h.id"
    ))
    .bind(wanted.now.0)
    .fetch_all(conn)
    .await?;
    let now = match rows.first() {
        Some(row) => UnixMillis(row.try_get(4)?),
        None => wanted.now,
    };
    let due = rows.iter().map(|row| {
        Ok(Due {
            place: Place::at(row, 0)?,
            key: key(row, 2)?,
            waiting: 0,
            share: 0,
        })
    });
    Ok((now, due.collect::<Result<_, Fault>>()?))
}

/// Divides the claim.
async fn share(
    conn: &mut PgConnection,
    wanted: &Wanted<'_>,
    now: UnixMillis,
    due: &mut [Due],
) -> Result<(), Fault> {
    // whose first turn comes too late while everybody else has but one gets none: only of the others it matters how much waits
    due.iter_mut().for_each(|due| due.waiting = 1);
    divide(wanted, due);
    for due in due.iter_mut() {
        let room = wanted.rooms.of(&due.key).min(wanted.limit);
        due.waiting = if due.share > 0 { room } else { 0 };
    }
    let chosen = due.iter().filter(|due| due.waiting > 0).count();
    let room: u64 = due.iter().map(|due| u64::from(due.waiting)).sum();
    if chosen > 1 && room > u64::from(wanted.limit) {
        count(conn, now, due).await?;
    }
    divide(wanted, due);
    Ok(())
}

/// By turns.
fn divide(wanted: &Wanted<'_>, due: &mut [Due]) {
    let mut round = wanted.rooms.round(due.iter().map(|due| (&due.key, due.waiting)));
    due.iter_mut().for_each(|due| due.share = 0);
    for _ in 0..wanted.limit {
        let Some(due) = round.first().and_then(|at| due.get_mut(at)) else {
            break;
        };
        due.share += 1;
        round.took(true);
    }
}

/// How much is due, up to what may be claimed.
async fn count(conn: &mut PgConnection, now: UnixMillis, due: &mut [Due]) -> Result<(), Fault> {
    let (pids, fids, most) = places(due, |due| due.waiting);
    let counts: Vec<i64> = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM (SELECT FROM queue WHERE pid = n.pid AND fid = n.fid AND state = 0 \
         AND run_at <= $4 ORDER BY run_at, id LIMIT n.most) AS q) \
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n(pid, fid, most, at) ORDER BY n.at",
    )
    .bind(pids)
    .bind(fids)
    .bind(most)
    .bind(now.0)
    .fetch_all(conn)
    .await?;
    for (due, counted) in due.iter_mut().filter(|due| due.waiting > 0).zip(counts) {
        due.waiting = nat32(counted);
    }
    Ok(())
}

/// Claims the shares, as far as no other node is taking them.
async fn take(
    conn: &mut PgConnection,
    due: &[Due],
    now: UnixMillis,
    until: UnixMillis,
) -> Result<Vec<PgRow>, Fault> {
    let (pids, fids, shares) = places(due, |due| due.share);
    let rows = sqlx::query(
        "WITH due AS (SELECT q.pid, q.fid, q.id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
         AS n(pid, fid, share) CROSS JOIN LATERAL (SELECT pid, fid, id FROM queue \
         WHERE pid = n.pid AND fid = n.fid AND state = 0 AND run_at <= $4 ORDER BY run_at, id LIMIT n.share \
         FOR UPDATE SKIP LOCKED) AS q), \
         taken AS (UPDATE queue q SET state = 1, attempt = q.attempt + 1, fence = q.fence + 1, lease_until = $5 \
         FROM due WHERE q.pid = due.pid AND q.fid = due.fid AND q.id = due.id \
         RETURNING q.pid, q.fid, q.run_at, q.id, q.attempt, q.fence) \
         SELECT t.fid, t.id, t.attempt, t.fence, i.version, i.created_at, i.trace, i.event, i.origin, \
         coalesce(d.depth, 0), i.caller FROM taken t JOIN invocation i ON i.pid = t.pid AND i.fid = t.fid AND i.id = t.id \
         LEFT JOIN fired d ON i.origin >= 5 AND d.pid = t.pid AND d.fid = t.fid AND d.id = t.id \
         ORDER BY t.run_at, t.id",
    )
    .bind(pids)
    .bind(fids)
    .bind(shares)
    .bind(now.0)
    .bind(until.0)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Those of which there is any, and how much, in columns.
fn places(due: &[Due], of: fn(&Due) -> u32) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let (mut pids, mut fids, mut most) = (Vec::new(), Vec::new(), Vec::new());
    for due in due.iter().filter(|due| of(due) > 0) {
        pids.push(due.place.pid);
        fids.push(due.place.fid);
        most.push(i64::from(of(due)));
    }
    (pids, fids, most)
}

type Columns = (Vec<Vec<u8>>, Vec<i64>);

fn columns(held: &[(InvocationId, Fence)]) -> Columns {
    held.iter()
        .map(|(id, fence)| (id.as_bytes().to_vec(), int(fence.0)))
        .unzip()
}

/// Puts claims back into the queue as if they had never been made, but for their fence.
pub(crate) async fn release(conn: &mut PgConnection, held: &[(InvocationId, Fence)]) -> Result<(), Fault> {
    let (ids, fences) = columns(held);
    sqlx::query(
        "UPDATE queue q SET state = 0, attempt = greatest(q.attempt - 1, 0), lease_until = NULL \
         FROM unnest($1::bytea[], $2::bigint[]) AS n(id, fence) \
         WHERE q.id = n.id AND q.fence = n.fence AND q.state = 1 AND NOT q.waits",
    )
    .bind(ids)
    .bind(fences)
    .execute(conn)
    .await?;
    Ok(())
}

/// Answers those that are lost.
pub(crate) async fn renew(
    conn: &mut PgConnection,
    held: &[(InvocationId, Fence)],
    now: UnixMillis,
    lease: Duration,
) -> Result<Vec<InvocationId>, Fault> {
    let (ids, fences) = columns(held);
    let rows = sqlx::query(concat!(
        "UPDATE queue q SET lease_until = $4 + ",
        now!("$3"),
        " FROM unnest($1::bytea[], $2::bigint[]) AS n(id, fence) \
         WHERE q.id = n.id AND q.fence = n.fence AND q.state = 1 RETURNING q.id"
    ))
    .bind(ids)
    .bind(fences)
    .bind(now.0)
    .bind(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    let kept: std::collections::HashSet<InvocationId> =
        rows.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
    Ok(held
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| !kept.contains(id))
        .collect())
}

/// Ends every claim whose lease has ended: back to the queue, or failed when its caller is gone. Answers how many, and by how
/// many milliseconds the database's clock is ahead of the asker's.
pub(crate) async fn requeue_expired(conn: &mut PgConnection, now: UnixMillis) -> Result<(u32, i64), Fault> {
    let ended = time::of(conn, now).await?;
    let requeued = sqlx::query(
        "UPDATE queue q SET state = 0, lease_until = NULL FROM (SELECT pid, fid, id FROM queue \
         WHERE state = 1 AND lease_until <= $1 AND NOT waits FOR UPDATE SKIP LOCKED) AS lost \
         WHERE q.pid = lost.pid AND q.fid = lost.fid AND q.id = lost.id",
    )
    .bind(ended.0)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    let waiting = sqlx::query(
        "DELETE FROM queue q USING (SELECT pid, fid, id FROM queue WHERE state = 1 AND lease_until <= $1 AND waits \
         FOR UPDATE SKIP LOCKED) AS lost WHERE q.pid = lost.pid AND q.fid = lost.fid AND q.id = lost.id \
         RETURNING q.pid, q.fid, q.id, q.attempt, q.fence",
    )
    .bind(ended.0)
    .fetch_all(&mut *conn)
    .await?;
    let mut counts = Counts::default();
    for row in &waiting {
        let place = Place::at(row, 0)?;
        // failed, until its caller sends the key again
        let bytes: i64 = sqlx::query_scalar(with_bytes!(
            "UPDATE invocation SET status = $4, rearm = true, attempt = $5, fence = $6, finished_at = $7, detail = $8 \
             WHERE pid = $1 AND fid = $2 AND id = $3 RETURNING ",
            ""
        ))
        .bind(place.pid)
        .bind(place.fid)
        .bind(row.try_get::<&[u8], _>(2)?)
        .bind(FAILED)
        .bind(row.try_get::<i64, _>(3)?)
        .bind(row.try_get::<i64, _>(4)?)
        .bind(now.0)
        .bind(interrupted()?)
        .fetch_one(&mut *conn)
        .await?;
        counts.ended(place, false, bytes);
    }
    counts.write(conn).await?;
    let lost = usize::try_from(requeued)
        .unwrap_or(usize::MAX)
        .saturating_add(waiting.len());
    let ahead = ended.0.saturating_sub(now.0);
    Ok((u32::try_from(lost).unwrap_or(u32::MAX), ahead))
}
