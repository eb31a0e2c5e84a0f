//! Deliveries that wait: lanes keep their order, batches fill up, bursts are waited out. A lane's row is held while
//! its deliveries change. When they are ready is in the database's time.

use crate::admit::insert;
use crate::error::Fault;
use crate::rows::{Place, fixed, id, key};
use crate::time;
use neofn_engine::port::{NewInvocation, Start};
use neofn_engine::triggers::port::{BATCH_BYTES_MAX, Delivery, Hold, LANE_PAUSE, Released};
use neofn_rows::{int, joined, nat, nat32, origin, origin_number};
use neofn_types::{FunctionKey, InvocationId, UnixMillis, Version};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

/// Deliveries of a function that wait.
pub(super) async fn waiting(conn: &mut PgConnection, place: Place) -> Result<u64, Fault> {
    let sum: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(waiting), 0)::bigint FROM lane WHERE pid = $1 AND fid = $2")
            .bind(place.pid)
            .bind(place.fid)
            .fetch_one(conn)
            .await?;
    Ok(nat(sum))
}

pub(super) async fn hold(
    conn: &mut PgConnection,
    place: Place,
    delivery: &Delivery,
    hold: &Hold,
    at: UnixMillis,
) -> Result<(), Fault> {
    let name = delivery.trigger.name.as_str();
    let lane = hold.lane.as_bytes();
    let at = time::of(conn, at).await?;
    let wait = hold.debounce.or(hold.batch.map(|b| b.wait)).unwrap_or_default();
    let ready_at = at.plus(wait).0;
    let size = hold.batch.map_or(0, |b| b.size);
    // first of all, so that the lane is ours; it is ready when its oldest delivery is, or when a batch is full. A
    // burst is one event, its last, so with one the lane begins again
    sqlx::query(
        "INSERT INTO lane AS l VALUES ($1, $2, $3, $4, $5, $6::bigint, 1, \
         CASE WHEN $6::bigint = 1 THEN $8::bigint ELSE $7::bigint END, NULL) \
         ON CONFLICT (pid, fid, name, lane) DO UPDATE SET ordered = excluded.ordered, size = excluded.size, \
         waiting = CASE WHEN $9::boolean THEN 1 ELSE l.waiting + 1 END, \
         ready_at = CASE WHEN $6 > 0 AND (CASE WHEN $9 THEN 0 ELSE l.waiting END) + 1 >= $6 \
         THEN least(l.ready_at, $8) WHEN $9 OR l.waiting = 0 THEN $7 ELSE l.ready_at END",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(name)
    .bind(lane)
    .bind(hold.ordered)
    .bind(i64::from(size))
    .bind(ready_at)
    .bind(at.0)
    .bind(hold.debounce.is_some())
    .execute(&mut *conn)
    .await?;
    if hold.debounce.is_some() {
        sqlx::query("DELETE FROM delivery WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4")
            .bind(place.pid)
            .bind(place.fid)
            .bind(name)
            .bind(lane)
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query(
        "INSERT INTO delivery VALUES ($1, $2, $3, $4, (SELECT coalesce(max(seq), 0) + 1 FROM delivery \
         WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4), $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(name)
    .bind(lane)
    .bind(delivery.id.as_bytes().as_slice())
    .bind(i64::from(delivery.version.0))
    .bind(origin_number(delivery.origin))
    .bind(delivery.event_id.as_bytes())
    .bind(delivery.effect.0.as_slice())
    .bind(delivery.height.map(int))
    .bind(i64::from(delivery.depth))
    .bind(delivery.trace_id.as_slice())
    .bind(ready_at)
    .bind(&*delivery.event)
    .execute(conn)
    .await?;
    Ok(())
}

struct Lane {
    place: Place,
    key: FunctionKey,
    name: String,
    lane: Vec<u8>,
    ordered: bool,
    size: i64,
    waiting: i64,
}

struct Waiting {
    seq: i64,
    id: InvocationId,
    version: Version,
    origin: i64,
    event_id: Vec<u8>,
    height: Option<i64>,
    depth: i64,
    trace: [u8; 16],
    event: Vec<u8>,
}

pub(crate) async fn release_due(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: u32,
) -> Result<Released, Fault> {
    let due = time::of(conn, now).await?;
    let rows = sqlx::query(
        "SELECT l.pid, l.fid, p.name, f.name, l.name, l.lane, l.ordered, l.size, l.waiting FROM lane l \
         JOIN function f ON f.pid = l.pid AND f.fid = l.fid JOIN project p ON p.pid = l.pid \
         WHERE l.waiting > 0 AND l.running IS NULL AND l.ready_at <= $1 ORDER BY l.ready_at LIMIT $2 \
         FOR UPDATE OF l SKIP LOCKED FOR KEY SHARE OF f SKIP LOCKED",
    )
    .bind(due.0)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut done = Released::default();
    for row in &rows {
        let lane = Lane {
            place: Place::at(row, 0)?,
            key: key(row, 2)?,
            name: row.try_get(4)?,
            lane: row.try_get(5)?,
            ordered: row.try_get(6)?,
            size: row.try_get(7)?,
            waiting: row.try_get(8)?,
        };
        done.released += u32::from(released(conn, &lane, now, due).await?);
    }
    let next: Option<i64> =
        sqlx::query_scalar("SELECT min(ready_at) FROM lane WHERE waiting > 0 AND running IS NULL")
            .fetch_one(conn)
            .await?;
    let ahead = due.0.saturating_sub(now.0);
    done.next = next.map(|at| UnixMillis(at.saturating_sub(ahead)));
    Ok(done)
}

/// Releases a lane, or puts it off when the fault is its own; whether it went. `now` is the asker's, `due` the same moment in the
/// database's time.
async fn released(
    conn: &mut PgConnection,
    lane: &Lane,
    now: UnixMillis,
    due: UnixMillis,
) -> Result<bool, Fault> {
    sqlx::query("SAVEPOINT lane").execute(&mut *conn).await?;
    let went = match release(conn, lane, now, due).await {
        Ok(()) => true,
        Err(fault) if fault.is_the_commands_own() => {
            sqlx::query("ROLLBACK TO SAVEPOINT lane")
                .execute(&mut *conn)
                .await?;
            tracing::error!(error = %fault, function = %lane.key, trigger = lane.name, "deliveries not released");
            sqlx::query(
                "UPDATE lane SET ready_at = $5 WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4",
            )
            .bind(lane.place.pid)
            .bind(lane.place.fid)
            .bind(&lane.name)
            .bind(&lane.lane)
            .bind(due.plus(LANE_PAUSE).0)
            .execute(&mut *conn)
            .await?;
            false
        }
        Err(fault) => return Err(fault),
    };
    sqlx::query("RELEASE SAVEPOINT lane").execute(conn).await?;
    Ok(went)
}

async fn release(
    conn: &mut PgConnection,
    lane: &Lane,
    now: UnixMillis,
    due: UnixMillis,
) -> Result<(), Fault> {
    let taken = first(conn, lane).await?;
    let (Some(head), Some(last)) = (taken.first(), taken.last()) else {
        return Err(Fault::Damaged("lane"));
    };
    let event = if lane.size == 0 {
        head.event.clone()
    } else {
        joined(&taken.iter().map(|w| w.event.as_slice()).collect::<Vec<_>>())
    };
    let origin = origin(head.origin)?;
    let new = NewInvocation {
        id: head.id,
        key: lane.key.clone(),
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
    insert(conn, std::iter::once((lane.place, &new))).await?;
    let cause = super::fired::Cause {
        name: &lane.name,
        event_id: &head.event_id,
        height: last.height,
        depth: taken.iter().map(|w| w.depth).max().unwrap_or(0),
    };
    super::fired::insert(conn, lane.place, head.id, cause).await?;
    sqlx::query("DELETE FROM delivery WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4 AND seq <= $5")
        .bind(lane.place.pid)
        .bind(lane.place.fid)
        .bind(&lane.name)
        .bind(&lane.lane)
        .bind(last.seq)
        .execute(&mut *conn)
        .await?;
    settle(conn, lane, taken.len(), head.id, due).await
}

/// What remains of a lane of which so many deliveries went.
async fn settle(
    conn: &mut PgConnection,
    lane: &Lane,
    went: usize,
    head: InvocationId,
    due: UnixMillis,
) -> Result<(), Fault> {
    let went = i64::try_from(went).unwrap_or(i64::MAX);
    let left = lane.waiting - went;
    if left <= 0 && !lane.ordered {
        sqlx::query("DELETE FROM lane WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4")
            .bind(lane.place.pid)
            .bind(lane.place.fid)
            .bind(&lane.name)
            .bind(&lane.lane)
            .execute(conn)
            .await?;
        return Ok(());
    }
    // another batch is full, or what is left had no room in this one
    let full = lane.size > 0 && (left >= lane.size || went < lane.size);
    sqlx::query(
        "UPDATE lane SET waiting = greatest($5, 0), running = $7, ready_at = CASE WHEN $8 THEN $6 ELSE coalesce(\
         (SELECT d.ready_at FROM delivery d WHERE d.pid = $1 AND d.fid = $2 AND d.name = $3 AND d.lane = $4 \
         ORDER BY d.seq LIMIT 1), $6) END WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4",
    )
    .bind(lane.place.pid)
    .bind(lane.place.fid)
    .bind(&lane.name)
    .bind(&lane.lane)
    .bind(left)
    .bind(due.0)
    .bind(lane.ordered.then(|| head.as_bytes().to_vec()))
    .bind(full)
    .execute(conn)
    .await?;
    Ok(())
}

/// What goes together, oldest first: no more events than make a batch, nor more bytes.
async fn first(conn: &mut PgConnection, lane: &Lane) -> Result<Vec<Waiting>, Fault> {
    let rows = sqlx::query(
        "SELECT seq, id, version, origin, event_id, height, depth, trace, event FROM (\
         SELECT *, row_number() OVER o AS nth, sum(octet_length(event)) OVER o AS bytes FROM delivery \
         WHERE pid = $1 AND fid = $2 AND name = $3 AND lane = $4 WINDOW o AS (ORDER BY seq) ORDER BY seq LIMIT $5) d \
         WHERE nth = 1 OR bytes <= $6 ORDER BY seq",
    )
    .bind(lane.place.pid)
    .bind(lane.place.fid)
    .bind(&lane.name)
    .bind(&lane.lane)
    .bind(lane.size.max(1))
    .bind(i64::try_from(BATCH_BYTES_MAX).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                seq: row.try_get(0)?,
                id: id(row, 1)?,
                version: Version(nat32(row.try_get(2)?)),
                origin: row.try_get(3)?,
                event_id: row.try_get(4)?,
                height: row.try_get(5)?,
                depth: row.try_get(6)?,
                trace: fixed(row, 7, "trace id")?,
                event: row.try_get(8)?,
            })
        })
        .collect()
}

/// Removes lanes of these functions in which nothing waits or runs any more.
pub(crate) async fn drop_empty_lanes(
    conn: &mut PgConnection,
    pids: &[i64],
    fids: &[i64],
) -> Result<(), Fault> {
    sqlx::query(
        "DELETE FROM lane l USING (SELECT DISTINCT * FROM unnest($1::bigint[], $2::bigint[]) AS n(pid, fid)) AS n \
         WHERE l.pid = n.pid AND l.fid = n.fid AND l.waiting = 0 AND l.running IS NULL",
    )
    .bind(pids)
    .bind(fids)
    .execute(conn)
    .await?;
    Ok(())
}
