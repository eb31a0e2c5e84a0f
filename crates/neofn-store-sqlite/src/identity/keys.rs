//! API keys: the rows. The secret itself never comes here.

use super::{audit, project_id, text};
use crate::codec::fixed;
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_identity::port::{CreateKey, Created};
use neofn_identity::{KeyId, KeyRecord, Scope};
use neofn_types::{ProjectName, ScriptHash, UnixMillis};
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "SELECT id, hash, scope, created_at, expires_at, revoked_at, powers, name, created_by, \
     parent FROM api_key";

pub(crate) fn add(conn: &Connection, key: &KeyRecord) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO api_key(id, hash, scope, created_at, expires_at, revoked_at, powers, name, created_by, parent) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        key.id.0,
        key.hash,
        scope_text(&key.scope)?,
        key.created_at.0,
        key.expires_at.map(|t| t.0),
        key.revoked_at.map(|t| t.0),
        key.powers.to_string(),
        key.name,
        key.created_by.map(|account| account.0),
        key.parent.map(|id| id.0)
    ])?;
    Ok(())
}

pub(crate) fn create(conn: &Connection, create: &CreateKey) -> Result<Created, Fault> {
    let key = &create.key;
    let Scope::Project(project) = &key.scope else {
        return Err(Fault::Misuse("a key of no project"));
    };
    if project_id(conn, project)?.is_none() {
        return Ok(Created::Missing);
    }
    if self::key(conn, key.id)?.is_some() {
        return Ok(Created::Exists);
    }
    if let Some(parent) = key.parent
        && !self::key(conn, parent)?.is_some_and(|parent| parent.valid_at(key.created_at))
    {
        return Ok(Created::ParentGone);
    }
    let scope = scope_text(&key.scope)?;
    let valid: u32 = conn
        .prepare_cached(
            "SELECT count(*) FROM api_key WHERE scope = ?1 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > ?2)",
        )?
        .query_row(params![scope, key.created_at.0], |row| row.get(0))?;
    if valid >= create.valid_max {
        return Ok(Created::TooMany);
    }
    // no valid key was made with one that ended, so nothing leads through what goes
    conn.prepare_cached(
        "DELETE FROM api_key WHERE id IN (SELECT id FROM api_key WHERE scope = ?1 \
         AND (revoked_at IS NOT NULL OR expires_at <= ?2) \
         ORDER BY coalesce(revoked_at, expires_at) DESC, id DESC LIMIT -1 OFFSET ?3)",
    )?
    .execute(params![scope, key.created_at.0, create.ended_max])?;
    add(conn, key)?;
    audit::append(conn, &create.audit)?;
    Ok(Created::Done)
}

pub(crate) fn key(conn: &Connection, id: KeyId) -> Result<Option<KeyRecord>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    let mut rows = statement.query([id.0.as_slice()])?;
    rows.next()?.map(record).transpose()
}

pub(crate) fn keys(conn: &Connection) -> Result<Vec<KeyRecord>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY created_at, id"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

pub(crate) fn of_project(conn: &Connection, project: &ProjectName) -> Result<Vec<KeyRecord>, Fault> {
    let mut statement =
        conn.prepare_cached(&format!("{COLUMNS} WHERE scope = ?1 ORDER BY created_at, id"))?;
    let mut rows = statement.query([scope_text(&Scope::Project(project.clone()))?])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

pub(crate) fn revoke(
    conn: &Connection,
    project: &ProjectName,
    id: KeyId,
    at: UnixMillis,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let changed = conn
        .prepare_cached(
            "UPDATE api_key SET revoked_at = ?3 WHERE id = ?1 AND scope = ?2 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > ?3)",
        )?
        .execute(params![id.0, scope_text(&Scope::Project(project.clone()))?, at.0])?;
    if changed > 0 {
        conn.prepare_cached(
            "WITH RECURSIVE made(id) AS (SELECT ?1 UNION SELECT k.id FROM api_key k JOIN made ON k.parent = made.id) \
             UPDATE api_key SET revoked_at = ?2 WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > ?2)",
        )?
        .execute(params![id.0, at.0])?;
        audit::append(conn, entry)?;
    }
    Ok(changed > 0)
}

/// Revokes the keys of a project, all or those that one member made; how many were valid.
pub(super) fn revoke_all(
    conn: &Connection,
    project: &ProjectName,
    made_by: Option<ScriptHash>,
    at: UnixMillis,
) -> Result<u32, Fault> {
    let changed = conn
        .prepare_cached(
            "UPDATE api_key SET revoked_at = ?3 WHERE scope = ?1 AND (?2 IS NULL OR created_by = ?2) \
             AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)",
        )?
        .execute(params![
            scope_text(&Scope::Project(project.clone()))?,
            made_by.map(|account| account.0),
            at.0
        ])?;
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

fn scope_text(scope: &Scope) -> Result<String, Fault> {
    serde_json::to_string(scope).map_err(|_| Fault::Misuse("a scope that cannot be encoded"))
}

fn record(row: &Row<'_>) -> Result<KeyRecord, Fault> {
    let scope: String = row.get(2)?;
    let time = |column| -> Result<Option<UnixMillis>, Fault> {
        Ok(row.get::<_, Option<i64>>(column)?.map(UnixMillis))
    };
    let made_with_one = row.get_ref(9)? != rusqlite::types::ValueRef::Null;
    let made_by_somebody = row.get_ref(8)? != rusqlite::types::ValueRef::Null;
    Ok(KeyRecord {
        id: KeyId(fixed(row, 0, "key id")?),
        hash: fixed(row, 1, "key hash")?,
        scope: serde_json::from_str(&scope).map_err(|_| Fault::Damaged("scope"))?,
        created_at: UnixMillis(row.get(3)?),
        expires_at: time(4)?,
        revoked_at: time(5)?,
        powers: text(row, 6, "powers")?,
        name: row.get(7)?,
        created_by: made_by_somebody.then(|| super::account(row, 8)).transpose()?,
        parent: made_with_one
            .then(|| fixed(row, 9, "key id").map(KeyId))
            .transpose()?,
    })
}
