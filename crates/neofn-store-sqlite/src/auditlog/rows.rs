//! Entries, subtrees, checkpoints, anchors.

use crate::codec::{fixed, int, nat};
use crate::error::Fault;
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::port::{AnchorRow, EntryFilter, StoredEntry};
use neofn_identity::auditlog::{Hash, LoggedEntry, node_hash};
use neofn_types::{Hash256, ProjectName, UnixMillis};
use rusqlite::{Connection, Row, params};

pub(super) fn size(conn: &Connection) -> Result<u64, Fault> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM audit_entry")?
        .query_row([], |r| r.get(0))?;
    Ok(last.map_or(0, |seq| nat(seq).saturating_add(1)))
}

/// Appends an entry, with every subtree that it completes. Part of the transaction of what it tells of. Answers its
/// number.
pub(crate) fn append(conn: &Connection, entry: &AuditEntry) -> Result<u64, Fault> {
    let seq = size(conn)?;
    let leaf = LoggedEntry::new(seq, entry)
        .leaf()
        .map_err(|_| Fault::Misuse("an audit entry that cannot be encoded"))?;
    conn.prepare_cached("INSERT INTO audit_entry VALUES (?1, ?2, ?3)")?
        .execute(params![
            int(seq),
            entry.project.as_ref().map(AsRef::<str>::as_ref),
            leaf.bytes
        ])?;
    let (mut level, mut index, mut hash) = (0u32, seq, leaf.hash);
    add_node(conn, level, index, &hash)?;
    while index % 2 == 1 {
        let left = node(conn, level, index - 1)?.ok_or(Fault::Damaged("audit tree"))?;
        hash = node_hash(&left, &hash);
        (level, index) = (level + 1, index / 2);
        add_node(conn, level, index, &hash)?;
    }
    Ok(seq)
}
fn add_node(conn: &Connection, level: u32, index: u64, hash: &Hash) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO audit_node VALUES (?1, ?2, ?3)")?
        .execute(params![level, int(index), hash])?;
    Ok(())
}
pub(super) fn node(conn: &Connection, level: u32, index: u64) -> Result<Option<Hash>, Fault> {
    let mut statement = conn.prepare_cached("SELECT hash FROM audit_node WHERE level = ?1 AND idx = ?2")?;
    let mut rows = statement.query(params![level, int(index)])?;
    rows.next()?.map(|row| fixed(row, 0, "audit tree")).transpose()
}

fn entry(row: &Row<'_>) -> Result<StoredEntry, rusqlite::Error> {
    Ok(StoredEntry {
        seq: nat(row.get(0)?),
        bytes: row.get(1)?,
    })
}
pub(super) fn entries(conn: &Connection, filter: &EntryFilter) -> Result<Vec<StoredEntry>, Fault> {
    let before = filter.before.map_or(i64::MAX, int);
    let rows = match &filter.project {
        Some(project) => {
            let mut statement = conn.prepare_cached(
                "SELECT seq, entry FROM audit_entry WHERE project = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            )?;
            let rows = statement.query_map(params![project.as_ref(), before, filter.limit], entry)?;
            rows.collect::<Result<_, _>>()?
        }
        None => {
            let mut statement = conn.prepare_cached(
                "SELECT seq, entry FROM audit_entry WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![before, filter.limit], entry)?;
            rows.collect::<Result<_, _>>()?
        }
    };
    Ok(rows)
}
pub(super) fn entries_from(conn: &Connection, seq: u64, limit: u32) -> Result<Vec<StoredEntry>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT seq, entry FROM audit_entry WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
    let rows = statement.query_map(params![int(seq), limit], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Entries from a number on, oldest first, as they were said; of one project or of all.
pub(crate) fn read_from(
    conn: &Connection,
    project: Option<&ProjectName>,
    seq: u64,
    limit: u32,
) -> Result<Vec<LoggedEntry>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT entry FROM audit_entry WHERE seq >= ?1 AND (?3 IS NULL OR project = ?3) ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![int(seq), limit, project.map(AsRef::<str>::as_ref)])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        all.push(serde_json::from_slice(&bytes).map_err(|_| Fault::Damaged("audit entry"))?);
    }
    Ok(all)
}

pub(super) fn add_checkpoint(conn: &Connection, size: u64, note: &str) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO audit_checkpoint VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![int(size), note])?;
    Ok(())
}
pub(super) fn checkpoints(conn: &Connection, limit: u32) -> Result<Vec<(u64, String)>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT ?1")?;
    let rows = statement.query_map([limit], |r| Ok((nat(r.get(0)?), r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn add_anchor(conn: &Connection, anchor: &AnchorRow) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO audit_anchor VALUES (?1, ?2, ?3, NULL, NULL) ON CONFLICT DO NOTHING")?
        .execute(params![int(anchor.size), anchor.checkpoint, anchor.at.0])?;
    Ok(())
}
pub(super) fn anchored(conn: &Connection, size: u64, tx: Hash256, height: u64) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE audit_anchor SET tx = ?2, height = ?3 WHERE size = ?1 AND tx IS NULL")?
        .execute(params![int(size), tx.0, int(height)])?;
    Ok(())
}
pub(super) fn drop_anchor(conn: &Connection, size: u64) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM audit_anchor WHERE size = ?1 AND tx IS NULL")?
        .execute([int(size)])?;
    Ok(())
}
pub(super) fn anchors(conn: &Connection, limit: u32) -> Result<Vec<AnchorRow>, Fault> {
    let mut statement = conn
        .prepare_cached("SELECT size, note, at, tx, height FROM audit_anchor ORDER BY size DESC LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let height: Option<i64> = row.get(4)?;
        let tx = match height {
            Some(height) => Some((Hash256(fixed(row, 3, "anchor")?), nat(height))),
            None => None,
        };
        all.push(AnchorRow {
            size: nat(row.get(0)?),
            checkpoint: row.get(1)?,
            at: UnixMillis(row.get(2)?),
            tx,
        });
    }
    Ok(all)
}
