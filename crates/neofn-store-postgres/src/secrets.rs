//! Secrets: the rows. What is in an envelope or a wrapped key is not known here. Whoever changes the root holds off
//! new project keys; whoever changes a project's secrets does it alone.

use crate::error::Fault;
use crate::rows::fixed;
use bytes::Bytes;
use neofn_rows::{int, nat, nat32};
use neofn_secrets::port::{Change, Changed, StoredValue};
use neofn_secrets::{KekRecord, RootRecord, SecretId, SecretRecord};
use neofn_types::{ProjectName, SecretName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// "neofn" and "r".
const ROOT: i64 = 0x6e65_6f66_6e72;

fn write_json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Misuse("a record of secrets that cannot be encoded"))
}
fn read_json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Damaged(what))
}

/// Nobody else changes the secrets of a project until this transaction ends.
async fn hold(conn: &mut PgConnection, project: &ProjectName) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))")
        .bind(project.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn root(conn: &mut PgConnection) -> Result<Option<RootRecord>, Fault> {
    let text: Option<String> = sqlx::query_scalar("SELECT record FROM secret_root")
        .fetch_optional(conn)
        .await?;
    text.map(|t| read_json(&t, "root of secrets")).transpose()
}

pub(crate) async fn set_root(
    conn: &mut PgConnection,
    expected: Option<u32>,
    root: &RootRecord,
    keks: &[KekRecord],
) -> Result<bool, Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(ROOT)
        .execute(&mut *conn)
        .await?;
    let found = generation(conn).await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM secret_kek")
        .fetch_one(&mut *conn)
        .await?;
    // a key that was made since the caller looked would be lost with the old root
    if found != expected.map(i64::from) || usize::try_from(count).ok() != Some(keks.len()) {
        return Ok(false);
    }
    for kek in keks {
        let changed =
            sqlx::query("UPDATE secret_kek SET wrapped = $4 WHERE project = $1 AND version = $2 AND id = $3")
                .bind(kek.project.as_str())
                .bind(i64::from(kek.version))
                .bind(kek.id.as_slice())
                .bind(kek.wrapped.as_slice())
                .execute(&mut *conn)
                .await?;
        if changed.rows_affected() != 1 {
            return Err(Fault::Misuse("a project key that is not there"));
        }
    }
    sqlx::query(
        "INSERT INTO secret_root VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, \
         record = excluded.record",
    )
    .bind(i64::from(root.generation))
    .bind(write_json(root)?)
    .execute(conn)
    .await?;
    Ok(true)
}

async fn generation(conn: &mut PgConnection) -> Result<Option<i64>, Fault> {
    Ok(sqlx::query_scalar("SELECT generation FROM secret_root")
        .fetch_optional(conn)
        .await?)
}

pub(crate) async fn keks(
    conn: &mut PgConnection,
    project: Option<&ProjectName>,
) -> Result<Vec<KekRecord>, Fault> {
    let rows = sqlx::query(
        "SELECT project, version, id, wrapped, created_at FROM secret_kek \
         WHERE $1::text IS NULL OR project = $1 ORDER BY project, version",
    )
    .bind(project.map(ProjectName::as_str))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let project: &str = row.try_get(0)?;
            Ok(KekRecord {
                project: project.parse().map_err(|_| Fault::Damaged("project of a key"))?,
                version: nat32(row.try_get(1)?),
                id: fixed(row, 2, "id of a project key")?,
                wrapped: row.try_get(3)?,
                created_at: UnixMillis(row.try_get(4)?),
            })
        })
        .collect()
}

pub(crate) async fn add_kek(conn: &mut PgConnection, kek: &KekRecord, under: u32) -> Result<bool, Fault> {
    // beside others, but not beside a change of the root
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind(ROOT)
        .execute(&mut *conn)
        .await?;
    hold(conn, &kek.project).await?;
    if generation(conn).await? != Some(i64::from(under)) {
        return Ok(false);
    }
    let added = sqlx::query("INSERT INTO secret_kek VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(kek.project.as_str())
        .bind(i64::from(kek.version))
        .bind(kek.id.as_slice())
        .bind(kek.wrapped.as_slice())
        .bind(kek.created_at.0)
        .execute(conn)
        .await?;
    Ok(added.rows_affected() == 1)
}

pub(crate) async fn drop_keks(
    conn: &mut PgConnection,
    project: &ProjectName,
    before: u32,
) -> Result<u32, Fault> {
    hold(conn, project).await?;
    let dropped = sqlx::query(
        "DELETE FROM secret_kek k WHERE k.project = $1 AND k.version < $2 AND NOT EXISTS (\
         SELECT 1 FROM secret_value v WHERE v.project = $1 AND v.kek = k.version)",
    )
    .bind(project.as_str())
    .bind(i64::from(before))
    .execute(conn)
    .await?;
    Ok(u32::try_from(dropped.rows_affected()).unwrap_or(u32::MAX))
}

pub(crate) async fn secret(
    conn: &mut PgConnection,
    project: &ProjectName,
    name: &SecretName,
) -> Result<Option<SecretRecord>, Fault> {
    let text: Option<String> =
        sqlx::query_scalar("SELECT record FROM secret WHERE project = $1 AND name = $2")
            .bind(project.as_str())
            .bind(name.as_str())
            .fetch_optional(conn)
            .await?;
    text.map(|t| read_json(&t, "secret")).transpose()
}

pub(crate) async fn secrets(
    conn: &mut PgConnection,
    project: &ProjectName,
    after: Option<&SecretName>,
    limit: u32,
) -> Result<Vec<SecretRecord>, Fault> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT record FROM secret WHERE project = $1 AND name > $2 ORDER BY name LIMIT $3",
    )
    .bind(project.as_str())
    .bind(after.map_or("", SecretName::as_str))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|text| read_json(text, "secret")).collect()
}

pub(crate) async fn value(
    conn: &mut PgConnection,
    project: &ProjectName,
    secret: SecretId,
    version: u32,
) -> Result<Option<Bytes>, Fault> {
    let bytes: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT envelope FROM secret_value WHERE project = $1 AND secret = $2 AND version = $3",
    )
    .bind(project.as_str())
    .bind(secret.0.as_slice())
    .bind(i64::from(version))
    .fetch_optional(conn)
    .await?;
    Ok(bytes.map(Bytes::from))
}

pub(crate) async fn values_under(
    conn: &mut PgConnection,
    project: &ProjectName,
    kek: u32,
    limit: u32,
) -> Result<Vec<StoredValue>, Fault> {
    let rows = sqlx::query(
        "SELECT secret, version, envelope FROM secret_value WHERE project = $1 AND kek < $2 LIMIT $3",
    )
    .bind(project.as_str())
    .bind(i64::from(kek))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &PgRow) -> Result<StoredValue, Fault> {
    Ok(StoredValue {
        secret: SecretId(fixed(row, 0, "id of a secret")?),
        version: nat32(row.try_get(1)?),
        envelope: row.try_get::<Vec<u8>, _>(2)?.into(),
    })
}

pub(crate) async fn rewrap(
    conn: &mut PgConnection,
    project: &ProjectName,
    old: &StoredValue,
    envelope: &[u8],
    kek: u32,
) -> Result<bool, Fault> {
    hold(conn, project).await?;
    let changed = sqlx::query(
        "UPDATE secret_value SET envelope = $5, kek = $6 \
         WHERE project = $1 AND secret = $2 AND version = $3 AND envelope = $4",
    )
    .bind(project.as_str())
    .bind(old.secret.0.as_slice())
    .bind(i64::from(old.version))
    .bind(old.envelope.as_ref())
    .bind(envelope)
    .bind(i64::from(kek))
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}

pub(crate) async fn change(conn: &mut PgConnection, change: &Change, again: bool) -> Result<Changed, Fault> {
    let record = &change.record;
    let (project, name) = (record.project.as_str(), record.name.as_str());
    hold(conn, &record.project).await?;
    let found: Option<i64> =
        sqlx::query_scalar("SELECT revision FROM secret WHERE project = $1 AND name = $2")
            .bind(project)
            .bind(name)
            .fetch_optional(&mut *conn)
            .await?;
    if found != change.expected.map(int) {
        // it may be what an earlier try of this very change left
        let ours = again
            && secret(conn, &record.project, &record.name)
                .await?
                .is_some_and(|r| r == *record);
        return Ok(if ours { Changed::Done } else { Changed::Conflict });
    }
    if found.is_none() {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM secret WHERE project = $1")
            .bind(project)
            .fetch_one(&mut *conn)
            .await?;
        if nat(count) >= u64::from(change.secrets_max) {
            return Ok(Changed::Full);
        }
    }
    // all that can be refused is, before anything is written
    for (_, kek) in change.values.iter().filter_map(|v| v.envelope.as_ref()) {
        // the key may have been dropped, or the project destroyed, since the value was sealed
        let there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM secret_kek WHERE project = $1 AND version = $2)",
        )
        .bind(project)
        .bind(i64::from(*kek))
        .fetch_one(&mut *conn)
        .await?;
        if !there {
            return Ok(Changed::Conflict);
        }
    }
    for value in &change.values {
        let query = match &value.envelope {
            Some((envelope, kek)) => sqlx::query("INSERT INTO secret_value VALUES ($1, $2, $3, $4, $5)")
                .bind(project)
                .bind(record.id.0.as_slice())
                .bind(i64::from(value.version))
                .bind(i64::from(*kek))
                .bind(envelope.as_ref()),
            None => {
                sqlx::query("DELETE FROM secret_value WHERE project = $1 AND secret = $2 AND version = $3")
                    .bind(project)
                    .bind(record.id.0.as_slice())
                    .bind(i64::from(value.version))
            }
        };
        query.execute(&mut *conn).await?;
    }
    sqlx::query(
        "INSERT INTO secret VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (project, name) DO UPDATE SET \
         id = excluded.id, revision = excluded.revision, due_at = excluded.due_at, record = excluded.record",
    )
    .bind(project)
    .bind(name)
    .bind(record.id.0.as_slice())
    .bind(int(record.revision))
    .bind(due_at(record))
    .bind(write_json(record)?)
    .execute(conn)
    .await?;
    Ok(Changed::Done)
}

/// The first time at which something is to be done.
fn due_at(record: &SecretRecord) -> Option<i64> {
    let living = record.versions.iter().filter(|v| v.destroyed_at.is_none());
    let expiry = living.filter_map(|v| v.expires_at);
    let rotation = record.rotation.as_ref().map(|r| r.act_at);
    expiry.chain(rotation).min().map(|at| at.0)
}

pub(crate) async fn remove(
    conn: &mut PgConnection,
    project: &ProjectName,
    name: &SecretName,
    revision: u64,
) -> Result<bool, Fault> {
    hold(conn, project).await?;
    let id: Option<Vec<u8>> = sqlx::query_scalar(
        "DELETE FROM secret WHERE project = $1 AND name = $2 AND revision = $3 RETURNING id",
    )
    .bind(project.as_str())
    .bind(name.as_str())
    .bind(int(revision))
    .fetch_optional(&mut *conn)
    .await?;
    let Some(id) = id else { return Ok(false) };
    sqlx::query("DELETE FROM secret_value WHERE project = $1 AND secret = $2")
        .bind(project.as_str())
        .bind(id)
        .execute(conn)
        .await?;
    Ok(true)
}

pub(crate) async fn remove_project(conn: &mut PgConnection, project: &ProjectName) -> Result<u32, Fault> {
    hold(conn, project).await?;
    let mut count = 0;
    for sql in [
        "DELETE FROM secret_value WHERE project = $1",
        "DELETE FROM secret_kek WHERE project = $1",
        "DELETE FROM secret WHERE project = $1",
    ] {
        count = sqlx::query(sql)
            .bind(project.as_str())
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(crate) async fn due(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: u32,
) -> Result<Vec<SecretRecord>, Fault> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT record FROM secret WHERE due_at <= $1 ORDER BY due_at LIMIT $2")
            .bind(now.0)
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await?;
    rows.iter().map(|text| read_json(text, "secret")).collect()
}
