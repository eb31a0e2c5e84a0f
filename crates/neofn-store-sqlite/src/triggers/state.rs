//! Where triggers and chains stand.

use crate::codec::{fixed, int, key, nat};
use crate::error::Fault;
use crate::invocations::Answer;
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::StoreError;
use neofn_engine::triggers::port::{
    ChainCursor, Change, Placing, TriggerChange, TriggerState, TriggerStatus, TriggeredFunction,
};
use neofn_event::spec::On;
use neofn_event::{TriggerId, TriggerKind, TriggerName, Triggers};
use neofn_types::{Hash256, UnixMillis, Version};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) const RUNNING: i64 = 0;
const PAUSED: i64 = 1;

pub(crate) fn triggered(conn: &Connection) -> Result<Vec<TriggeredFunction>, Fault> {
    // the text is searched before it is parsed: most versions have no triggers
    let mut statement = conn.prepare_cached(
        "SELECT p.name, f.name, f.active, f.live, v.spec FROM function f \
         JOIN version v ON v.pid = f.pid AND v.fid = f.fid AND v.version = f.live \
         JOIN project p ON p.pid = f.pid WHERE instr(v.spec, '\"on\":') > 0",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(TriggeredFunction {
            key: key(row, 0)?,
            active: row.get(2)?,
            live: Version(row.get(3)?),
            on: triggers(row, 4)?,
        });
    }
    Ok(found)
}

/// The triggers of a version.
fn triggers(row: &Row<'_>, at: usize) -> Result<Triggers, Fault> {
    let spec: neofn_registry::VersionSpec =
        serde_json::from_str(&row.get::<_, String>(at)?).map_err(|_| Fault::Damaged("version"))?;
    Ok(spec.on)
}

/// What a function that is switched on waits for under a name.
fn wanted(conn: &Connection, place: Place, name: &TriggerName) -> Result<Option<On>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT v.spec FROM function f JOIN version v ON v.pid = f.pid AND v.fid = f.fid AND v.version = f.live \
         WHERE f.pid = ?1 AND f.fid = ?2 AND f.active",
    )?;
    let mut rows = statement.query([place.pid, place.fid])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(triggers(row, 0)?.of(name).cloned())
}

pub(crate) fn states(conn: &Connection) -> Result<Vec<TriggerState>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT p.name, f.name, t.name, t.kind, t.status, t.reason, t.position, t.cron_at, t.matched, t.skipped, \
         t.matched_at, t.schedule FROM trigger_state t JOIN function f ON f.fid = t.fid JOIN project p ON p.pid = t.pid",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(2)?;
        let name = name.parse().map_err(|_| Fault::Damaged("trigger name"))?;
        found.push(TriggerState {
            id: TriggerId::new(key(row, 0)?, name),
            kind: TriggerKind::find(&row.get::<_, String>(3)?).ok_or(Fault::Damaged("trigger kind"))?,
            status: match row.get(4)? {
                RUNNING => TriggerStatus::Running,
                PAUSED => TriggerStatus::Paused,
                // 2
                _ => TriggerStatus::Off,
            },
            reason: row.get(5)?,
            position: row.get::<_, Option<i64>>(6)?.map(nat),
            cron_at: UnixMillis(row.get(7)?),
            matched: nat(row.get(8)?),
            skipped: nat(row.get(9)?),
            matched_at: row.get::<_, Option<i64>>(10)?.map(UnixMillis),
            schedule: row.get(11)?,
        });
    }
    Ok(found)
}

/// A state as commands look at it.
pub(super) struct Standing {
    pub(super) status: i64,
    pub(super) position: Option<u64>,
    pub(super) cron_at: i64,
}

pub(super) fn standing(conn: &Connection, place: Place, name: &str) -> Result<Option<Standing>, Fault> {
    let found = conn
        .prepare_cached(
            "SELECT status, position, cron_at FROM trigger_state WHERE pid = ?1 AND fid = ?2 AND name = ?3",
        )?
        .query_row(params![place.pid, place.fid, name], |r| {
            Ok(Standing {
                status: r.get(0)?,
                position: r.get::<_, Option<i64>>(1)?.map(nat),
                cron_at: r.get(2)?,
            })
        })
        .optional()?;
    Ok(found)
}

pub(crate) fn change(
    work: &mut Work<'_>,
    changes: &[TriggerChange],
    network: Option<u32>,
    at: UnixMillis,
) -> Answer<()> {
    let next = match network {
        Some(network) => cursor(work.conn, network)?.map(|c| c.next),
        None => None,
    };
    for change in changes {
        let Some(place) = work.memory.find(work.conn, &change.id.function)? else {
            continue;
        };
        if follows(work.conn, place, change)? {
            apply(work.conn, place, change, next, at)?;
        }
    }
    Ok(Ok(()))
}

/// Whether a change still follows from the live version, if it has to.
fn follows(conn: &Connection, place: Place, change: &TriggerChange) -> Result<bool, Fault> {
    let wanted = || wanted(conn, place, &change.id.name);
    Ok(match &change.change {
        Change::Register { kind, schedule, .. } => {
            wanted()?.is_some_and(|on| on.kind() == *kind && same(&on, schedule.as_deref()))
        }
        Change::Reschedule { schedule } => wanted()?.is_some_and(|on| same(&on, Some(schedule))),
        Change::Off => wanted()?.is_none(),
        Change::Pause { .. } | Change::Resume { .. } | Change::Skip { .. } => true,
    })
}

fn same(on: &On, schedule: Option<&str>) -> bool {
    on.schedule().map(ToString::to_string).as_deref() == schedule
}

fn apply(
    conn: &Connection,
    place: Place,
    change: &TriggerChange,
    next: Option<u64>,
    at: UnixMillis,
) -> Result<(), Fault> {
    let name = change.id.name.as_str();
    match &change.change {
        Change::Register {
            kind,
            position,
            resume,
            schedule,
        } => {
            conn.prepare_cached(
                "INSERT INTO trigger_state(pid, fid, name, kind, status, position, cron_at, schedule) \
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?8) ON CONFLICT DO UPDATE SET status = 0, reason = NULL, \
                 kind = excluded.kind, position = ?7, cron_at = ?6, schedule = ?8 WHERE status = 2 OR kind <> excluded.kind",
            )?
            .execute(params![
                place.pid,
                place.fid,
                name,
                kind.as_str(),
                position.map(int),
                at.0,
                resume.map(int),
                schedule
            ])?;
        }
        Change::Reschedule { schedule } => {
            conn.prepare_cached(
                "UPDATE trigger_state SET cron_at = iif(schedule IS NULL, cron_at, ?5), schedule = ?4 \
                 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND status < 2 AND schedule IS NOT ?4",
            )?
            .execute(params![place.pid, place.fid, name, schedule, at.0])?;
        }
        Change::Off => set(conn, place, name, "status = 2, reason = NULL", "status < 2")?,
        Change::Pause { reason } => {
            conn.prepare_cached(
                "UPDATE trigger_state SET status = 1, reason = ?4, position = coalesce(position, ?5) \
                 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND status = 0",
            )?
            .execute(params![place.pid, place.fid, name, reason, next.map(int)])?;
        }
        Change::Resume { from } => {
            // a cron trigger goes on with the next run: what fell into the pause was not wanted
            conn.prepare_cached(
                "UPDATE trigger_state SET status = 0, reason = NULL, position = coalesce(?4, position), cron_at = ?5 \
                 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND status = 1",
            )?
            .execute(params![place.pid, place.fid, name, from.map(int), at.0])?;
        }
        Change::Skip { to } => {
            conn.prepare_cached(
                "UPDATE trigger_state SET skipped = skipped + ?4 - coalesce(position, ?5), position = ?4 \
                 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND status = 0 AND coalesce(position, ?5) < ?4",
            )?
            .execute(params![place.pid, place.fid, name, int(*to), next.map(int)])?;
        }
    }
    Ok(())
}

fn set(conn: &Connection, place: Place, name: &str, what: &str, which: &str) -> Result<(), Fault> {
    conn.prepare_cached(&format!(
        "UPDATE trigger_state SET {what} WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND {which}"
    ))?
    .execute(params![place.pid, place.fid, name])?;
    Ok(())
}

pub(crate) fn networks(conn: &Connection) -> Result<Vec<u32>, Fault> {
    let mut statement = conn.prepare_cached("SELECT network FROM chain_cursor ORDER BY network")?;
    let networks = statement.query_map([], |row| row.get(0))?;
    Ok(networks.collect::<Result<_, _>>()?)
}

pub(crate) fn cursor(conn: &Connection, network: u32) -> Result<Option<ChainCursor>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT next, previous, epoch FROM chain_cursor WHERE network = ?1")?;
    let mut rows = statement.query([network])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let previous = match row.get_ref(1)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(Hash256(fixed(row, 1, "block name")?)),
    };
    Ok(Some(ChainCursor {
        next: nat(row.get(0)?),
        previous,
        epoch: row.get(2)?,
    }))
}

pub(super) fn move_cursor(
    conn: &Connection,
    network: u32,
    next: u64,
    previous: Option<Hash256>,
    epoch: u32,
) -> Result<(), Fault> {
    conn.prepare_cached("INSERT OR REPLACE INTO chain_cursor VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![network, int(next), previous.map(|hash| hash.0), epoch])?;
    Ok(())
}

pub(crate) fn place_cursor(work: &mut Work<'_>, placing: Placing) -> Answer<ChainCursor> {
    let Placing {
        network,
        from,
        next,
        previous,
        anew,
    } = placing;
    if cursor(work.conn, network)? != from {
        return fenced();
    }
    let epoch = from.map_or(0, |c| c.epoch + u32::from(anew));
    move_cursor(work.conn, network, next, previous, epoch)?;
    if anew {
        work.conn
            .prepare_cached(
                "UPDATE trigger_state SET position = ?1 WHERE kind IN \
                 ('block', 'transaction', 'notification', 'execution')",
            )?
            .execute([int(next)])?;
    }
    Ok(Ok(ChainCursor {
        next,
        previous,
        epoch,
    }))
}

/// Counts events of a trigger.
pub(super) fn count(
    conn: &Connection,
    place: Place,
    name: &str,
    matched: u64,
    at: UnixMillis,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE trigger_state SET matched = matched + ?4, matched_at = ?5 \
         WHERE pid = ?1 AND fid = ?2 AND name = ?3",
    )?
    .execute(params![place.pid, place.fid, name, int(matched), at.0])?;
    Ok(())
}

/// A refusal of the port: somebody else was there.
pub(super) fn fenced<T>() -> Answer<T> {
    Ok(Err(StoreError::Fenced))
}
