//! Money that moves at once.

use super::account::{self, Found};
use super::rows::{self, number};
use super::{Answer, allowed};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, Purpose, Refused, Transfer, TransferId, Written};
use neofn_types::{Datoshi, UnixMillis};
use rusqlite::{Connection, params};

/// A transfer that is there.
pub(super) struct Known {
    purpose: Purpose,
    debit: i64,
    credit: i64,
    pub amount: Datoshi,
    pub hold: Option<TransferId>,
}

pub(super) fn known(conn: &Connection, id: TransferId) -> Result<Option<Known>, Fault> {
    let mut statement = conn
        .prepare_cached("SELECT purpose, debit, credit, amount, hold FROM ledger_transfer WHERE id = ?1")?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Known {
        purpose: rows::purpose(row, 0)?,
        debit: row.get(1)?,
        credit: row.get(2)?,
        amount: Datoshi(row.get(3)?),
        hold: rows::maybe(row, 4)?.map(TransferId),
    }))
}

pub(super) fn transfer(conn: &Connection, t: &Transfer) -> Answer<Written> {
    if t.amount <= Datoshi::ZERO {
        return Ok(Err(Refused::Senseless("a transfer is of more than nothing")));
    }
    if t.debit == t.credit {
        return Ok(Err(Refused::Senseless("a transfer is between two accounts")));
    }
    let mut debit = account::find(conn, &t.debit)?;
    let mut credit = account::find(conn, &t.credit)?;
    if let Some(known) = known(conn, t.id)? {
        let same = known.purpose == t.purpose
            && Some(known.debit) == debit.aid
            && Some(known.credit) == credit.aid
            && known.amount == t.amount
            && known.hold.is_none();
        return Ok(if same {
            Ok(Written::Before(t.amount))
        } else {
            Err(Refused::Mismatch(t.id))
        });
    }
    debit.state = allowed!(debit.state.debit(&debit.account, t.amount));
    credit.state = allowed!(credit.state.credit(t.amount));
    let row = Row {
        id: t.id,
        purpose: t.purpose,
        amount: t.amount,
        hold: None,
        at: t.at,
        detail: &t.detail,
    };
    insert(conn, &row, &debit, &credit)?;
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
         price, tx, party, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
        d.note
    ])?;
    Ok(())
}
