//! Where triggers and chains stand.

use crate::admit::Answer;
use crate::error::Fault;
use crate::rows::{Place, find, fixed, key};
use neofn_engine::port::{News, StoreError};
use neofn_engine::triggers::port::{
    ChainCursor, Change, Placing, TriggerChange, TriggerState, TriggerStatus, TriggeredFunction,
};
use neofn_event::spec::On;
use neofn_event::{TriggerId, TriggerKind, TriggerName, Triggers};
use neofn_rows::{int, nat, nat32};
use neofn_types::{Hash256, UnixMillis, Version};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

pub(super) const RUNNING: i64 = 0;
const PAUSED: i64 = 1;

pub(crate) async fn triggered(conn: &mut PgConnection) -> Result<Vec<TriggeredFunction>, Fault> {
    // the text is searched before it is parsed: most versions have no triggers
    let rows = sqlx::query(
        "SELECT p.name, f.name, f.active, f.live, v.spec FROM function f \
         JOIN version v ON v.pid = f.pid AND v.fid = f.fid AND v.version = f.live \
         JOIN project p ON p.pid = f.pid WHERE strpos(v.spec, '\"on\":') > 0",
    )
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(TriggeredFunction {
                key: key(row, 0)?,
                active: row.try_get(2)?,
                live: Version(nat32(row.try_get(3)?)),
                on: triggers(row.try_get(4)?)?,
            })
        })
        .collect()
}

/// The triggers of a version.
fn triggers(spec: &str) -> Result<Triggers, Fault> {
    let spec: neofn_registry::VersionSpec =
        serde_json::from_str(spec).map_err(|_| Fault::Damaged("version"))?;
    Ok(spec.on)
}

/// What a function that is switched on waits for under a name, until this transaction ends.
async fn wanted(conn: &mut PgConnection, place: Place, name: &TriggerName) -> Result<Option<On>, Fault> {
    // held first: a version that is read in the same statement is the one from before the wait
    let live: Option<i64> =
        sqlx::query_scalar("SELECT live FROM function WHERE pid = $1 AND fid = $2 AND active FOR SHARE")
            .bind(place.pid)
            .bind(place.fid)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(live) = live else { return Ok(None) };
    let spec: String =
        sqlx::query_scalar("SELECT spec FROM version WHERE pid = $1 AND fid = $2 AND version = $3")
            .bind(place.pid)
            .bind(place.fid)
            .bind(live)
            .fetch_one(conn)
            .await?;
    Ok(triggers(&spec)?.of(name).cloned())
}

pub(crate) async fn states(conn: &mut PgConnection) -> Result<Vec<TriggerState>, Fault> {
    let rows = sqlx::query(
        "SELECT p.name, f.name, t.name, t.kind, t.status, t.reason, t.position, t.cron_at, t.matched, t.skipped, \
         t.matched_at, t.schedule FROM trigger_state t JOIN function f ON f.pid = t.pid AND f.fid = t.fid \
         JOIN project p ON p.pid = t.pid ORDER BY t.pid, t.fid, t.name",
    )
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let name: &str = row.try_get(2)?;
            let name = name.parse().map_err(|_| Fault::Damaged("trigger name"))?;
            Ok(TriggerState {
                id: TriggerId::new(key(row, 0)?, name),
                kind: TriggerKind::find(row.try_get(3)?).ok_or(Fault::Damaged("trigger kind"))?,
                status: match row.try_get(4)? {
                    RUNNING => TriggerStatus::Running,
                    PAUSED => TriggerStatus::Paused,
                    // 2
                    _ => TriggerStatus::Off,
                },
                reason: row.try_get(5)?,
                position: row.try_get::<Option<i64>, _>(6)?.map(nat),
                cron_at: UnixMillis(row.try_get(7)?),
                matched: nat(row.try_get(8)?),
                skipped: nat(row.try_get(9)?),
                matched_at: row.try_get::<Option<i64>, _>(10)?.map(UnixMillis),
                schedule: row.try_get(11)?,
            })
        })
        .collect()
}

/// A state as commands look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) status: i64,
    pub(super) position: Option<u64>,
    pub(super) cron_at: i64,
}

macro_rules! standing {
    ($lock:literal) => {
        concat!(
            "SELECT status, position, cron_at FROM trigger_state WHERE pid = $1 AND fid = $2 AND name = $3",
            $lock
        )
    };
}

async fn look(
    conn: &mut PgConnection,
    sql: &'static str,
    place: Place,
    name: &str,
) -> Result<Option<Standing>, Fault> {
    let row = sqlx::query(sql)
        .bind(place.pid)
        .bind(place.fid)
        .bind(name)
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        Ok(Standing {
            status: row.try_get(0)?,
            position: row.try_get::<Option<i64>, _>(1)?.map(nat),
            cron_at: row.try_get(2)?,
        })
    })
    .transpose()
}

pub(super) async fn standing(
    conn: &mut PgConnection,
    place: Place,
    name: &str,
) -> Result<Option<Standing>, Fault> {
    look(conn, standing!(""), place, name).await
}
/// As `standing`, and it stands there until this transaction ends.
pub(super) async fn hold(
    conn: &mut PgConnection,
    place: Place,
    name: &str,
) -> Result<Option<Standing>, Fault> {
    look(conn, standing!(" FOR NO KEY UPDATE"), place, name).await
}

pub(crate) async fn change(
    conn: &mut PgConnection,
    changes: &[TriggerChange],
    network: Option<u32>,
    at: UnixMillis,
) -> Result<(), Fault> {
    let next = match network {
        Some(network) => cursor(conn, network).await?.map(|c| c.next),
        None => None,
    };
    for change in changes {
        if let Some(place) = find(conn, &change.id.function).await?
            && follows(conn, place, change).await?
        {
            apply(conn, place, change, next, at).await?;
        }
    }
    crate::news::tell(conn, &News::Triggers).await
}

/// Whether a change still follows from the live version, if it has to.
async fn follows(conn: &mut PgConnection, place: Place, change: &TriggerChange) -> Result<bool, Fault> {
    let name = &change.id.name;
    Ok(match &change.change {
        Change::Register { kind, schedule, .. } => wanted(conn, place, name)
            .await?
            .is_some_and(|on| on.kind() == *kind && same(&on, schedule.as_deref())),
        Change::Reschedule { schedule } => wanted(conn, place, name)
            .await?
            .is_some_and(|on| same(&on, Some(schedule))),
        Change::Off => wanted(conn, place, name).await?.is_none(),
        Change::Pause { .. } | Change::Resume { .. } | Change::Skip { .. } => true,
    })
}

fn same(on: &On, schedule: Option<&str>) -> bool {
    on.schedule().map(ToString::to_string).as_deref() == schedule
}

async fn apply(
    conn: &mut PgConnection,
    place: Place,
    change: &TriggerChange,
    next: Option<u64>,
    at: UnixMillis,
) -> Result<(), Fault> {
    let name = change.id.name.as_str();
    let (pid, fid, next) = (place.pid, place.fid, next.map(int));
    let query = match &change.change {
        Change::Register {
            kind,
            position,
            resume,
            schedule,
        } => sqlx::query(
            "INSERT INTO trigger_state AS t(pid, fid, name, kind, status, position, cron_at, schedule) \
             VALUES ($1, $2, $3, $4, 0, $5, $6, $8) ON CONFLICT (pid, fid, name) DO UPDATE SET status = 0, reason = NULL, \
             kind = excluded.kind, position = $7, cron_at = $6, schedule = $8 WHERE t.status = 2 OR t.kind <> excluded.kind",
        )
        .bind(pid)
        .bind(fid)
        .bind(name)
        .bind(kind.as_str())
        .bind(position.map(int))
        .bind(at.0)
        .bind(resume.map(int))
        .bind(schedule),
        Change::Reschedule { schedule } => sqlx::query(
            "UPDATE trigger_state SET cron_at = CASE WHEN schedule IS NULL THEN cron_at ELSE $5 END, schedule = $4 \
             WHERE pid = $1 AND fid = $2 AND name = $3 AND status < 2 AND schedule IS DISTINCT FROM $4",
        )
        .bind(pid)
        .bind(fid)
        .bind(name)
        .bind(schedule)
        .bind(at.0),
        Change::Off => sqlx::query(
            "UPDATE trigger_state SET status = 2, reason = NULL \
             WHERE pid = $1 AND fid = $2 AND name = $3 AND status < 2",
        )
        .bind(pid)
        .bind(fid)
        .bind(name),
        Change::Pause { reason } => sqlx::query(
            "UPDATE trigger_state SET status = 1, reason = $4, position = coalesce(position, $5) \
             WHERE pid = $1 AND fid = $2 AND name = $3 AND status = 0",
        )
        .bind(pid)
        .bind(fid)
        .bind(name)
        // text of PostgreSQL holds every character but one
        .bind(reason.as_ref().map(|r| r.replace('\0', " ")))
        .bind(next),
        // a cron trigger goes on with the next run: what fell into the pause was not wanted
        Change::Resume { from } => sqlx::query(
            "UPDATE trigger_state SET status = 0, reason = NULL, position = coalesce($4, position), cron_at = $5 \
             WHERE pid = $1 AND fid = $2 AND name = $3 AND status = 1",
        )
        .bind(pid)
        .bind(fid)
        .bind(name)
        .bind(from.map(int))
        .bind(at.0),
        Change::Skip { to } => sqlx::query(
            "UPDATE trigger_state SET skipped = skipped + $4 - coalesce(position, $5), position = $4 \
             WHERE pid = $1 AND fid = $2 AND name = $3 AND status = 0 AND coalesce(position, $5) < $4",
        )
        .bind(pid)
        .bind(fid)
        .bind(name)
        .bind(int(*to))
        .bind(next),
    };
    query.execute(conn).await?;
    Ok(())
}

pub(crate) async fn networks(conn: &mut PgConnection) -> Result<Vec<u32>, Fault> {
    let rows = sqlx::query("SELECT network FROM chain_cursor ORDER BY network")
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(nat32(row.try_get(0)?))).collect()
}

pub(crate) async fn cursor(conn: &mut PgConnection, network: u32) -> Result<Option<ChainCursor>, Fault> {
    read_cursor(
        conn,
        "SELECT next, previous, epoch FROM chain_cursor WHERE network = $1",
        network,
    )
    .await
}
/// As `cursor`, and it stands there until this transaction ends.
pub(super) async fn hold_cursor(conn: &mut PgConnection, network: u32) -> Result<Option<ChainCursor>, Fault> {
    read_cursor(
        conn,
        "SELECT next, previous, epoch FROM chain_cursor WHERE network = $1 FOR NO KEY UPDATE",
        network,
    )
    .await
}

async fn read_cursor(
    conn: &mut PgConnection,
    sql: &'static str,
    network: u32,
) -> Result<Option<ChainCursor>, Fault> {
    let row = sqlx::query(sql)
        .bind(i64::from(network))
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let previous: Option<&[u8]> = row.try_get(1)?;
    Ok(Some(ChainCursor {
        next: nat(row.try_get(0)?),
        previous: match previous {
            None => None,
            Some(_) => Some(Hash256(fixed(&row, 1, "block name")?)),
        },
        epoch: nat32(row.try_get(2)?),
    }))
}

/// Moves a cursor that is held.
pub(super) async fn move_cursor(conn: &mut PgConnection, network: u32, to: ChainCursor) -> Result<(), Fault> {
    write_cursor(
        conn,
        "UPDATE chain_cursor SET next = $2, previous = $3, epoch = $4 WHERE network = $1",
        network,
        to,
    )
    .await
    .map(drop)
}

/// Answers whether a row was written.
async fn write_cursor(
    conn: &mut PgConnection,
    sql: &'static str,
    network: u32,
    to: ChainCursor,
) -> Result<bool, Fault> {
    let written = sqlx::query(sql)
        .bind(i64::from(network))
        .bind(int(to.next))
        .bind(to.previous.map(|hash| hash.0.to_vec()))
        .bind(i64::from(to.epoch))
        .execute(conn)
        .await?;
    Ok(written.rows_affected() > 0)
}

pub(crate) async fn place_cursor(conn: &mut PgConnection, placing: Placing) -> Answer<ChainCursor> {
    let Placing { network, from, .. } = placing;
    if hold_cursor(conn, network).await? != from {
        return fenced();
    }
    let to = ChainCursor {
        next: placing.next,
        previous: placing.previous,
        epoch: from.map_or(0, |c| c.epoch + u32::from(placing.anew)),
    };
    if from.is_some() {
        move_cursor(conn, network, to).await?;
    } else {
        // what is not there cannot be held: another node may make it meanwhile
        let new = "INSERT INTO chain_cursor(network, next, previous, epoch) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        if !write_cursor(conn, new, network, to).await? {
            return fenced();
        }
    }
    if placing.anew {
        sqlx::query(
            "UPDATE trigger_state SET position = $1 WHERE kind IN \
             ('block', 'transaction', 'notification', 'execution')",
        )
        .bind(int(to.next))
        .execute(conn)
        .await?;
    }
    Ok(Ok(to))
}

/// A refusal of the port: somebody else was there.
pub(super) fn fenced<T>() -> Result<Result<T, StoreError>, Fault> {
    Ok(Err(StoreError::Fenced))
}
