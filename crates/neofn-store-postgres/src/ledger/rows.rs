//! How transfers and holds become columns.

use crate::error::Fault;
use crate::rows::{caller, fixed};
use neofn_gas::ledger::{Detail, HoldRow, Purpose, TransferId};
use neofn_rows::{int, nat};
use neofn_types::{Caller, Datoshi, Hash256, InvocationId, ScriptHash, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

pub(super) fn purpose(row: &PgRow, column: usize) -> Result<Purpose, Fault> {
    let number: i64 = row.try_get(column)?;
    u8::try_from(number)
        .ok()
        .and_then(Purpose::from_number)
        .ok_or(Fault::Damaged("purpose of a transfer"))
}
pub(super) fn id(row: &PgRow, column: usize) -> Result<TransferId, Fault> {
    fixed(row, column, "transfer id").map(TransferId)
}
pub(super) fn maybe<const N: usize>(row: &PgRow, column: usize) -> Result<Option<[u8; N]>, Fault> {
    let there: Option<&[u8]> = row.try_get(column)?;
    there.map(|_| fixed(row, column, "transfer")).transpose()
}
/// A name that may be missing.
pub(super) fn name<T: std::str::FromStr>(row: &PgRow, column: usize) -> Result<Option<T>, Fault> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|name| name.parse().map_err(|_| Fault::Damaged("function of a transfer")))
        .transpose()
}

/// Binds the columns of a [`Detail`]: function, invocation, units, price, tx, party, note, caller; in this order in both tables.
pub(super) fn bind<'q>(
    query: Query<'q, sqlx::Postgres, PgArguments>,
    detail: &'q Detail,
) -> Query<'q, sqlx::Postgres, PgArguments> {
    query
        .bind(detail.function.as_ref().map(AsRef::<str>::as_ref))
        .bind(detail.invocation.as_ref().map(|i| i.as_bytes().as_slice()))
        .bind(detail.units.map(int))
        .bind(detail.price.map(int))
        .bind(detail.tx.as_ref().map(|t| t.0.as_slice()))
        .bind(detail.party.as_ref().map(|p| p.0.as_slice()))
        .bind(detail.note.as_ref().map(|n| n.as_bytes()))
        .bind(detail.caller.as_ref().map(Caller::as_str))
}

/// Reads a [`Detail`] whose first column is `first`.
pub(super) fn detail(row: &PgRow, first: usize) -> Result<Detail, Fault> {
    let note: Option<Vec<u8>> = row.try_get(first + 6)?;
    Ok(Detail {
        function: name(row, first)?,
        invocation: maybe(row, first + 1)?.map(InvocationId::from_bytes),
        units: row.try_get::<Option<i64>, _>(first + 2)?.map(nat),
        price: row.try_get::<Option<i64>, _>(first + 3)?.map(nat),
        tx: maybe(row, first + 4)?.map(Hash256),
        party: maybe(row, first + 5)?.map(ScriptHash),
        note: note
            .map(|bytes| String::from_utf8(bytes).map_err(|_| Fault::Damaged("note of a transfer")))
            .transpose()?,
        caller: caller(row, first + 7)?,
    })
}

/// The columns of [`hold`]: hold `h`, accounts `d` and `c`.
macro_rules! holds {
    ($rest:literal) => {
        concat!(
            "SELECT h.id, h.purpose, d.name, c.name, h.amount, h.\"left\", h.at, h.function, h.invocation, h.units, \
             h.price, h.tx, h.party, h.note, h.caller FROM ledger_hold h JOIN ledger_account d ON d.aid = h.debit \
             JOIN ledger_account c ON c.aid = h.credit ",
            $rest
        )
    };
}
pub(super) use holds;

pub(super) fn hold(row: &PgRow) -> Result<HoldRow, Fault> {
    let account = |column: usize| -> Result<_, Fault> {
        let name: &str = row.try_get(column)?;
        name.parse().map_err(|_| Fault::Damaged("account"))
    };
    Ok(HoldRow {
        id: id(row, 0)?,
        purpose: purpose(row, 1)?,
        debit: account(2)?,
        credit: account(3)?,
        amount: Datoshi(row.try_get(4)?),
        left: Datoshi(row.try_get(5)?),
        at: UnixMillis(row.try_get(6)?),
        detail: detail(row, 7)?,
    })
}
