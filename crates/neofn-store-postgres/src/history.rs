//! Invocations as history shows them.

use crate::error::Fault;
use crate::rows::{Place, caller, fixed, id, key};
use neofn_engine::port::{InvocationFilter, InvocationRecord, Replayable, Status, Totals};
use neofn_rows::{DEAD, FAILED, SUCCEEDED, nat, nat32, origin, status, unpack_detail, unpack_recording};
use neofn_types::{Attempt, FunctionKey, InvocationId, UnixMillis, Version};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// The columns that [`record`] reads, `more` ones, and where they come from. A deleted function has no history,
/// whatever rows remain of it.
macro_rules! invocations {
    ($more:literal, $($rest:tt)*) => {
        concat!(
            "SELECT p.name, f.name, i.id, i.version, i.origin, i.status, i.attempt, i.run_at, i.created_at, \
             i.finished_at, i.trace, i.detail, i.result, q.state, q.attempt, q.run_at",
            $more,
            " FROM invocation i JOIN function f ON f.pid = i.pid AND f.fid = i.fid JOIN project p ON p.pid = i.pid \
             LEFT JOIN queue q ON i.status = 0 AND q.pid = i.pid AND q.fid = i.fid AND q.id = i.id ",
            $($rest)*
        )
    };
}

pub(crate) async fn by_id(
    conn: &mut PgConnection,
    id: InvocationId,
) -> Result<Option<InvocationRecord>, Fault> {
    let row = sqlx::query(invocations!(", i.caller", "WHERE i.id = $1"))
        .bind(id.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(InvocationRecord {
        caller: caller(&row, 16)?,
        ..record(&row)?
    }))
}

pub(crate) async fn replayable(
    conn: &mut PgConnection,
    id: InvocationId,
) -> Result<Option<Replayable>, Fault> {
    let row = sqlx::query(invocations!(
        ", i.event, i.recording, i.caller",
        "WHERE i.id = $1 AND i.status >= 2 AND i.recording IS NOT NULL"
    ))
    .bind(id.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Replayable {
        record: InvocationRecord {
            caller: caller(&row, 18)?,
            ..record(&row)?
        },
        event: row.try_get::<Vec<u8>, _>(16)?.into(),
        recording: unpack_recording(row.try_get(17)?)?,
    }))
}

/// The place of a function, without holding it.
pub(crate) async fn place(conn: &mut PgConnection, key: &FunctionKey) -> Result<Option<Place>, Fault> {
    let row = sqlx::query(
        "SELECT f.pid, f.fid FROM function f JOIN project p ON p.pid = f.pid WHERE p.name = $1 AND f.name = $2",
    )
    .bind(key.project.as_ref())
    .bind(key.function.as_ref())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Place::at(&row, 0)).transpose()
}

pub(crate) async fn list(
    conn: &mut PgConnection,
    key: &FunctionKey,
    filter: InvocationFilter,
) -> Result<Vec<InvocationRecord>, Fault> {
    let Some(place) = place(conn, key).await? else {
        return Ok(Vec::new());
    };
    macro_rules! page {
        ($where:literal, $order:literal) => {
            invocations!(
                "",
                concat!(
                    "WHERE i.pid = $1 AND i.fid = $2 AND i.id > $3 AND i.id < $4 AND ",
                    $where,
                    " ORDER BY i.id ",
                    $order,
                    " LIMIT $5"
                )
            )
        };
    }
    // no id is as short as nothing or as long as 17 bytes
    let after = filter.after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let before = filter.before.as_ref().map_or(&[0xff; 17][..], |id| id.as_bytes());
    let (oldest_first, wanted) = (filter.after.is_some(), filter.status.map(number));
    // a status is written into the text where an index goes with it
    let sql = match (wanted, oldest_first) {
        (None, false) => page!("$6::bigint IS NULL", "DESC"),
        (None, true) => page!("$6::bigint IS NULL", "ASC"),
        (Some((_, true)), false) => page!("i.status = 0 AND q.state = $6", "DESC"),
        (Some((_, true)), true) => page!("i.status = 0 AND q.state = $6", "ASC"),
        (Some((FAILED | DEAD, _)), false) => page!("i.status >= 3 AND i.status = $6", "DESC"),
        (Some((FAILED | DEAD, _)), true) => page!("i.status >= 3 AND i.status = $6", "ASC"),
        (Some(_), false) => page!("i.status = $6", "DESC"),
        (Some(_), true) => page!("i.status = $6", "ASC"),
    };
    let rows = sqlx::query(sql)
        .bind(place.pid)
        .bind(place.fid)
        .bind(after)
        .bind(before)
        .bind(i64::from(filter.limit))
        .bind(wanted.map(|(n, _)| n))
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

/// The number of a status, and whether it is that of a queue's row.
fn number(status: Status) -> (i64, bool) {
    match status {
        Status::Queued => (0, true),
        Status::Running => (1, true),
        Status::Succeeded => (SUCCEEDED, false),
        Status::Failed => (FAILED, false),
        Status::Dead => (DEAD, false),
    }
}

fn record(row: &PgRow) -> Result<InvocationRecord, Fault> {
    let status = status(row.try_get(5)?, row.try_get(13)?)?;
    let detail = unpack_detail(row.try_get(11)?)?;
    let tries: i64 = match row.try_get(14)? {
        Some(tries) => tries,
        None => row.try_get(6)?,
    };
    Ok(InvocationRecord {
        id: id(row, 2)?,
        key: key(row, 0)?,
        version: Version(nat32(row.try_get(3)?)),
        origin: origin(row.try_get(4)?)?,
        caller: None,
        status,
        attempt: Attempt(nat32(tries)),
        result: row.try_get::<Option<Vec<u8>>, _>(12)?.map(Into::into),
        failure: detail.failure.filter(|_| status != Status::Running),
        logs: detail.logs,
        units: detail.units,
        duration_us: detail.duration_us,
        trace_id: fixed(row, 10, "trace id")?,
        created_at: UnixMillis(row.try_get(8)?),
        finished_at: row.try_get::<Option<i64>, _>(9)?.map(UnixMillis),
        run_at: match status {
            Status::Queued => row.try_get::<Option<i64>, _>(15)?.map(UnixMillis),
            _ => None,
        },
    })
}

pub(crate) async fn totals(conn: &mut PgConnection) -> Result<Totals, Fault> {
    let row = sqlx::query(
        "SELECT (SELECT coalesce(sum(succeeded), 0)::bigint FROM totals), \
         (SELECT coalesce(sum(failed), 0)::bigint FROM totals), \
         (SELECT count(*) FROM queue WHERE state = 0), (SELECT count(*) FROM queue WHERE state = 1)",
    )
    .fetch_one(conn)
    .await?;
    let (succeeded, failed) = (nat(row.try_get(0)?), nat(row.try_get(1)?));
    Ok(Totals {
        total: succeeded + failed,
        succeeded,
        failed,
        queued: nat(row.try_get(2)?),
        running: nat(row.try_get(3)?),
    })
}
