//! The audit log: rows that are only ever added, numbered without gaps.

use super::text;
use crate::codec::{int, nat};
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_types::{ProjectName, UnixMillis};
use rusqlite::{Connection, Row, params};

pub(crate) fn append(conn: &Connection, entry: &AuditEntry) -> Result<u64, Fault> {
    let seq: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM audit")?
        .query_row([], |row| row.get(0))?;
    conn.prepare_cached(
        "INSERT INTO audit(seq, at, project, actor, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        seq,
        entry.at.0,
        entry.project.as_ref().map(AsRef::as_ref),
        entry.actor,
        entry.action,
        entry.target,
        entry.detail
    ])?;
    Ok(nat(seq))
}

pub(crate) fn entries(
    conn: &Connection,
    project: Option<&ProjectName>,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, AuditEntry)>, Fault> {
    let columns = "SELECT seq, at, project, actor, action, target, detail FROM audit WHERE seq > ?1";
    let mut found = Vec::new();
    let mut keep = |row: &Row<'_>| -> Result<(), Fault> {
        found.push((nat(row.get(0)?), record(row)?));
        Ok(())
    };
    match project {
        Some(project) => {
            let sql = format!("{columns} AND project = ?3 ORDER BY seq LIMIT ?2");
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query(params![int(after), limit, project.as_ref()])?;
            while let Some(row) = rows.next()? {
                keep(row)?;
            }
        }
        None => {
            let mut statement = conn.prepare_cached(&format!("{columns} ORDER BY seq LIMIT ?2"))?;
            let mut rows = statement.query(params![int(after), limit])?;
            while let Some(row) = rows.next()? {
                keep(row)?;
            }
        }
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<AuditEntry, Fault> {
    let in_project = row.get_ref(2)? != rusqlite::types::ValueRef::Null;
    Ok(AuditEntry {
        at: UnixMillis(row.get(1)?),
        project: in_project.then(|| text(row, 2, "name")).transpose()?,
        actor: row.get(3)?,
        action: row.get(4)?,
        target: row.get(5)?,
        detail: row.get(6)?,
    })
}
