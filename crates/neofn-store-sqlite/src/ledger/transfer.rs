//! Money that moves at once.

use super::account::{self, Found};
use super::budget;
use super::rows::{self, number};
use super::{Answer, allowed};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, KnownTransfer, Purpose, Scope, Transfer, TransferId, Written};
use neofn_types::{Caller, Datoshi, UnixMillis};
use rusqlite::{Connection, params};

pub(super) fn known(conn: &Connection, id: TransferId) -> Result<Option<KnownTransfer>, Fault> {
    let mut statement = conn
        .prepare_cached("SELECT purpose, debit, credit, amount, hold FROM ledger_transfer WHERE id = ?1")?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(KnownTransfer {
        purpose: rows::purpose(row, 0)?,
        debit: row.get(1)?,
        credit: row.get(2)?,
        amount: Datoshi(row.get(3)?),
        hold: rows::maybe(row, 4)?.map(TransferId),
    }))
}

pub(super) fn transfer(conn: &Connection, t: &Transfer) -> Answer<Written> {
    allowed!(t.check());
    let mut debit = account::find(conn, &t.debit)?;
    let mut credit = account::find(conn, &t.credit)?;
    if let Some(known) = known(conn, t.id)? {
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
    insert(conn, &row, &debit, &credit)?;
    // what was set aside by no hold is refused by no budget, and counts all the same
    if let Some(scope) = Scope::of(t.purpose, &t.debit, t.detail.function.as_ref()) {
        budget::spend(conn, &scope, t.amount, t.at)?;
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
pub(super) fn insert(conn: &Connection, row: &Row<'_>, debit: &Found, credit: &Found) -> Result<(), Fault> {
    let (debit, credit) = (debit.save(conn, row.at)?, credit.save(conn, row.at)?);
    let d = row.detail;
    conn.prepare_cached(
        "INSERT INTO ledger_transfer(id, purpose, debit, credit, amount, hold, at, function, invocation, units, \
         price, tx, party, note, caller) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        row.id.0,
        row.purpose.number(),
        debit,
        credit,
        row.amount.0,
        row.hold.map(|h| h.0),
        row.at.0,
        d.function.as_ref().map(AsRef::<str>::as_ref),
        d.invocation.as_ref().map(|i| i.as_bytes()),
        number(d.units),
        number(d.price),
        d.tx.map(|t| t.0),
        d.party.map(|p| p.0),
        d.note,
        d.caller.as_ref().map(Caller::as_str)
    ])?;
    Ok(())
}
