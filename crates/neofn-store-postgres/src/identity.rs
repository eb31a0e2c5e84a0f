//! API keys: the rows. The secret itself never comes here.

use crate::error::Fault;
use crate::rows::fixed;
use neofn_identity::{KeyId, KeyRecord};
use neofn_types::UnixMillis;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

pub(crate) async fn add(conn: &mut PgConnection, key: &KeyRecord, again: bool) -> Result<(), Fault> {
    let scope =
        serde_json::to_string(&key.scope).map_err(|_| Fault::Misuse("a scope that cannot be encoded"))?;
    let added = sqlx::query("INSERT INTO api_key VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(key.id.0.as_slice())
        .bind(key.hash.as_slice())
        .bind(scope)
        .bind(key.created_at.0)
        .bind(key.expires_at.map(|t| t.0))
        .bind(key.revoked_at.map(|t| t.0))
        .execute(&mut *conn)
        .await?;
    // what an earlier try of this very command left is as good
    let there = added.rows_affected() == 1 || (again && self::key(conn, key.id).await?.as_ref() == Some(key));
    there.then_some(()).ok_or(Fault::Misuse("a key id twice"))
}

macro_rules! keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, hash, scope, created_at, expires_at, revoked_at FROM api_key ",
            $rest
        )
    };
}

pub(crate) async fn key(conn: &mut PgConnection, id: KeyId) -> Result<Option<KeyRecord>, Fault> {
    let row = sqlx::query(keys!("WHERE id = $1"))
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(record).transpose()
}

pub(crate) async fn keys(conn: &mut PgConnection) -> Result<Vec<KeyRecord>, Fault> {
    let rows = sqlx::query(keys!("ORDER BY created_at, id"))
        .fetch_all(conn)
        .await?;
    rows.iter().map(record).collect()
}

fn record(row: &PgRow) -> Result<KeyRecord, Fault> {
    let time = |column: usize| -> Result<Option<UnixMillis>, Fault> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis))
    };
    Ok(KeyRecord {
        id: KeyId(fixed(row, 0, "key id")?),
        hash: fixed(row, 1, "key hash")?,
        scope: serde_json::from_str(row.try_get(2)?).map_err(|_| Fault::Damaged("scope"))?,
        created_at: UnixMillis(row.try_get(3)?),
        expires_at: time(4)?,
        revoked_at: time(5)?,
    })
}
