//! Acts about people and keys: entries of the one audit log, numbered from 1 as their readers count.

use crate::auditlog;
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_types::ProjectName;
use rusqlite::Connection;

pub(crate) fn append(conn: &Connection, entry: &AuditEntry) -> Result<u64, Fault> {
    Ok(auditlog::append(conn, entry)?.saturating_add(1))
}

pub(crate) fn entries(
    conn: &Connection,
    project: Option<&ProjectName>,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, AuditEntry)>, Fault> {
    let logged = auditlog::read_from(conn, project, after, limit)?;
    let numbered = logged.into_iter().map(|entry| {
        let number = entry.seq.saturating_add(1);
        let entry = AuditEntry {
            at: entry.at,
            project: entry.project,
            actor: entry.actor,
            action: entry.action,
            target: entry.target,
            detail: entry.detail,
        };
        (number, entry)
    });
    Ok(numbered.collect())
}
