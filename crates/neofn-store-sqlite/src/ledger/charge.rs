//! What an attempt costs, written in the transaction that ends it, and what was used by hour.

use crate::codec::{int, nat};
use crate::error::Fault;
use neofn_engine::port::Finish;
use neofn_gas::ledger::{Account, Entry, OpenHold, Purpose, Refused, TransferId, UnitPrice, UsageLine};
use neofn_types::{Datoshi, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis};
use rusqlite::{Connection, params};

/// Writes the charge of an attempt, if it has one. A refusal does not undo the attempt: the platform bears what it cannot
/// charge, and says so. The rules make it impossible but for a hold that was given back as a dead process's.
pub(crate) fn charge(conn: &Connection, finish: &Finish) -> Result<(), Fault> {
    let Some(charge) = (finish.charge.as_ref()).filter(|c| c.amount > Datoshi::ZERO || c.closes) else {
        return Ok(());
    };
    let invocation = finish.id;
    for entry in charge.entries(invocation, finish.fence, finish.at) {
        match super::write(conn, &entry)? {
            Ok(_) => {}
            Err(Refused::NoHold(_) | Refused::HoldSpent { .. }) => {
                tracing::error!(%invocation, amount = %charge.amount, "a charge came after its hold had ended");
            }
            Err(refused) => tracing::error!(%invocation, %refused, "charge not written"),
        }
    }
    Ok(())
}

/// What an invocation was accepted with, while something of it is left.
pub(crate) fn open_hold(conn: &Connection, invocation: InvocationId) -> Result<Option<OpenHold>, Fault> {
    let id = TransferId::hold_of(invocation);
    let mut statement =
        conn.prepare_cached("SELECT left, price FROM ledger_hold WHERE id = ?1 AND left > 0")?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(OpenHold {
        id,
        left: Datoshi(row.get(0)?),
        price: UnitPrice(row.get::<_, Option<i64>>(1)?.map(nat).unwrap_or_default()),
    }))
}

/// Gives back what invocations of a function that is deleted were accepted with. What those that run were accepted with stays
/// for their ends; nothing else being left of them, it is a lease of this process from now on.
pub(crate) fn forget_function(
    conn: &Connection,
    key: &FunctionKey,
    running: impl Iterator<Item = InvocationId>,
    at: UnixMillis,
) -> Result<(), Fault> {
    for id in running {
        conn.prepare_cached("UPDATE ledger_hold SET purpose = ?2 WHERE id = ?1 AND left > 0")?
            .execute(params![TransferId::hold_of(id).0, Purpose::Lease.number()])?;
    }
    let account = Account::Project(key.project.clone()).to_string();
    let holds: Vec<Vec<u8>> = conn
        .prepare_cached(
            "SELECT h.id FROM ledger_hold h JOIN ledger_account a ON a.aid = h.debit \
             WHERE a.name = ?1 AND h.left > 0 AND h.purpose = ?2 AND h.function = ?3",
        )?
        .query_map(
            params![account, Purpose::Charge.number(), key.function.as_ref()],
            |r| r.get(0),
        )?
        .collect::<Result<_, _>>()?;
    for id in holds {
        let hold = TransferId(id.try_into().map_err(|_| Fault::Damaged("hold"))?);
        if let Err(refused) = super::write(conn, &Entry::Void { hold, at })? {
            tracing::error!(%hold, %refused, "hold of a deleted function not given back");
        }
    }
    Ok(())
}

/// Counts an attempt in its hour.
pub(super) fn used(
    conn: &Connection,
    project: &ProjectName,
    function: &FunctionName,
    units: u64,
    amount: Datoshi,
    at: UnixMillis,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO ledger_usage VALUES (?1, ?2, ?3, 1, ?4, ?5) ON CONFLICT DO UPDATE SET \
         invocations = invocations + 1, units = units + ?4, amount = amount + ?5",
    )?
    .execute(params![
        project.as_ref(),
        UsageLine::hour_of(at).0,
        function.as_ref(),
        // a sum that does not fit would fail the whole group; what one attempt can use is far below
        int(units.min(1 << 40)),
        amount.0
    ])?;
    Ok(())
}
