//! Entries, subtrees, checkpoints, anchors. Numbers have no gaps: they are given out by one transaction at a time.

use crate::error::Fault;
use crate::rows::fixed;
use neofn_identity::audit::AuditEntry;
use neofn_identity::auditlog::port::{AnchorRow, EntryFilter, StoredEntry};
use neofn_identity::auditlog::{Hash, LoggedEntry, node_hash};
use neofn_rows::{int, nat};
use neofn_types::{Hash256, ProjectName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// "neofn" and "a". Held until the transaction ends, and taken last of all locks.
const LOCK: i64 = 0x6e65_6f66_6e61;

pub(super) async fn size(conn: &mut PgConnection) -> Result<u64, Fault> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit_entry")
        .fetch_one(conn)
        .await?;
    Ok(last.map_or(0, |seq| nat(seq).saturating_add(1)))
}

/// Appends entries; answers the number of the first one.
pub(super) async fn append_all(conn: &mut PgConnection, entries: &[AuditEntry]) -> Result<u64, Fault> {
    lock(conn).await?;
    let first = size(conn).await?;
    for (seq, entry) in (first..).zip(entries) {
        put(conn, seq, entry).await?;
    }
    Ok(first)
}

/// Appends an entry, with every subtree that it completes. Part of the transaction of what it tells of. Answers its
/// number.
pub(crate) async fn append(conn: &mut PgConnection, entry: &AuditEntry) -> Result<u64, Fault> {
    append_all(conn, std::slice::from_ref(entry)).await
}

async fn lock(conn: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(conn)
        .await?;
    Ok(())
}

async fn put(conn: &mut PgConnection, seq: u64, entry: &AuditEntry) -> Result<(), Fault> {
    let leaf = LoggedEntry::new(seq, entry)
        .leaf()
        .map_err(|_| Fault::Misuse("an audit entry that cannot be encoded"))?;
    sqlx::query("INSERT INTO audit_entry VALUES ($1, $2, $3)")
        .bind(int(seq))
        .bind(entry.project.as_ref().map(AsRef::<str>::as_ref))
        .bind(leaf.bytes)
        .execute(&mut *conn)
        .await?;
    let (mut level, mut index, mut hash) = (0_u32, seq, leaf.hash);
    let mut new = vec![(level, index, hash)];
    // the subtrees to the left of the ones that are completed
    let lefts: Vec<(u32, u64)> = (0..)
        .map(|level: u32| (level, seq.checked_shr(level).unwrap_or(0)))
        .take_while(|(_, index)| index % 2 == 1)
        .map(|(level, index)| (level, index - 1))
        .collect();
    for left in nodes(conn, &lefts).await? {
        hash = node_hash(&left.ok_or(Fault::Damaged("audit tree"))?, &hash);
        (level, index) = (level + 1, index / 2);
        new.push((level, index, hash));
    }
    let levels: Vec<i64> = new.iter().map(|n| i64::from(n.0)).collect();
    let indexes: Vec<i64> = new.iter().map(|n| int(n.1)).collect();
    let hashes: Vec<&[u8]> = new.iter().map(|n| n.2.as_slice()).collect();
    sqlx::query("INSERT INTO audit_node SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])")
        .bind(levels)
        .bind(indexes)
        .bind(hashes)
        .execute(conn)
        .await?;
    Ok(())
}

/// Complete subtrees in the order asked for.
pub(super) async fn nodes(
    conn: &mut PgConnection,
    wanted: &[(u32, u64)],
) -> Result<Vec<Option<Hash>>, Fault> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (levels, indexes): (Vec<i64>, Vec<i64>) = wanted
        .iter()
        .map(|(level, index)| (i64::from(*level), int(*index)))
        .unzip();
    let rows = sqlx::query(
        "SELECT n.hash FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w(level, idx, place) \
         LEFT JOIN audit_node n ON n.level = w.level AND n.idx = w.idx ORDER BY w.place",
    )
    .bind(levels)
    .bind(indexes)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let there: Option<&[u8]> = row.try_get(0)?;
            there.map(|_| fixed(row, 0, "audit tree")).transpose()
        })
        .collect()
}

fn entry(row: &PgRow) -> Result<StoredEntry, Fault> {
    Ok(StoredEntry {
        seq: nat(row.try_get(0)?),
        bytes: row.try_get(1)?,
    })
}

pub(super) async fn entries(
    conn: &mut PgConnection,
    filter: &EntryFilter,
) -> Result<Vec<StoredEntry>, Fault> {
    let before = filter.before.map_or(i64::MAX, int);
    // two statements: each has an index of its own
    let query = match &filter.project {
        Some(project) => sqlx::query(
            "SELECT seq, entry FROM audit_entry WHERE project = $3 AND seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(before)
        .bind(i64::from(filter.limit))
        .bind(project.as_ref()),
        None => sqlx::query("SELECT seq, entry FROM audit_entry WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
            .bind(before)
            .bind(i64::from(filter.limit)),
    };
    query.fetch_all(conn).await?.iter().map(entry).collect()
}

pub(super) async fn entries_from(
    conn: &mut PgConnection,
    seq: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Fault> {
    let rows = sqlx::query("SELECT seq, entry FROM audit_entry WHERE seq >= $1 ORDER BY seq LIMIT $2")
        .bind(int(seq))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(entry).collect()
}

/// Entries from a number on, oldest first, as they were said; of one project or of all.
pub(crate) async fn read_from(
    conn: &mut PgConnection,
    project: Option<&ProjectName>,
    seq: u64,
    limit: u32,
) -> Result<Vec<LoggedEntry>, Fault> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT entry FROM audit_entry WHERE seq >= $1 AND ($3::text IS NULL OR project = $3) ORDER BY seq LIMIT $2",
    )
    .bind(int(seq))
    .bind(i64::from(limit))
    .bind(project.map(AsRef::<str>::as_ref))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|bytes| serde_json::from_slice(bytes).map_err(|_| Fault::Damaged("audit entry")))
        .collect()
}

pub(super) async fn add_checkpoint(conn: &mut PgConnection, size: u64, note: &str) -> Result<(), Fault> {
    sqlx::query("INSERT INTO audit_checkpoint VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(int(size))
        .bind(note)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn checkpoints(conn: &mut PgConnection, limit: u32) -> Result<Vec<(u64, String)>, Fault> {
    let rows = sqlx::query("SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| Ok((nat(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

pub(super) async fn add_anchor(conn: &mut PgConnection, anchor: &AnchorRow) -> Result<(), Fault> {
    sqlx::query("INSERT INTO audit_anchor VALUES ($1, $2, $3, NULL, NULL) ON CONFLICT DO NOTHING")
        .bind(int(anchor.size))
        .bind(&anchor.checkpoint)
        .bind(anchor.at.0)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn anchored(
    conn: &mut PgConnection,
    size: u64,
    tx: Hash256,
    height: u64,
) -> Result<(), Fault> {
    sqlx::query("UPDATE audit_anchor SET tx = $2, height = $3 WHERE size = $1 AND tx IS NULL")
        .bind(int(size))
        .bind(tx.0.as_slice())
        .bind(int(height))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn drop_anchor(conn: &mut PgConnection, size: u64) -> Result<(), Fault> {
    sqlx::query("DELETE FROM audit_anchor WHERE size = $1 AND tx IS NULL")
        .bind(int(size))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn anchors(conn: &mut PgConnection, limit: u32) -> Result<Vec<AnchorRow>, Fault> {
    let rows = sqlx::query("SELECT size, note, at, tx, height FROM audit_anchor ORDER BY size DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let height: Option<i64> = row.try_get(4)?;
            let tx = match height {
                Some(height) => Some((Hash256(fixed(row, 3, "anchor")?), nat(height))),
                None => None,
            };
            Ok(AnchorRow {
                size: nat(row.try_get(0)?),
                checkpoint: row.try_get(1)?,
                at: UnixMillis(row.try_get(2)?),
                tx,
            })
        })
        .collect()
}
