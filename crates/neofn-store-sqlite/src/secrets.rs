//! Secrets: the rows. What is in an envelope or a wrapped key is not known here.

use crate::codec::{fixed, int, nat, nat32};
use crate::error::Fault;
use bytes::Bytes;
use neofn_secrets::port::{Change, Changed, StoredValue};
use neofn_secrets::{KekRecord, RootRecord, SecretId, SecretRecord};
use neofn_types::{ProjectName, SecretName, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

fn write_json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Misuse("a record of secrets that cannot be encoded"))
}
fn read_json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Damaged(what))
}
fn project_of(row: &Row<'_>, column: usize) -> Result<ProjectName, Fault> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Fault::Damaged("project of a key"))
}

pub(crate) fn root(conn: &Connection) -> Result<Option<RootRecord>, Fault> {
    let text: Option<String> = conn
        .prepare_cached("SELECT record FROM secret_root")?
        .query_row([], |row| row.get(0))
        .optional()?;
    text.map(|t| read_json(&t, "root of secrets")).transpose()
}

pub(crate) fn set_root(
    conn: &Connection,
    expected: Option<u32>,
    root: &RootRecord,
    keks: &[KekRecord],
) -> Result<bool, Fault> {
    let found = generation(conn)?;
    let count: i64 = conn
        .prepare_cached("SELECT COUNT(*) FROM secret_kek")?
        .query_row([], |row| row.get(0))?;
    // a key that was made since the caller looked would be lost with the old root
    if found != expected.map(i64::from) || usize::try_from(count).ok() != Some(keks.len()) {
        return Ok(false);
    }
    let mut rewrap = conn.prepare_cached(
        "UPDATE secret_kek SET wrapped = ?4 WHERE project = ?1 AND version = ?2 AND id = ?3",
    )?;
    for kek in keks {
        let changed = rewrap.execute(params![kek.project.as_str(), kek.version, kek.id, kek.wrapped])?;
        if changed != 1 {
            return Err(Fault::Misuse("a project key that is not there"));
        }
    }
    conn.prepare_cached("INSERT OR REPLACE INTO secret_root (id, generation, record) VALUES (1, ?1, ?2)")?
        .execute(params![root.generation, write_json(root)?])?;
    Ok(true)
}

fn generation(conn: &Connection) -> Result<Option<i64>, Fault> {
    Ok(conn
        .prepare_cached("SELECT generation FROM secret_root")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

fn kek(row: &Row<'_>) -> Result<KekRecord, Fault> {
    Ok(KekRecord {
        project: project_of(row, 0)?,
        version: nat32(row.get(1)?),
        id: fixed(row, 2, "id of a project key")?,
        wrapped: row.get(3)?,
        created_at: UnixMillis(row.get(4)?),
    })
}

pub(crate) fn keks(conn: &Connection, project: Option<&ProjectName>) -> Result<Vec<KekRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT project, version, id, wrapped, created_at FROM secret_kek
         WHERE ?1 IS NULL OR project = ?1 ORDER BY project, version",
    )?;
    let mut rows = statement.query([project.map(ProjectName::as_str)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(kek(row)?);
    }
    Ok(found)
}

pub(crate) fn add_kek(conn: &Connection, kek: &KekRecord, under: u32) -> Result<bool, Fault> {
    if generation(conn)? != Some(i64::from(under)) {
        return Ok(false);
    }
    let added = conn
        .prepare_cached("INSERT OR IGNORE INTO secret_kek VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            kek.project.as_str(),
            kek.version,
            kek.id,
            kek.wrapped,
            kek.created_at.0
        ])?;
    Ok(added == 1)
}

pub(crate) fn drop_keks(conn: &Connection, project: &ProjectName, before: u32) -> Result<u32, Fault> {
    let dropped = conn
        .prepare_cached(
            "DELETE FROM secret_kek WHERE project = ?1 AND version < ?2 AND NOT EXISTS (
               SELECT 1 FROM secret_value v WHERE v.project = ?1 AND v.kek = secret_kek.version)",
        )?
        .execute(params![project.as_str(), before])?;
    Ok(u32::try_from(dropped).unwrap_or(u32::MAX))
}

pub(crate) fn secret(
    conn: &Connection,
    project: &ProjectName,
    name: &SecretName,
) -> Result<Option<SecretRecord>, Fault> {
    let text: Option<String> = conn
        .prepare_cached("SELECT record FROM secret WHERE project = ?1 AND name = ?2")?
        .query_row([project.as_str(), name.as_str()], |row| row.get(0))
        .optional()?;
    text.map(|t| read_json(&t, "secret")).transpose()
}

pub(crate) fn secrets(
    conn: &Connection,
    project: &ProjectName,
    after: Option<&SecretName>,
    limit: u32,
) -> Result<Vec<SecretRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT record FROM secret WHERE project = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
    )?;
    let after = after.map_or("", SecretName::as_str);
    let rows = statement.query_map(params![project.as_str(), after, limit], |row| {
        row.get::<_, String>(0)
    })?;
    rows.map(|text| read_json(&text?, "secret")).collect()
}

pub(crate) fn value(
    conn: &Connection,
    project: &ProjectName,
    secret: SecretId,
    version: u32,
) -> Result<Option<Bytes>, Fault> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT envelope FROM secret_value WHERE project = ?1 AND secret = ?2 AND version = ?3",
        )?
        .query_row(params![project.as_str(), secret.0, version], |row| row.get(0))
        .optional()?;
    Ok(bytes.map(Bytes::from))
}

pub(crate) fn values_under(
    conn: &Connection,
    project: &ProjectName,
    kek: u32,
    limit: u32,
) -> Result<Vec<StoredValue>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT secret, version, envelope FROM secret_value WHERE project = ?1 AND kek < ?2 LIMIT ?3",
    )?;
    let mut rows = statement.query(params![project.as_str(), kek, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(StoredValue {
            secret: SecretId(fixed(row, 0, "id of a secret")?),
            version: nat32(row.get(1)?),
            envelope: row.get::<_, Vec<u8>>(2)?.into(),
        });
    }
    Ok(found)
}

pub(crate) fn rewrap(
    conn: &Connection,
    project: &ProjectName,
    old: &StoredValue,
    envelope: &[u8],
    kek: u32,
) -> Result<bool, Fault> {
    let changed = conn
        .prepare_cached(
            "UPDATE secret_value SET envelope = ?5, kek = ?6
             WHERE project = ?1 AND secret = ?2 AND version = ?3 AND envelope = ?4",
        )?
        .execute(params![
            project.as_str(),
            old.secret.0,
            old.version,
            &*old.envelope,
            envelope,
            kek
        ])?;
    Ok(changed == 1)
}

pub(crate) fn change(conn: &Connection, change: &Change) -> Result<Changed, Fault> {
    let record = &change.record;
    let (project, name) = (record.project.as_str(), record.name.as_str());
    let found: Option<i64> = conn
        .prepare_cached("SELECT revision FROM secret WHERE project = ?1 AND name = ?2")?
        .query_row([project, name], |row| row.get(0))
        .optional()?;
    if found != change.expected.map(int) {
        return Ok(Changed::Conflict);
    }
    if found.is_none() {
        let count: i64 = conn
            .prepare_cached("SELECT COUNT(*) FROM secret WHERE project = ?1")?
            .query_row([project], |row| row.get(0))?;
        if nat(count) >= u64::from(change.secrets_max) {
            return Ok(Changed::Full);
        }
    }
    // all that can be refused is, before anything is written
    for (_, kek) in change.values.iter().filter_map(|v| v.envelope.as_ref()) {
        // the key may have been dropped, or the project destroyed, since the value was sealed
        let there: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM secret_kek WHERE project = ?1 AND version = ?2)")?
            .query_row(params![project, kek], |row| row.get(0))?;
        if !there {
            return Ok(Changed::Conflict);
        }
    }
    for value in &change.values {
        match &value.envelope {
            Some((envelope, kek)) => conn
                .prepare_cached("INSERT INTO secret_value VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![project, record.id.0, value.version, kek, &**envelope])?,
            None => conn
                .prepare_cached(
                    "DELETE FROM secret_value WHERE project = ?1 AND secret = ?2 AND version = ?3",
                )?
                .execute(params![project, record.id.0, value.version])?,
        };
    }
    conn.prepare_cached("INSERT OR REPLACE INTO secret VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            project,
            name,
            record.id.0,
            int(record.revision),
            due_at(record),
            write_json(record)?
        ])?;
    Ok(Changed::Done)
}

/// The first time at which something is to be done.
fn due_at(record: &SecretRecord) -> Option<i64> {
    let living = record.versions.iter().filter(|v| v.destroyed_at.is_none());
    let expiry = living.filter_map(|v| v.expires_at);
    let rotation = record.rotation.as_ref().map(|r| r.act_at);
    expiry.chain(rotation).min().map(|at| at.0)
}

pub(crate) fn remove(
    conn: &Connection,
    project: &ProjectName,
    name: &SecretName,
    revision: u64,
) -> Result<bool, Fault> {
    let id: Option<Vec<u8>> = conn
        .prepare_cached("DELETE FROM secret WHERE project = ?1 AND name = ?2 AND revision = ?3 RETURNING id")?
        .query_row(params![project.as_str(), name.as_str(), int(revision)], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(id) = id else { return Ok(false) };
    conn.prepare_cached("DELETE FROM secret_value WHERE project = ?1 AND secret = ?2")?
        .execute(params![project.as_str(), id])?;
    Ok(true)
}

pub(crate) fn remove_project(conn: &Connection, project: &ProjectName) -> Result<u32, Fault> {
    let project = project.as_str();
    conn.prepare_cached("DELETE FROM secret_value WHERE project = ?1")?
        .execute([project])?;
    conn.prepare_cached("DELETE FROM secret_kek WHERE project = ?1")?
        .execute([project])?;
    let count = conn
        .prepare_cached("DELETE FROM secret WHERE project = ?1")?
        .execute([project])?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) fn due(conn: &Connection, now: UnixMillis, limit: u32) -> Result<Vec<SecretRecord>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT record FROM secret WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2")?;
    let rows = statement.query_map(params![now.0, limit], |row| row.get::<_, String>(0))?;
    rows.map(|text| read_json(&text?, "secret")).collect()
}
