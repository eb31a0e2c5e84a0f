//! How transfers and holds become columns.

use crate::codec::{caller, fixed, nat};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, HoldRow, Purpose, TransferId};
use neofn_types::{Datoshi, Hash256, InvocationId, ScriptHash, UnixMillis};
use rusqlite::Row;

/// The columns of a [`Detail`], in this order in both tables.
pub(super) const DETAIL: &str = "function, invocation, units, price, tx, party, note, caller";

pub(super) fn number(n: Option<u64>) -> Option<i64> {
    n.map(|n| i64::try_from(n).unwrap_or(i64::MAX))
}
pub(super) fn purpose(row: &Row<'_>, column: usize) -> Result<Purpose, Fault> {
    let number: i64 = row.get(column)?;
    u8::try_from(number)
        .ok()
        .and_then(Purpose::from_number)
        .ok_or(Fault::Damaged("purpose of a transfer"))
}
pub(super) fn id(row: &Row<'_>, column: usize) -> Result<TransferId, Fault> {
    fixed(row, column, "transfer id").map(TransferId)
}
pub(super) fn maybe<const N: usize>(row: &Row<'_>, column: usize) -> Result<Option<[u8; N]>, Fault> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => fixed(row, column, "transfer").map(Some),
    }
}

/// Reads a [`Detail`] whose first column is `first`.
pub(super) fn detail(row: &Row<'_>, first: usize) -> Result<Detail, Fault> {
    let function: Option<String> = row.get(first)?;
    Ok(Detail {
        function: function
            .map(|name| name.parse().map_err(|_| Fault::Damaged("function of a transfer")))
            .transpose()?,
        invocation: maybe(row, first + 1)?.map(InvocationId::from_bytes),
        units: row.get::<_, Option<i64>>(first + 2)?.map(nat),
        price: row.get::<_, Option<i64>>(first + 3)?.map(nat),
        tx: maybe(row, first + 4)?.map(Hash256),
        party: maybe(row, first + 5)?.map(ScriptHash),
        note: row.get(first + 6)?,
        caller: caller(row, first + 7)?,
    })
}

/// The columns of [`hold`]: hold `h`, accounts `d` and `c`.
pub(super) const HOLD: &str = "SELECT h.id, h.purpose, d.name, c.name, h.amount, h.left, h.at, h.function, h.invocation, \
     h.units, h.price, h.tx, h.party, h.note, h.caller FROM ledger_hold h \
     JOIN ledger_account d ON d.aid = h.debit JOIN ledger_account c ON c.aid = h.credit";

pub(super) fn hold(row: &Row<'_>) -> Result<HoldRow, Fault> {
    let account = |column: usize| -> Result<_, Fault> {
        let name: String = row.get(column)?;
        name.parse().map_err(|_| Fault::Damaged("account"))
    };
    Ok(HoldRow {
        id: id(row, 0)?,
        purpose: purpose(row, 1)?,
        debit: account(2)?,
        credit: account(3)?,
        amount: Datoshi(row.get(4)?),
        left: Datoshi(row.get(5)?),
        at: UnixMillis(row.get(6)?),
        detail: detail(row, 7)?,
    })
}
