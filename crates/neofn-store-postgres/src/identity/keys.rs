//! API keys: the rows. The secret itself never comes here.

use super::{audit, hold_project, parsed};
use crate::error::Fault;
use crate::rows::fixed;
use neofn_identity::audit::AuditEntry;
use neofn_identity::port::{CreateKey, Created};
use neofn_identity::{KeyId, KeyRecord, Scope};
use neofn_types::{ProjectName, ScriptHash, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

macro_rules! keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, hash, scope, created_at, expires_at, revoked_at, powers, name, created_by, \
             parent FROM api_key ",
            $rest
        )
    };
}

pub(super) async fn add(conn: &mut PgConnection, key: &KeyRecord, again: bool) -> Result<(), Fault> {
    let added = sqlx::query(
        "INSERT INTO api_key(id, hash, scope, created_at, expires_at, revoked_at, powers, name, created_by, parent) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(key.id.0.as_slice())
    .bind(key.hash.as_slice())
    .bind(scope_text(&key.scope)?)
    .bind(key.created_at.0)
    .bind(key.expires_at.map(|t| t.0))
    .bind(key.revoked_at.map(|t| t.0))
    .bind(key.powers.to_string())
    .bind(key.name.as_bytes())
    .bind(key.created_by.map(|account| account.0.to_vec()))
    .bind(key.parent.map(|id| id.0.to_vec()))
    .execute(&mut *conn)
    .await?;
    // what an earlier try of this very command left is as good
    let there = added.rows_affected() == 1 || (again && self::key(conn, key.id).await?.as_ref() == Some(key));
    there.then_some(()).ok_or(Fault::Misuse("a key id twice"))
}

pub(super) async fn create(conn: &mut PgConnection, create: &CreateKey) -> Result<Created, Fault> {
    let key = &create.key;
    let Scope::Project(project) = &key.scope else {
        return Err(Fault::Misuse("a key of no project"));
    };
    if hold_project(conn, project).await?.is_none() {
        return Ok(Created::Missing);
    }
    if self::key(conn, key.id).await?.is_some() {
        return Ok(Created::Exists);
    }
    // whoever revokes keys holds the project, too
    if let Some(parent) = key.parent
        && !self::key(conn, parent)
            .await?
            .is_some_and(|parent| parent.valid_at(key.created_at))
    {
        return Ok(Created::ParentGone);
    }
    let scope = scope_text(&key.scope)?;
    let valid: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM api_key WHERE scope = $1 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(&scope)
    .bind(key.created_at.0)
    .fetch_one(&mut *conn)
    .await?;
    if valid >= i64::from(create.valid_max) {
        return Ok(Created::TooMany);
    }
    // no valid key was made with one that ended, so nothing leads through what goes
    sqlx::query(
        "DELETE FROM api_key WHERE id IN (SELECT id FROM api_key WHERE scope = $1 \
         AND (revoked_at IS NOT NULL OR expires_at <= $2) \
         ORDER BY coalesce(revoked_at, expires_at) DESC, id DESC OFFSET $3)",
    )
    .bind(&scope)
    .bind(key.created_at.0)
    .bind(i64::from(create.ended_max))
    .execute(&mut *conn)
    .await?;
    add(conn, key, false).await?;
    audit::append(conn, &create.audit).await?;
    Ok(Created::Done)
}

pub(super) async fn key(conn: &mut PgConnection, id: KeyId) -> Result<Option<KeyRecord>, Fault> {
    let row = sqlx::query(keys!("WHERE id = $1"))
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(record).transpose()
}

pub(super) async fn keys(conn: &mut PgConnection) -> Result<Vec<KeyRecord>, Fault> {
    let rows = sqlx::query(keys!("ORDER BY created_at, id"))
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn of_project(
    conn: &mut PgConnection,
    project: &ProjectName,
) -> Result<Vec<KeyRecord>, Fault> {
    let rows = sqlx::query(keys!("WHERE scope = $1 ORDER BY created_at, id"))
        .bind(scope_text(&Scope::Project(project.clone()))?)
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn revoke(
    conn: &mut PgConnection,
    project: &ProjectName,
    id: KeyId,
    at: UnixMillis,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    hold_project(conn, project).await?;
    let changed = sqlx::query(
        "UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND scope = $2 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $3)",
    )
    .bind(id.0.as_slice())
    .bind(scope_text(&Scope::Project(project.clone()))?)
    .bind(at.0)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if changed > 0 {
        sqlx::query(
            "WITH RECURSIVE made(id) AS (SELECT $1::bytea UNION SELECT k.id FROM api_key k JOIN made ON k.parent = made.id) \
             UPDATE api_key SET revoked_at = $2 WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(id.0.as_slice())
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
        audit::append(conn, entry).await?;
    }
    Ok(changed > 0)
}

/// Revokes the keys of a project, all or those that one member made; how many were valid.
pub(super) async fn revoke_all(
    conn: &mut PgConnection,
    project: &ProjectName,
    made_by: Option<ScriptHash>,
    at: UnixMillis,
) -> Result<u32, Fault> {
    let changed = sqlx::query(
        "UPDATE api_key SET revoked_at = $3 WHERE scope = $1 AND ($2::bytea IS NULL OR created_by = $2) \
         AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)",
    )
    .bind(scope_text(&Scope::Project(project.clone()))?)
    .bind(made_by.as_ref().map(|account| account.0.as_slice()))
    .bind(at.0)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

fn scope_text(scope: &Scope) -> Result<String, Fault> {
    serde_json::to_string(scope).map_err(|_| Fault::Misuse("a scope that cannot be encoded"))
}

fn record(row: &PgRow) -> Result<KeyRecord, Fault> {
    let time = |column: usize| -> Result<Option<UnixMillis>, Fault> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis))
    };
    let made_by: Option<&[u8]> = row.try_get(8)?;
    let made_with: Option<&[u8]> = row.try_get(9)?;
    Ok(KeyRecord {
        id: KeyId(fixed(row, 0, "key id")?),
        hash: fixed(row, 1, "key hash")?,
        scope: serde_json::from_str(row.try_get(2)?).map_err(|_| Fault::Damaged("scope"))?,
        created_at: UnixMillis(row.try_get(3)?),
        expires_at: time(4)?,
        revoked_at: time(5)?,
        powers: parsed(row, 6, "powers")?,
        name: crate::rows::text(row, 7)?,
        created_by: made_by.map(|_| super::account(row, 8)).transpose()?,
        parent: made_with
            .map(|_| fixed(row, 9, "key id").map(KeyId))
            .transpose()?,
    })
}
