//! What an attempt costs, written in the transaction that ends it, and what was used by hour.

use crate::codec::int;
use crate::error::Fault;
use neofn_gas::ledger::{Charge, Refused, UsageLine};
use neofn_types::{Datoshi, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis};
use rusqlite::{Connection, params};

/// Writes the charge of an attempt. A refusal does not undo the attempt: the platform bears what it cannot charge, and
/// says so. The rules make it impossible but for a hold that was given back as a dead process's.
pub(crate) fn charge(
    conn: &Connection,
    key: &FunctionKey,
    charge: Option<&Charge>,
    invocation: InvocationId,
    attempt: u32,
    units: u64,
    at: UnixMillis,
) -> Result<(), Fault> {
    let Some(charge) = charge.filter(|c| c.amount > Datoshi::ZERO || c.closes) else {
        return used(conn, &key.project, &key.function, units, Datoshi::ZERO, at);
    };
    for entry in charge.entries(&key.function, invocation, attempt, at) {
        match super::write(conn, &entry)? {
            Ok(_) => {}
            Err(Refused::NoHold(_) | Refused::HoldSpent { .. }) => {
                tracing::error!(%invocation, amount = %charge.amount, "a charge came after its hold had ended");
            }
            Err(refused) => tracing::error!(%invocation, %refused, "charge not written"),
        }
    }
    if charge.amount == Datoshi::ZERO {
        used(conn, &key.project, &key.function, units, Datoshi::ZERO, at)?;
    }
    Ok(())
}

/// Counts an attempt in its hour.
pub(crate) fn used(
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
