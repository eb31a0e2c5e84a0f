//! API keys: the rows. The secret itself never comes here.

use crate::codec::fixed;
use crate::error::Fault;
use neofn_identity::{KeyId, KeyRecord};
use neofn_types::UnixMillis;
use rusqlite::{Connection, Row, params};

pub(crate) fn add(conn: &Connection, key: &KeyRecord) -> Result<(), Fault> {
    let scope =
        serde_json::to_string(&key.scope).map_err(|_| Fault::Misuse("a scope that cannot be encoded"))?;
    conn.prepare_cached("INSERT INTO api_key VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            key.id.0,
            key.hash,
            scope,
            key.created_at.0,
            key.expires_at.map(|t| t.0),
            key.revoked_at.map(|t| t.0)
        ])?;
    Ok(())
}

pub(crate) fn key(conn: &Connection, id: KeyId) -> Result<Option<KeyRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, hash, scope, created_at, expires_at, revoked_at FROM api_key WHERE id = ?1",
    )?;
    let mut rows = statement.query([id.0.as_slice()])?;
    rows.next()?.map(record).transpose()
}

pub(crate) fn keys(conn: &Connection) -> Result<Vec<KeyRecord>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, hash, scope, created_at, expires_at, revoked_at FROM api_key ORDER BY created_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<KeyRecord, Fault> {
    let scope: String = row.get(2)?;
    let time = |column| -> Result<Option<UnixMillis>, Fault> {
        Ok(row.get::<_, Option<i64>>(column)?.map(UnixMillis))
    };
    Ok(KeyRecord {
        id: KeyId(fixed(row, 0, "key id")?),
        hash: fixed(row, 1, "key hash")?,
        scope: serde_json::from_str(&scope).map_err(|_| Fault::Damaged("scope"))?,
        created_at: UnixMillis(row.get(3)?),
        expires_at: time(4)?,
        revoked_at: time(5)?,
    })
}
