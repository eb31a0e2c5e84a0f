//! Money that moves at once.

use super::account::{self, Found};
use super::budget;
use super::rows;
use super::{Answer, allowed};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, KnownTransfer, Purpose, Scope, Transfer, TransferId, Written};
use neofn_types::{Datoshi, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

pub(super) async fn known(conn: &mut PgConnection, id: TransferId) -> Result<Option<KnownTransfer>, Fault> {
    let row = sqlx::query("SELECT purpose, debit, credit, amount, hold FROM ledger_transfer WHERE id = $1")
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(KnownTransfer {
        purpose: rows::purpose(&row, 0)?,
        debit: row.try_get(1)?,
        credit: row.try_get(2)?,
        amount: Datoshi(row.try_get(3)?),
        hold: rows::maybe(&row, 4)?.map(TransferId),
    }))
}

pub(super) async fn transfer(conn: &mut PgConnection, t: &Transfer) -> Answer<Written> {
    allowed!(t.check());
    let mut debit = account::find(conn, &t.debit).await?;
    let mut credit = account::find(conn, &t.credit).await?;
    if let Some(known) = known(conn, t.id).await? {
        return Ok(known.again(t, debit.aid, credit.aid));
    }
    debit.state = allowed!(debit.state.debit(&debit.account, t.purpose, t.amount));
    credit.state = allowed!(credit.state.credit(t.purpose, t.amount));
    let row = Row {
        id: t.id,
        purpose: t.purpose,
        amount: t.amount,
        hold: None,
        at: t.at,
        detail: &t.detail,
    };
    insert(conn, &row, &debit, &credit).await?;
    // what was set aside by no hold is refused by no budget, and counts all the same
    if let Some(scope) = Scope::of(t.purpose, &t.debit, t.detail.function.as_ref()) {
        budget::spend(conn, &scope, t.amount, t.at).await?;
    }
    Ok(Ok(Written::Now(t.amount)))
}

/// A row of the journal without its accounts.
pub(super) struct Row<'a> {
    pub id: TransferId,
    pub purpose: Purpose,
    pub amount: Datoshi,
    pub hold: Option<TransferId>,
    pub at: UnixMillis,
    pub detail: &'a Detail,
}

/// Writes both accounts and the row.
pub(super) async fn insert(
    conn: &mut PgConnection,
    row: &Row<'_>,
    debit: &Found,
    credit: &Found,
) -> Result<(), Fault> {
    let (debit, credit) = (debit.save(conn, row.at).await?, credit.save(conn, row.at).await?);
    let query = sqlx::query(
        "INSERT INTO ledger_transfer(id, purpose, debit, credit, amount, hold, at, function, invocation, units, \
         price, tx, party, note, caller) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(row.id.0.as_slice())
    .bind(i64::from(row.purpose.number()))
    .bind(debit)
    .bind(credit)
    .bind(row.amount.0)
    .bind(row.hold.as_ref().map(|h| h.0.as_slice()))
    .bind(row.at.0);
    rows::bind(query, row.detail).execute(conn).await?;
    Ok(())
}
