//! Functions and versions. Whoever changes a function holds its row until the change is written.

use crate::error::Fault;
use crate::rows::{Place, fixed, id, key};
use crate::{ledger, news};
use neofn_engine::port::News;
use neofn_registry::port::{Publish, Published, RegistryStoreError, Upon};
use neofn_registry::{ArtifactRef, FunctionRecord, VersionRecord};
use neofn_rows::{nat, nat32};
use neofn_types::{Digest, FunctionKey, FunctionName, ProjectName, UnixMillis, Version};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// The outer error is worth another try, the inner one is this command's refusal.
pub(crate) type Answer<T> = Result<Result<T, RegistryStoreError>, Fault>;

macro_rules! functions {
    ($rest:literal) => {
        concat!(
            "SELECT p.name, f.name, f.id, f.live, f.active, (SELECT coalesce(sum(t.invocations), 0)::bigint \
             FROM tally t WHERE t.pid = f.pid AND t.fid = f.fid), f.created_at, f.updated_at, f.pid, f.fid \
             FROM function f JOIN project p ON p.pid = f.pid ",
            $rest
        )
    };
}

fn function_record(row: &PgRow) -> Result<FunctionRecord, Fault> {
    Ok(FunctionRecord {
        key: key(row, 0)?,
        id: id(row, 2)?,
        live: Version(nat32(row.try_get(3)?)),
        active: row.try_get(4)?,
        invocation_count: nat(row.try_get(5)?),
        created_at: UnixMillis(row.try_get(6)?),
        updated_at: UnixMillis(row.try_get(7)?),
    })
}

pub(crate) async fn function(
    conn: &mut PgConnection,
    key: &FunctionKey,
) -> Result<Option<FunctionRecord>, Fault> {
    let row = sqlx::query(functions!("WHERE p.name = $1 AND f.name = $2"))
        .bind(key.project.as_ref())
        .bind(key.function.as_ref())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(function_record).transpose()
}

pub(crate) async fn functions(
    conn: &mut PgConnection,
    project: &ProjectName,
    after: Option<&FunctionName>,
    limit: u32,
) -> Result<Vec<FunctionRecord>, Fault> {
    let rows = sqlx::query(functions!(
        "WHERE p.name = $1 AND f.name > $2 ORDER BY f.name LIMIT $3"
    ))
    .bind(project.as_ref())
    .bind(after.map_or("", AsRef::as_ref))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(function_record).collect()
}

pub(crate) async fn project_exists(conn: &mut PgConnection, project: &ProjectName) -> Result<bool, Fault> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM project WHERE name = $1 AND ended_at IS NULL)")
            .bind(project.as_ref())
            .fetch_one(conn)
            .await?,
    )
}

pub(crate) async fn projects(conn: &mut PgConnection) -> Result<Vec<ProjectName>, Fault> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM project WHERE ended_at IS NULL ORDER BY name")
            .fetch_all(conn)
            .await?;
    names
        .iter()
        .map(|name| name.parse().map_err(|_| Fault::Damaged("name")))
        .collect()
}

macro_rules! versions {
    ($rest:literal) => {
        concat!(
            "SELECT v.version, v.digest, v.created_at, v.spec, v.artifact FROM version v \
             JOIN function f ON f.pid = v.pid AND f.fid = v.fid JOIN project p ON p.pid = f.pid \
             WHERE p.name = $1 AND f.name = $2 ",
            $rest
        )
    };
}

fn version_record(key: &FunctionKey, row: &PgRow) -> Result<VersionRecord, Fault> {
    Ok(VersionRecord {
        key: key.clone(),
        version: Version(nat32(row.try_get(0)?)),
        digest: Digest(fixed(row, 1, "version digest")?),
        created_at: UnixMillis(row.try_get(2)?),
        spec: serde_json::from_str(row.try_get(3)?).map_err(|_| Fault::Damaged("version"))?,
        artifact: serde_json::from_str(row.try_get(4)?).map_err(|_| Fault::Damaged("artifact reference"))?,
    })
}

pub(crate) async fn version(
    conn: &mut PgConnection,
    key: &FunctionKey,
    version: Version,
) -> Result<Option<VersionRecord>, Fault> {
    let row = sqlx::query(versions!("AND v.version = $3"))
        .bind(key.project.as_ref())
        .bind(key.function.as_ref())
        .bind(i64::from(version.0))
        .fetch_optional(conn)
        .await?;
    row.map(|row| version_record(key, &row)).transpose()
}

pub(crate) async fn versions(
    conn: &mut PgConnection,
    key: &FunctionKey,
    before: Option<Version>,
    limit: u32,
) -> Result<Vec<VersionRecord>, Fault> {
    let rows = sqlx::query(versions!("AND v.version < $3 ORDER BY v.version DESC LIMIT $4"))
        .bind(key.project.as_ref())
        .bind(key.function.as_ref())
        .bind(before.map_or(i64::MAX, |v| i64::from(v.0)))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| version_record(key, row)).collect()
}

/// The function, held against other changes until this transaction ends.
async fn hold(conn: &mut PgConnection, key: &FunctionKey) -> Result<Option<(Place, FunctionRecord)>, Fault> {
    let row = sqlx::query(functions!(
        "WHERE p.name = $1 AND f.name = $2 FOR NO KEY UPDATE OF f"
    ))
    .bind(key.project.as_ref())
    .bind(key.function.as_ref())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((Place::at(&row, 8)?, function_record(&row)?)))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Misuse("a version that cannot be encoded"))
}

pub(crate) async fn publish(conn: &mut PgConnection, publish: &Publish) -> Answer<Published> {
    let key = &publish.key;
    let created = match create(conn, publish).await? {
        Ok(created) => created,
        Err(refused) => return Ok(Err(refused)),
    };
    let (place, before) = hold(conn, key).await?.ok_or(Fault::Damaged("function"))?;
    if !created {
        let live = version(conn, key, before.live).await?;
        let stays = live.as_ref().is_some_and(|live| live.digest == publish.digest);
        if !stays && !publish.upon.holds(live.as_ref()) {
            return Ok(Err(RegistryStoreError::LiveMoved));
        }
    }
    let same: Option<i64> =
        sqlx::query_scalar("SELECT version FROM version WHERE pid = $1 AND fid = $2 AND digest = $3")
            .bind(place.pid)
            .bind(place.fid)
            .bind(publish.digest.0.as_slice())
            .fetch_optional(&mut *conn)
            .await?;
    let number = Version(match same {
        Some(number) => nat32(number),
        None => add_version(conn, place, publish).await?,
    });
    let unchanged = !created && before.live == number;
    if !unchanged {
        move_live(conn, place, number, publish.at).await?;
        news::tell(conn, &News::Live(key.clone())).await?;
    }
    Ok(Ok(Published {
        function: function(conn, key).await?.ok_or(Fault::Damaged("function"))?,
        version: version(conn, key, number)
            .await?
            .ok_or(Fault::Damaged("version"))?,
        created,
        unchanged,
    }))
}

/// Makes project and function unless they are there; whether the function is new.
async fn create(conn: &mut PgConnection, publish: &Publish) -> Answer<bool> {
    let key = &publish.key;
    // asked first: an insert that finds its row uses up a number each time
    if function(conn, key).await?.is_some() {
        return Ok(Ok(false));
    }
    if !publish.upon.holds(None) {
        return Ok(Err(RegistryStoreError::LiveMoved));
    }
    sqlx::query("INSERT INTO project(name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(key.project.as_ref())
        .bind(publish.at.0)
        .execute(&mut *conn)
        .await?;
    // held, so that it does not end while it gets a function
    let ended: Option<i64> = sqlx::query_scalar("SELECT ended_at FROM project WHERE name = $1 FOR SHARE")
        .bind(key.project.as_ref())
        .fetch_one(&mut *conn)
        .await?;
    if ended.is_some() {
        return Ok(Err(RegistryStoreError::ProjectEnded));
    }
    let made = sqlx::query(
        "INSERT INTO function(pid, name, id, live, active, created_at, updated_at) \
         VALUES ((SELECT pid FROM project WHERE name = $1), $2, $3, 1, true, $4, $4) ON CONFLICT DO NOTHING",
    )
    .bind(key.project.as_ref())
    .bind(key.function.as_ref())
    .bind(publish.new_id.as_bytes().as_slice())
    .bind(publish.at.0)
    .execute(conn)
    .await?;
    Ok(Ok(made.rows_affected() == 1))
}

async fn add_version(conn: &mut PgConnection, place: Place, publish: &Publish) -> Result<u32, Fault> {
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO version SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6 FROM version \
         WHERE pid = $1 AND fid = $2 RETURNING version",
    )
    .bind(place.pid)
    .bind(place.fid)
    .bind(publish.digest.0.as_slice())
    .bind(publish.at.0)
    .bind(json(&publish.spec)?)
    .bind(json(&publish.artifact)?)
    .fetch_one(conn)
    .await?;
    Ok(nat32(number))
}

async fn move_live(conn: &mut PgConnection, place: Place, to: Version, at: UnixMillis) -> Result<(), Fault> {
    sqlx::query("UPDATE function SET live = $3, updated_at = $4 WHERE pid = $1 AND fid = $2")
        .bind(place.pid)
        .bind(place.fid)
        .bind(i64::from(to.0))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

pub(crate) async fn set_live(
    conn: &mut PgConnection,
    key: &FunctionKey,
    to: Version,
    upon: &Upon,
    at: UnixMillis,
) -> Answer<FunctionRecord> {
    let Some((place, mut record)) = hold(conn, key).await? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    if version(conn, key, to).await?.is_none() {
        return Ok(Err(RegistryStoreError::VersionNotFound));
    }
    if record.live != to {
        if !upon.holds(version(conn, key, record.live).await?.as_ref()) {
            return Ok(Err(RegistryStoreError::LiveMoved));
        }
        move_live(conn, place, to, at).await?;
        news::tell(conn, &News::Live(key.clone())).await?;
        record.live = to;
        record.updated_at = at;
    }
    Ok(Ok(record))
}

pub(crate) async fn set_active(
    conn: &mut PgConnection,
    key: &FunctionKey,
    active: bool,
    at: UnixMillis,
) -> Answer<FunctionRecord> {
    let Some((place, mut record)) = hold(conn, key).await? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    if record.active != active {
        sqlx::query("UPDATE function SET active = $3, updated_at = $4 WHERE pid = $1 AND fid = $2")
            .bind(place.pid)
            .bind(place.fid)
            .bind(active)
            .bind(at.0)
            .execute(&mut *conn)
            .await?;
        news::tell(conn, &News::Live(key.clone())).await?;
        record.active = active;
        record.updated_at = at;
    }
    Ok(Ok(record))
}

/// Takes the function and what waits of it away at once; its other rows follow with the next sweep. `again`: an earlier try
/// may have been committed without an answer.
pub(crate) async fn delete_function(
    conn: &mut PgConnection,
    key: &FunctionKey,
    at: UnixMillis,
    again: bool,
) -> Answer<()> {
    ledger::lock(conn).await?;
    let row = sqlx::query(
        "DELETE FROM function f USING project p WHERE p.pid = f.pid AND p.name = $1 AND f.name = $2 \
         RETURNING f.pid, f.fid",
    )
    .bind(key.project.as_ref())
    .bind(key.function.as_ref())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(if again {
            Ok(())
        } else {
            Err(RegistryStoreError::FunctionNotFound)
        });
    };
    let place = Place::at(&row, 0)?;
    let running = sqlx::query(
        "WITH gone AS (DELETE FROM queue WHERE pid = $1 AND fid = $2 RETURNING id, state) SELECT id FROM gone WHERE state = 1",
    )
    .bind(place.pid)
    .bind(place.fid)
    .fetch_all(&mut *conn)
    .await?;
    let running: Vec<_> = running.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
    for sql in [
        "DELETE FROM lane WHERE pid = $1 AND fid = $2",
        "DELETE FROM member WHERE pid = $1 AND fid = $2",
        "INSERT INTO tomb VALUES ($1, $2)",
    ] {
        sqlx::query(sql)
            .bind(place.pid)
            .bind(place.fid)
            .execute(&mut *conn)
            .await?;
    }
    crate::promise::ended_all(conn, place).await?;
    ledger::forget_function(conn, key, place, &running, at).await?;
    news::tell(conn, &News::Gone(key.clone())).await?;
    Ok(Ok(()))
}

pub(crate) async fn set_artifact(
    conn: &mut PgConnection,
    key: &FunctionKey,
    version: Version,
    artifact: &ArtifactRef,
) -> Answer<()> {
    let Some((place, _)) = hold(conn, key).await? else {
        return Ok(Err(RegistryStoreError::FunctionNotFound));
    };
    let done = sqlx::query("UPDATE version SET artifact = $4 WHERE pid = $1 AND fid = $2 AND version = $3")
        .bind(place.pid)
        .bind(place.fid)
        .bind(i64::from(version.0))
        .bind(json(artifact)?)
        .execute(conn)
        .await?;
    Ok(if done.rows_affected() == 0 {
        Err(RegistryStoreError::VersionNotFound)
    } else {
        Ok(())
    })
}
