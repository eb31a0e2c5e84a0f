//! Acts about people and keys: entries of the one audit log, numbered from 1 as their readers count.

use crate::auditlog;
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_types::ProjectName;
use sqlx::postgres::PgConnection;

pub(super) async fn append(conn: &mut PgConnection, entry: &AuditEntry) -> Result<u64, Fault> {
    Ok(auditlog::append(conn, entry).await?.saturating_add(1))
}

pub(super) async fn entries(
    conn: &mut PgConnection,
    project: Option<&ProjectName>,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, AuditEntry)>, Fault> {
    let logged = auditlog::read_from(conn, project, after, limit).await?;
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
