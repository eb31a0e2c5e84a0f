//! Managed transactions: the rows. What a sender's transactions cost together is decided by one node at a time.

use crate::error::Fault;
use neofn_chain::manager::{TxId, TxRecord, TxState};
use neofn_chain::port::Reserved;
use neofn_rows::int;
use neofn_types::{Datoshi, ProjectName};
use sqlx::postgres::PgConnection;

fn pack(record: &TxRecord) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(record).map_err(|_| Fault::Misuse("a transaction that cannot be encoded"))
}
fn unpack(bytes: &[u8]) -> Result<TxRecord, Fault> {
    serde_json::from_slice(bytes).map_err(|_| Fault::Damaged("transaction"))
}

pub(crate) async fn reserve(
    conn: &mut PgConnection,
    record: &TxRecord,
    balance: Datoshi,
    again: bool,
) -> Result<Reserved, Fault> {
    // held until the end of the transaction; other senders go on
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))")
        .bind(record.sender.0.as_slice())
        .execute(&mut *conn)
        .await?;
    if let Some(found) = by_id(conn, record.id).await? {
        return Ok(if again && found == *record {
            Reserved::New
        } else {
            Reserved::Existing(Box::new(found))
        });
    }
    let mut beside = 0;
    let replaced = match record.replaces {
        Some(old) => {
            let mut old = held(conn, old)
                .await?
                .ok_or(Fault::Misuse("a replacement of nothing"))?;
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
    // of two that exclude each other both count, so it is rather too much than too little
    let pending: i64 = sqlx::query_scalar(
        "SELECT least(coalesce(sum(fees), 0), 9223372036854775807)::bigint FROM tx WHERE sender = $1 AND open",
    )
    .bind(record.sender.0.as_slice())
    .fetch_one(&mut *conn)
    .await?;
    let pending = pending.saturating_sub(beside).max(0);
    if pending.saturating_add(record.fees().0) > balance.0 {
        return Ok(Reserved::OverBudget {
            pending: Datoshi(pending),
        });
    }
    if let Some(old) = replaced {
        advance(conn, &old).await?;
    }
    sqlx::query(
        "INSERT INTO tx(id, project, revision, open, sender, fees, hash, record) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(record.id.0.as_slice())
    .bind(record.request.project.to_string())
    .bind(int(record.revision))
    .bind(!record.state.is_final())
    .bind(record.sender.0.as_slice())
    .bind(record.fees().0)
    .bind(record.hash.0.as_slice())
    .bind(pack(record)?)
    .execute(conn)
    .await?;
    Ok(Reserved::New)
}

/// Whether the revision before was still there.
pub(crate) async fn advance(conn: &mut PgConnection, record: &TxRecord) -> Result<bool, Fault> {
    let changed = sqlx::query(
        "UPDATE tx SET revision = $2, open = $3, sender = $4, fees = $5, hash = $6, record = $7 \
         WHERE id = $1 AND revision = $8",
    )
    .bind(record.id.0.as_slice())
    .bind(int(record.revision))
    .bind(!record.state.is_final())
    .bind(record.sender.0.as_slice())
    .bind(record.fees().0)
    .bind(record.hash.0.as_slice())
    .bind(pack(record)?)
    .bind(int(record.revision.saturating_sub(1)))
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// As `advance`, when an earlier try of the same change may have been committed without an answer.
pub(crate) async fn advance_again(
    conn: &mut PgConnection,
    record: &TxRecord,
    again: bool,
) -> Result<bool, Fault> {
    Ok(
        advance(conn, record).await?
            || (again && by_id(conn, record.id).await?.is_some_and(|r| r == *record)),
    )
}

pub(crate) async fn abandon(conn: &mut PgConnection, id: TxId, revision: u64) -> Result<bool, Fault> {
    let Some(record) = held(conn, id).await? else {
        return Ok(false);
    };
    if record.revision != revision || record.state != TxState::Reserved {
        return Ok(false);
    }
    if let Some(old) = record.replaces
        && let Some(mut old) = held(conn, old).await?
    {
        old.replaced_by = None;
        old.revision += 1;
        advance(conn, &old).await?;
    }
    let gone = sqlx::query("DELETE FROM tx WHERE id = $1")
        .bind(id.0.as_slice())
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() == 1)
}

pub(crate) async fn by_id(conn: &mut PgConnection, id: TxId) -> Result<Option<TxRecord>, Fault> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT record FROM tx WHERE id = $1")
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    found.as_deref().map(unpack).transpose()
}

/// As `by_id`, and nobody else changes it until this transaction ends.
async fn held(conn: &mut PgConnection, id: TxId) -> Result<Option<TxRecord>, Fault> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT record FROM tx WHERE id = $1 FOR UPDATE")
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    found.as_deref().map(unpack).transpose()
}

pub(crate) async fn open(conn: &mut PgConnection, limit: u32) -> Result<Vec<TxRecord>, Fault> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT record FROM tx WHERE open ORDER BY seq LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|bytes| unpack(bytes)).collect()
}

pub(crate) async fn list(
    conn: &mut PgConnection,
    project: &ProjectName,
    before: Option<TxId>,
    limit: u32,
) -> Result<Vec<TxRecord>, Fault> {
    let seq: Option<i64> = match before {
        Some(id) => {
            sqlx::query_scalar("SELECT seq FROM tx WHERE id = $1")
                .bind(id.0.as_slice())
                .fetch_optional(&mut *conn)
                .await?
        }
        None => None,
    };
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT record FROM tx WHERE project = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
    )
    .bind(project.as_ref())
    .bind(seq.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|bytes| unpack(bytes)).collect()
}
