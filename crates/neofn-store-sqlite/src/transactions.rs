//! Managed transactions: the rows. Knows which changes belong together, and nothing of why they are made.

use crate::codec::{int, nat32};
use crate::error::Fault;
use neofn_chain::manager::{TxId, TxRecord};
use neofn_chain::port::Reserved;
use neofn_types::{Datoshi, ProjectName};
use rusqlite::{Connection, OptionalExtension as _, params};

/// JSON: it is read by people too when something went wrong, and there are few of them.
fn pack(record: &TxRecord) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(record).map_err(|_| Fault::Misuse("a transaction that cannot be encoded"))
}
fn unpack(bytes: &[u8]) -> Result<TxRecord, Fault> {
    serde_json::from_slice(bytes).map_err(|_| Fault::Damaged("transaction"))
}

pub(crate) fn reserve(conn: &Connection, record: &TxRecord, balance: Datoshi) -> Result<Reserved, Fault> {
    if let Some(found) = by_id(conn, record.id)? {
        return Ok(Reserved::Existing(Box::new(found)));
    }
    let mut beside = 0;
    let replaced = match record.replaces {
        Some(old) => {
            let mut old = by_id(conn, old)?.ok_or(Fault::Misuse("a replacement of nothing"))?;
            // renewed meanwhile, it is not what the replacement excludes
            if !record.can_replace(&old) {
                return Ok(Reserved::Existing(Box::new(old)));
            }
            beside = old.fees().0;
            old.replaced_by = Some(record.id);
            old.revision += 1;
            Some(old)
        }
        None => None,
    };
    let pending = pending(conn, record)?.saturating_sub(beside).max(0);
    if pending.saturating_add(record.fees().0) > balance.0 {
        return Ok(Reserved::OverBudget {
            pending: Datoshi(pending),
        });
    }
    if let Some(old) = replaced {
        write(conn, &old)?;
    }
    conn.prepare_cached(
        "INSERT INTO tx (id, project, revision, open, sender, fees, hash, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        record.id.0,
        record.request.project.to_string(),
        int(record.revision),
        !record.state.is_final(),
        record.sender.0,
        record.fees().0,
        record.hash.0,
        pack(record)?
    ])?;
    Ok(Reserved::New)
}

/// What the sender's open transactions cost together. Of two that exclude each other both count, so it is rather too
/// much than too little.
fn pending(conn: &Connection, record: &TxRecord) -> Result<i64, Fault> {
    // a sum that does not fit is an error in SQLite; in floating point it is merely huge
    let sum: f64 = conn
        .prepare_cached("SELECT total(fees) FROM tx WHERE sender = ?1 AND open = 1")?
        .query_row([record.sender.0], |row| row.get(0))?;
    let exact: Option<i64> = if sum < 9e15 {
        conn.prepare_cached("SELECT sum(fees) FROM tx WHERE sender = ?1 AND open = 1")?
            .query_row([record.sender.0], |row| row.get(0))?
    } else {
        Some(i64::MAX)
    };
    Ok(exact.unwrap_or(0))
}

pub(crate) fn advance(conn: &Connection, record: &TxRecord) -> Result<bool, Fault> {
    write(conn, record)
}
fn write(conn: &Connection, record: &TxRecord) -> Result<bool, Fault> {
    let changed = conn
        .prepare_cached(
            "UPDATE tx SET revision = ?2, open = ?3, sender = ?4, fees = ?5, hash = ?6, record = ?7
             WHERE id = ?1 AND revision = ?8",
        )?
        .execute(params![
            record.id.0,
            int(record.revision),
            !record.state.is_final(),
            record.sender.0,
            record.fees().0,
            record.hash.0,
            pack(record)?,
            int(record.revision.saturating_sub(1))
        ])?;
    Ok(changed == 1)
}

pub(crate) fn abandon(conn: &Connection, id: TxId, revision: u64) -> Result<bool, Fault> {
    let Some(record) = by_id(conn, id)? else {
        return Ok(false);
    };
    if record.revision != revision || record.state != neofn_chain::manager::TxState::Reserved {
        return Ok(false);
    }
    if let Some(mut old) = record
        .replaces
        .and_then(|old| by_id(conn, old).transpose())
        .transpose()?
    {
        old.replaced_by = None;
        old.revision += 1;
        write(conn, &old)?;
    }
    let gone = conn
        .prepare_cached("DELETE FROM tx WHERE id = ?1")?
        .execute([id.0])?;
    Ok(gone == 1)
}

pub(crate) fn by_id(conn: &Connection, id: TxId) -> Result<Option<TxRecord>, Fault> {
    let found: Option<Vec<u8>> = conn
        .prepare_cached("SELECT record FROM tx WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    found.as_deref().map(unpack).transpose()
}

pub(crate) fn open(conn: &Connection, limit: u32) -> Result<Vec<TxRecord>, Fault> {
    let mut statement = conn.prepare_cached("SELECT record FROM tx WHERE open = 1 ORDER BY seq LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|bytes| unpack(&bytes?)).collect()
}

pub(crate) fn list(
    conn: &Connection,
    project: &ProjectName,
    before: Option<TxId>,
    limit: u32,
) -> Result<Vec<TxRecord>, Fault> {
    let seq: Option<i64> = match before {
        Some(id) => conn
            .prepare_cached("SELECT seq FROM tx WHERE id = ?1")?
            .query_row([id.0], |row| row.get(0))
            .optional()?,
        None => None,
    };
    let mut statement = conn
        .prepare_cached("SELECT record FROM tx WHERE project = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3")?;
    let rows = statement.query_map(
        params![project.to_string(), seq.unwrap_or(i64::MAX), nat32(limit.into())],
        |row| row.get::<_, Vec<u8>>(0),
    )?;
    rows.map(|bytes| unpack(&bytes?)).collect()
}
