//! Functions and versions: the writer's commands and the readers' queries.

use crate::codec::{fixed, id, key, nat};
use crate::error::Fault;
use crate::memory::Place;
use crate::writer::Work;
use neofn_registry::port::{Publish, Published, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, FunctionRecord, VersionRecord};
use neofn_types::{Digest, FunctionKey, FunctionName, ProjectName, UnixMillis, Version};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashSet;

/// The outer error fails the whole group, the inner one is this command's refusal.
pub(crate) type Answer<T> = Result<Result<T, RegistryStoreError>, Fault>;

macro_rules! functions {
    ($rest:literal) => {
        concat!(
            "SELECT p.name, f.name, f.id, f.live, f.active, f.invocations, f.created_at, f.updated_at \
             FROM function f JOIN project p ON p.pid = f.pid ",
            $rest
        )
    };
}

fn function_record(row: &Row<'_>) -> Result<FunctionRecord, Fault> {
    Ok(FunctionRecord {
        key: key(row, 0)?,
        id: id(row, 2)?,
        live: Version(row.get(3)?),
        active: row.get(4)?,
        invocation_count: nat(row.get(5)?),
        created_at: UnixMillis(row.get(6)?),
        updated_at: UnixMillis(row.get(7)?),
    })
}

pub(crate) fn function(conn: &Connection, key: &FunctionKey) -> Result<Option<FunctionRecord>, Fault> {
    let mut statement = conn.prepare_cached(functions!("WHERE p.name = ?1 AND f.name = ?2"))?;
    let mut rows = statement.query([key.project.as_ref(), key.function.as_ref()])?;
    rows.next()?.map(function_record).transpose()
}

pub(crate) fn functions(
    conn: &Connection,
    project: &ProjectName,
    after: Option<&FunctionName>,
    limit: u32,
) -> Result<Vec<FunctionRecord>, Fault> {
    let mut statement = conn.prepare_cached(functions!(
        "WHERE p.name = ?1 AND f.name > ?2 ORDER BY f.name LIMIT ?3"
    ))?;
    let after = after.map_or("", AsRef::as_ref);
    let mut rows = statement.query(params![project.as_ref(), after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(function_record(row)?);
    }
    Ok(found)
}

pub(crate) fn project_exists(conn: &Connection, project: &ProjectName) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM project WHERE name = ?1 AND ended_at IS NULL")?
        .exists([project.as_ref()])?)
}

pub(crate) fn projects(conn: &Connection) -> Result<Vec<ProjectName>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM project WHERE ended_at IS NULL ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        found.push(name.parse().map_err(|_| Fault::Damaged("name"))?);
    }
    Ok(found)
}

macro_rules! versions {
    ($rest:literal) => {
        concat!(
            "SELECT v.version, v.digest, v.created_at, v.spec, v.artifact FROM version v \
             JOIN function f ON f.pid = v.pid AND f.fid = v.fid JOIN project p ON p.pid = f.pid \
             WHERE p.name = ?1 AND f.name = ?2 ",
            $rest
        )
    };
}

fn version_record(key: &FunctionKey, row: &Row<'_>) -> Result<VersionRecord, Fault> {
    let json = |column| -> Result<String, Fault> { Ok(row.get(column)?) };
    Ok(VersionRecord {
        key: key.clone(),
        version: Version(row.get(0)?),
        digest: Digest(fixed(row, 1, "version digest")?),
        created_at: UnixMillis(row.get(2)?),
        spec: serde_json::from_str(&json(3)?).map_err(|_| Fault::Damaged("version"))?,
        artifact: serde_json::from_str(&json(4)?).map_err(|_| Fault::Damaged("artifact reference"))?,
    })
}

pub(crate) fn version(
    conn: &Connection,
    key: &FunctionKey,
    version: Version,
) -> Result<Option<VersionRecord>, Fault> {
    let mut statement = conn.prepare_cached(versions!("AND v.version = ?3"))?;
    let mut rows = statement.query(params![key.project.as_ref(), key.function.as_ref(), version.0])?;
    rows.next()?.map(|row| version_record(key, row)).transpose()
}

pub(crate) fn versions(
    conn: &Connection,
    key: &FunctionKey,
    before: Option<Version>,
    limit: u32,
) -> Result<Vec<VersionRecord>, Fault> {
    let before = before.map_or(i64::MAX, |v| i64::from(v.0));
    let mut statement =
        conn.prepare_cached(versions!("AND v.version < ?3 ORDER BY v.version DESC LIMIT ?4"))?;
    let mut rows = statement.query(params![
        key.project.as_ref(),
        key.function.as_ref(),
        before,
        limit
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(version_record(key, row)?);
    }
    Ok(found)
}

/// The function as this transaction sees it, with the counter that is not flushed yet.
fn current(work: &mut Work<'_>, key: &FunctionKey) -> Result<Option<(Place, FunctionRecord)>, Fault> {
    let Some(place) = work.memory.find(work.conn, key)? else {
        return Ok(None);
    };
    let mut record = function(work.conn, key)?.ok_or(Fault::Damaged("function"))?;
    record.invocation_count = work.memory.state(place)?.invocations;
    Ok(Some((place, record)))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Misuse("a version that cannot be encoded"))
}

pub(crate) fn publish(work: &mut Work<'_>, publish: &Publish) -> Answer<Published> {
    let key = &publish.key;
    let found = current(work, key)?;
    let created = found.is_none();
    let before = match &found {
        Some((_, record)) => version(work.conn, key, record.live)?,
        None => None,
    };
    let stays = before.as_ref().is_some_and(|live| live.digest == publish.digest);
    if !stays && !publish.upon.holds(before.as_ref()) {
        return Ok(Err(RegistryStoreError::LiveMoved));
    }
    let (place, live) = match &found {
        Some((place, record)) => (*place, Some(record.live)),
        None if has_ended(work.conn, &key.project)? => return Ok(Err(RegistryStoreError::ProjectEnded)),
        None => (create(work, publish)?, None),
    };
    let same: Option<u32> = work
        .conn
        .prepare_cached("SELECT version FROM version WHERE pid = ?1 AND fid = ?2 AND digest = ?3")?
        .query_row(params![place.pid, place.fid, publish.digest.0], |r| r.get(0))
        .optional()?;
    let number = match same {
        Some(number) => number,
        None => add_version(work, place, publish)?,
    };
    let unchanged = live == Some(Version(number));
    if !unchanged {
        move_live(work.conn, place, Version(number), publish.at)?;
    }
    let (_, function) = current(work, key)?.ok_or(Fault::Damaged("function"))?;
    let version = version(work.conn, key, Version(number))?.ok_or(Fault::Damaged("version"))?;
    Ok(Ok(Published {
        function,
        version,
        created,
        unchanged,
    }))
}

fn has_ended(conn: &Connection, project: &ProjectName) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM project WHERE name = ?1 AND ended_at IS NOT NULL")?
        .exists([project.as_ref()])?)
}

fn create(work: &mut Work<'_>, publish: &Publish) -> Result<Place, Fault> {
    let key = &publish.key;
    work.conn
        .prepare_cached("INSERT INTO project(name, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![key.project.as_ref(), publish.at.0])?;
    work.conn
        .prepare_cached(
            "INSERT INTO function(pid, name, id, live, active, created_at, updated_at) \
             VALUES ((SELECT pid FROM project WHERE name = ?1), ?2, ?3, 1, 1, ?4, ?4)",
        )?
        .execute(params![
            key.project.as_ref(),
            key.function.as_ref(),
            publish.new_id.as_bytes(),
            publish.at.0
        ])?;
    work.memory
        .find(work.conn, key)?
        .ok_or(Fault::Damaged("function"))
}

fn add_version(work: &Work<'_>, place: Place, publish: &Publish) -> Result<u32, Fault> {
    let number: u32 = work
        .conn
        .prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM version WHERE pid = ?1 AND fid = ?2")?
        .query_row(params![place.pid, place.fid], |r| r.get(0))?;
    work.conn
        .prepare_cached("INSERT INTO version VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            place.pid,
            place.fid,
            number,
            publish.digest.0,
            publish.at.0,
            json(&publish.spec)?,
            json(&publish.artifact)?
        ])?;
    Ok(number)
}

fn move_live(conn: &Connection, place: Place, version: Version, at: UnixMillis) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE function SET live = ?3, updated_at = ?4 WHERE fid = ?2 AND pid = ?1")?
        .execute(params![place.pid, place.fid, version.0, at.0])?;
    Ok(())
}

pub(crate) fn set_live(
    work: &mut Work<'_>,
    key: &FunctionKey,
    to: Version,
    upon: &Upon,
    at: UnixMillis,
) -> Answer<FunctionRecord> {
    let Some((place, mut record)) = current(work, key)? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    if version(work.conn, key, to)?.is_none() {
        return Ok(Err(RegistryStoreError::VersionNotFound));
    }
    if record.live != to {
        if !upon.holds(version(work.conn, key, record.live)?.as_ref()) {
            return Ok(Err(RegistryStoreError::LiveMoved));
        }
        move_live(work.conn, place, to, at)?;
        record.live = to;
        record.updated_at = at;
    }
    Ok(Ok(record))
}

pub(crate) fn set_active(
    work: &mut Work<'_>,
    key: &FunctionKey,
    active: bool,
    at: UnixMillis,
) -> Answer<FunctionRecord> {
    let Some((place, mut record)) = current(work, key)? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    if record.active != active {
        work.conn
            .prepare_cached("UPDATE function SET active = ?3, updated_at = ?4 WHERE fid = ?2 AND pid = ?1")?
            .execute(params![place.pid, place.fid, active, at.0])?;
        record.active = active;
        record.updated_at = at;
    }
    Ok(Ok(record))
}

/// Takes the function away at once, whatever it has left; its rows follow when the writer is idle.
pub(crate) fn delete_function(work: &mut Work<'_>, key: &FunctionKey, at: UnixMillis) -> Answer<()> {
    let Some(place) = work.memory.find(work.conn, key)? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    work.conn
        .prepare_cached("DELETE FROM function WHERE fid = ?2 AND pid = ?1")?
        .execute(params![place.pid, place.fid])?;
    work.conn
        .prepare_cached("INSERT INTO tomb VALUES (?1, ?2)")?
        .execute(params![place.pid, place.fid])?;
    crate::promise::ended_all(work.conn, place)?;
    let running = work.memory.running.iter().filter(|(_, c)| c.place == place);
    crate::ledger::forget_function(work.conn, key, running.map(|(id, _)| *id), at)?;
    crate::identity::members::forget_function(work.conn, place.pid, place.fid)?;
    work.memory.forget(place);
    Ok(Ok(()))
}

/// The digests of all stored bytes that some version names.
pub(crate) fn named_blobs(conn: &Connection) -> Result<HashSet<Digest>, Fault> {
    let mut statement = conn.prepare_cached("SELECT artifact FROM version")?;
    let mut rows = statement.query([])?;
    let mut named = HashSet::new();
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        let a: ArtifactRef = serde_json::from_str(&json).map_err(|_| Fault::Damaged("artifact reference"))?;
        named.extend(
            [a.artifact, a.code]
                .into_iter()
                .chain(a.source_map)
                .chain(a.files),
        );
    }
    Ok(named)
}

pub(crate) fn set_artifact(
    work: &mut Work<'_>,
    key: &FunctionKey,
    version: Version,
    artifact: &ArtifactRef,
) -> Answer<()> {
    let Some(place) = work.memory.find(work.conn, key)? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    let changed = work
        .conn
        .prepare_cached("UPDATE version SET artifact = ?4 WHERE pid = ?1 AND fid = ?2 AND version = ?3")?
        .execute(params![place.pid, place.fid, version.0, json(artifact)?])?;
    Ok(if changed == 0 {
        Err(RegistryStoreError::VersionNotFound)
    } else {
        Ok(())
    })
}
