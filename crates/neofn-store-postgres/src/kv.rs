//! The key-value namespace of a project: writes that commit with a result, and reads. The project's row is locked
//! while writes are worked out, so that revisions grow and the quota holds across nodes. Rows end by the database's time,
//! entries as they are asked for and answered by the asker's.

use crate::admit::Answer;
use crate::error::Fault;
use crate::rows::text;
use crate::time::{self, now};
use neofn_engine::port::{Finish, KvEntry, StoreError};
use neofn_rows::kv::{Keys, Space, Touched, exceeds, key_of, less, live, measure, rewritten, size};
use neofn_rows::{int, nat};
use neofn_types::{ProjectName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::HashMap;

/// Applies the writes of an ended attempt, or says why not; then nothing was written.
pub(crate) async fn commit(conn: &mut PgConnection, pid: i64, finish: &Finish) -> Answer<()> {
    if finish.kv.is_empty() {
        return Ok(Ok(()));
    }
    let before = lock(conn, pid).await?;
    let ahead = time::ahead(conn, finish.at).await?;
    let mut space = before;
    let mut stored = load(conn, pid, finish, ahead).await?;
    let mut touched = Keys::new();
    for write in &finish.kv {
        let key = key_of(write);
        let slot = touched
            .entry(key)
            .or_insert_with(|| Touched::load(key, stored.remove(key), finish.at));
        if let Err(refusal) = slot.step(write, &mut space.revision) {
            return Ok(Err(refusal));
        }
    }
    let mut after = measure(space, &touched);
    if after.keys > finish.kv_quota.keys_max || after.bytes > finish.kv_quota.bytes_max {
        // entries that are gone for everybody must not count
        let swept = sweep_space(conn, pid, UnixMillis(finish.at.0.saturating_add(ahead)), &touched).await?;
        let before = less(before, swept);
        after = less(after, swept);
        if exceeds(less(before, rewritten(&touched)), after, finish.kv_quota) {
            set(conn, pid, before).await?;
            return Ok(Err(StoreError::KvQuota));
        }
    }
    write_all(conn, pid, &touched, ahead).await?;
    set(conn, pid, after).await?;
    Ok(Ok(()))
}

async fn lock(conn: &mut PgConnection, pid: i64) -> Result<Space, Fault> {
    let row =
        sqlx::query("SELECT kv_revision, kv_keys, kv_bytes FROM project WHERE pid = $1 FOR NO KEY UPDATE")
            .bind(pid)
            .fetch_optional(conn)
            .await?
            .ok_or(Fault::Damaged("project"))?;
    Ok(Space {
        revision: nat(row.try_get(0)?),
        keys: nat(row.try_get(1)?),
        bytes: nat(row.try_get(2)?),
    })
}

async fn set(conn: &mut PgConnection, pid: i64, space: Space) -> Result<(), Fault> {
    sqlx::query("UPDATE project SET kv_revision = $2, kv_keys = $3, kv_bytes = $4 WHERE pid = $1")
        .bind(pid)
        .bind(int(space.revision))
        .bind(int(space.keys))
        .bind(int(space.bytes))
        .execute(conn)
        .await?;
    Ok(())
}

async fn load(
    conn: &mut PgConnection,
    pid: i64,
    finish: &Finish,
    ahead: i64,
) -> Result<HashMap<String, KvEntry>, Fault> {
    let keys: Vec<&[u8]> = finish.kv.iter().map(|w| key_of(w).as_bytes()).collect();
    let rows =
        sqlx::query("SELECT key, value, revision, expires_at - $3 FROM kv WHERE pid = $1 AND key = ANY($2)")
            .bind(pid)
            .bind(keys)
            .bind(ahead)
            .fetch_all(conn)
            .await?;
    rows.iter()
        .map(|row| entry(row).map(|entry| (entry.key.clone(), entry)))
        .collect()
}

async fn write_all(conn: &mut PgConnection, pid: i64, touched: &Keys<'_>, ahead: i64) -> Result<(), Fault> {
    let (mut keys, mut values): (Vec<&[u8]>, Vec<&[u8]>) = Default::default();
    let (mut revisions, mut ends): (Vec<i64>, Vec<Option<i64>>) = Default::default();
    let mut gone: Vec<&[u8]> = Vec::new();
    for (key, touched) in touched.iter().filter(|(_, t)| t.changed) {
        match &touched.now {
            Some(slot) => {
                keys.push(key.as_bytes());
                values.push(&slot.value);
                revisions.push(int(slot.revision));
                ends.push(slot.expires_at.map(|t| t.0.saturating_add(ahead)));
            }
            None => gone.push(key.as_bytes()),
        }
    }
    if !keys.is_empty() {
        sqlx::query(
            "INSERT INTO kv SELECT $1, key, revision, expires_at, value \
             FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[]) AS n(key, revision, expires_at, value) \
             ON CONFLICT (pid, key) DO UPDATE SET revision = excluded.revision, expires_at = excluded.expires_at, \
             value = excluded.value",
        )
        .bind(pid)
        .bind(keys)
        .bind(revisions)
        .bind(ends)
        .bind(values)
        .execute(&mut *conn)
        .await?;
    }
    if !gone.is_empty() {
        sqlx::query("DELETE FROM kv WHERE pid = $1 AND key = ANY($2)")
            .bind(pid)
            .bind(gone)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Removes the expired entries of one namespace, but for the keys that are being written anyway; answers how
/// many keys and bytes that were.
async fn sweep_space(
    conn: &mut PgConnection,
    pid: i64,
    now: UnixMillis,
    touched: &Keys<'_>,
) -> Result<(u64, u64), Fault> {
    let kept: Vec<&[u8]> = touched
        .iter()
        .filter(|(_, t)| t.changed)
        .map(|(key, _)| key.as_bytes())
        .collect();
    let rows = sqlx::query(
        "DELETE FROM kv WHERE pid = $1 AND expires_at <= $2 AND key <> ALL($3) RETURNING key, octet_length(value)::bigint",
    )
    .bind(pid)
    .bind(now.0)
    .bind(kept)
    .fetch_all(conn)
    .await?;
    sum(&rows)
}

/// Keys and bytes of removed rows.
fn sum(gone: &[PgRow]) -> Result<(u64, u64), Fault> {
    let mut sum = (0, 0);
    for row in gone {
        sum.0 += 1;
        sum.1 += size(&text(row, 0)?, 0) + nat(row.try_get(1)?);
    }
    Ok(sum)
}

/// Removes expired entries of every namespace.
pub(crate) async fn sweep(conn: &mut PgConnection, now: UnixMillis, limit: u32) -> Result<u32, Fault> {
    let now = time::of(conn, now).await?;
    let rows = sqlx::query(
        "SELECT DISTINCT pid FROM (SELECT pid FROM kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) k \
         ORDER BY pid",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let mut swept = 0;
    for row in rows {
        let pid: i64 = row.try_get(0)?;
        let space = lock(conn, pid).await?;
        let gone = sqlx::query(
            "DELETE FROM kv WHERE pid = $1 AND key IN (SELECT key FROM kv WHERE pid = $1 AND expires_at <= $2 \
             ORDER BY expires_at LIMIT $3) RETURNING key, octet_length(value)::bigint",
        )
        .bind(pid)
        .bind(now.0)
        .bind(i64::from(limit - swept))
        .fetch_all(&mut *conn)
        .await?;
        set(conn, pid, less(space, sum(&gone)?)).await?;
        swept += u32::try_from(gone.len()).unwrap_or(u32::MAX);
        if swept >= limit {
            break;
        }
    }
    Ok(swept)
}

fn entry(row: &PgRow) -> Result<KvEntry, Fault> {
    Ok(KvEntry {
        key: text(row, 0)?,
        value: row.try_get::<Vec<u8>, _>(1)?.into(),
        revision: nat(row.try_get(2)?),
        expires_at: row.try_get::<Option<i64>, _>(3)?.map(UnixMillis),
    })
}

pub(crate) async fn get(
    conn: &mut PgConnection,
    project: &ProjectName,
    key: &str,
    now: UnixMillis,
) -> Result<Option<KvEntry>, Fault> {
    let row = sqlx::query(concat!(
        "SELECT key, value, revision, expires_at - (",
        now!("$3"),
        " - $3) FROM kv WHERE pid = (SELECT pid FROM project WHERE name = $1) AND key = $2"
    ))
    .bind(project.as_ref())
    .bind(key.as_bytes())
    .bind(now.0)
    .fetch_optional(conn)
    .await?;
    let found = row.as_ref().map(entry).transpose()?;
    Ok(found.filter(|entry| live(entry, now)))
}

/// A page of a listing.
pub(crate) struct Page<'a> {
    pub prefix: &'a str,
    pub after: Option<&'a str>,
    pub limit: u32,
    pub now: UnixMillis,
}

pub(crate) async fn list(
    conn: &mut PgConnection,
    project: &ProjectName,
    page: Page<'_>,
) -> Result<Vec<KvEntry>, Fault> {
    // keys with a prefix lie side by side in byte order, so the first one without it ends the walk
    let (from, first) = match page.after {
        Some(after) if after >= page.prefix => (after, false),
        _ => (page.prefix, true),
    };
    let rows = sqlx::query(concat!(
        "WITH c AS MATERIALIZED (SELECT ",
        now!("$3"),
        " AS now) SELECT key, value, revision, expires_at - (c.now - $3) FROM kv CROSS JOIN c \
         WHERE pid = (SELECT pid FROM project WHERE name = $1) AND (expires_at IS NULL OR expires_at > c.now) \
         AND key >= $2 AND (key > $2 OR $4) ORDER BY key LIMIT $5"
    ))
    .bind(project.as_ref())
    .bind(from.as_bytes())
    .bind(page.now.0)
    .bind(first)
    .bind(i64::from(page.limit))
    .fetch_all(conn)
    .await?;
    let mut found = Vec::new();
    for row in &rows {
        let entry = entry(row)?;
        if !entry.key.starts_with(page.prefix) {
            break;
        }
        found.push(entry);
    }
    Ok(found)
}
