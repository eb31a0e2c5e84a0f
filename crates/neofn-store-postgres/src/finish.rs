//! The ends of attempts: whoever holds the newest fence of an invocation may end it; nobody else, and only once. The
//! fence is checked in the transaction that writes the result.

use crate::admit::Answer;
use crate::batch::Group;
use crate::error::Fault;
use crate::queue::{Done, Op, Verdict};
use crate::rows::{Place, id, with_bytes};
use crate::time::now;
use crate::{kv, promise, triggers};
use neofn_engine::port::{Finish, Outcome, StoreError};
use neofn_rows::{Encoded, LIVE, SUCCEEDED, is_rearmed, nat, result, status_of};
use neofn_types::{Fence, InvocationId};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

/// A claim, locked.
#[derive(Debug, Clone)]
struct Claim {
    place: Place,
    attempt: i64,
    fence: Fence,
    waits: bool,
}

/// Ends the attempts of a group.
pub(crate) async fn many<'a>(
    group: &mut Group<'a>,
    ops: &'a [Op],
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Fault> {
    let finishes: Vec<(usize, &'a Finish, &'a Encoded)> = ops
        .iter()
        .enumerate()
        .filter_map(|(n, op)| match op {
            Op::Finish(f) => Some((n, &f.0, &f.1)),
            _ => None,
        })
        .collect();
    if finishes.is_empty() {
        return Ok(());
    }
    let mut claims = lock(group.conn, finishes.iter().map(|(_, f, _)| f.id)).await?;
    let mut ended = Vec::new();
    let mut tried = Vec::new();
    let mut loads = triggers::Loads::default();
    for (n, finish, encoded) in finishes {
        let claim = claims
            .get(&finish.id)
            .filter(|c| c.fence == finish.fence)
            .cloned();
        let verdict = match claim {
            None => gone(group, finish, encoded).await?,
            Some(claim) if matches!(finish.outcome, Outcome::Retry { .. }) => {
                if claim.waits {
                    Err(Fault::Misuse("a retry of a synchronous invocation").into())
                } else {
                    tried.push((claim, finish, encoded));
                    Ok(Done::Written)
                }
            }
            Some(claim) => match commit(group.conn, &mut loads, claim.place, finish).await? {
                Ok(()) => {
                    ended.push((claim, finish, encoded));
                    Ok(Done::Written)
                }
                Err(refusal) => Err(refusal),
            },
        };
        let due = match &verdict {
            // the same end twice in one group: the second is too late
            Ok(_) => claims.remove(&finish.id).is_some(),
            // its function was deleted meanwhile
            Err(StoreError::NotFound) => true,
            Err(_) => false,
        };
        if due {
            group.charges.push(finish);
        }
        if let Some(slot) = verdicts.get_mut(n) {
            *slot = Some(verdict);
        }
    }
    retry(group.conn, &tried).await?;
    end(group, &ended).await?;
    for (_, finish, _) in &ended {
        triggers::emitted(group.conn, &mut group.counts, &finish.emitted, finish.at).await?;
    }
    Ok(())
}

/// Writes what a run wrote, if there is room for what it emitted, too.
pub(crate) async fn commit(
    conn: &mut PgConnection,
    loads: &mut triggers::Loads,
    place: Place,
    finish: &Finish,
) -> Answer<()> {
    if !triggers::has_room(conn, loads, &finish.emitted, finish.queue_max).await? {
        return Ok(Err(StoreError::QueueFull));
    }
    kv::commit(conn, place.pid, finish).await
}

/// The claims that exist, in an order that all writers share.
async fn lock(
    conn: &mut PgConnection,
    ids: impl Iterator<Item = InvocationId>,
) -> Result<HashMap<InvocationId, Claim>, Fault> {
    let ids: Vec<Vec<u8>> = ids.map(|id| id.as_bytes().to_vec()).collect();
    let rows = sqlx::query(
        "SELECT q.id, q.pid, q.fid, q.attempt, q.fence, q.waits FROM queue q \
         JOIN function f ON f.pid = q.pid AND f.fid = q.fid WHERE q.id = ANY($1) AND q.state = 1 \
         ORDER BY q.id FOR UPDATE OF q",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let claim = Claim {
                place: Place::at(row, 1)?,
                attempt: row.try_get(3)?,
                fence: Fence(nat(row.try_get(4)?)),
                waits: row.try_get(5)?,
            };
            Ok((id(row, 0)?, claim))
        })
        .collect()
}

/// There is no such claim. When this command was tried before, that may be its own doing.
async fn gone(group: &mut Group<'_>, finish: &Finish, encoded: &Encoded) -> Result<Verdict, Fault> {
    let found = sqlx::query(
        "SELECT i.status, i.fence, i.rearm, coalesce(i.recording = $2, false) FROM invocation i \
         JOIN function f ON f.pid = i.pid AND f.fid = i.fid WHERE i.id = $1",
    )
    .bind(finish.id.as_bytes().as_slice())
    .bind(&encoded.recording)
    .fetch_optional(&mut *group.conn)
    .await?;
    let Some(row) = found else {
        return Ok(Err(StoreError::NotFound));
    };
    let (status, fence, rearm): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let ours = match finish.outcome {
        // each attempt has a seed of its own, so that no other wrote this
        Outcome::Retry { .. } => status == LIVE && row.try_get(3)?,
        _ => status_of(finish) == Some(status) && nat(fence) == finish.fence.0 && rearm == is_rearmed(finish),
    };
    Ok(if group.again && ours {
        Ok(Done::Written)
    } else {
        Err(StoreError::Fenced)
    })
}

/// Attempts that failed; their invocations wait for the next one and show why.
async fn retry(conn: &mut PgConnection, tried: &[(Claim, &Finish, &Encoded)]) -> Result<(), Fault> {
    for (claim, finish, encoded) in tried {
        let Outcome::Retry { at, .. } = finish.outcome else {
            continue;
        };
        // the same moment in the database's time
        let run_at: i64 = sqlx::query_scalar(concat!(
            "UPDATE queue SET state = 0, run_at = $4 + (",
            now!("$5"),
            " - $5), lease_until = NULL WHERE pid = $1 AND fid = $2 AND id = $3 RETURNING run_at"
        ))
        .bind(claim.place.pid)
        .bind(claim.place.fid)
        .bind(finish.id.as_bytes().as_slice())
        .bind(at.0)
        .bind(finish.at.0)
        .fetch_one(&mut *conn)
        .await?;
        sqlx::query(
            "UPDATE invocation SET run_at = $4, detail = $5, recording = $6 WHERE pid = $1 AND fid = $2 AND id = $3",
        )
        .bind(claim.place.pid)
        .bind(claim.place.fid)
        .bind(finish.id.as_bytes().as_slice())
        .bind(run_at)
        .bind(&encoded.detail)
        .bind(&encoded.recording)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn end(group: &mut Group<'_>, ended: &[(Claim, &Finish, &Encoded)]) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut numbers: [Vec<i64>; 7] = Default::default();
    let mut ids: Vec<&[u8]> = Vec::new();
    let mut details: Vec<&[u8]> = Vec::new();
    let mut recordings: Vec<&[u8]> = Vec::new();
    let mut results: Vec<Option<&[u8]>> = Vec::new();
    for (claim, finish, encoded) in ended {
        let row = [
            claim.place.pid,
            claim.place.fid,
            status_of(finish).unwrap_or(neofn_rows::FAILED),
            claim.attempt,
            neofn_rows::int(claim.fence.0),
            finish.at.0,
            i64::from(is_rearmed(finish)),
        ];
        for (column, value) in numbers.iter_mut().zip(row) {
            column.push(value);
        }
        ids.push(finish.id.as_bytes());
        details.push(&encoded.detail);
        recordings.push(&encoded.recording);
        results.push(result(finish));
    }
    let [pids, fids, statuses, attempts, fences, at, rearmed] = numbers;
    let rows = sqlx::query(with_bytes!(
        "WITH n AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[], $11::bigint[]) \
         AS n(npid, nfid, nid, nstatus, nattempt, nfence, nat, ndetail, nresult, nrecording, nrearm)), \
         gone AS (DELETE FROM queue q USING n WHERE q.pid = n.npid AND q.fid = n.nfid AND q.id = n.nid), \
         freed AS (UPDATE lane l SET running = NULL FROM n WHERE l.running = n.nid RETURNING l.running) \
         UPDATE invocation SET status = nstatus, attempt = nattempt, fence = nfence, finished_at = nat, \
         detail = ndetail, result = nresult, recording = nrecording, rearm = nrearm = 1 FROM n \
         WHERE pid = npid AND fid = nfid AND id = nid RETURNING pid, fid, status, ",
        ", (SELECT count(*) FROM freed)"
    ))
    .bind(&pids)
    .bind(&fids)
    .bind(&ids)
    .bind(statuses)
    .bind(attempts)
    .bind(fences)
    .bind(at)
    .bind(details)
    .bind(results)
    .bind(recordings)
    .bind(rearmed)
    .fetch_all(&mut *group.conn)
    .await?;
    let mut freed = 0_i64;
    for row in rows {
        let status: i64 = row.try_get(2)?;
        group
            .counts
            .ended(Place::at(&row, 0)?, status == SUCCEEDED, row.try_get(3)?);
        freed = freed.max(row.try_get(4)?);
    }
    promise::ended(group.conn, &pids, &fids, &ids).await?;
    if freed > 0 {
        triggers::drop_empty_lanes(group.conn, &pids, &fids).await?;
    }
    Ok(())
}
