//! What an attempt costs, written in the transaction that ends it, and what was used by hour.

use crate::error::Fault;
use crate::lease;
use crate::rows::{Place, fixed};
use neofn_engine::port::Finish;
use neofn_gas::Purses;
use neofn_gas::ledger::{Account, Entry, OpenHold, Purpose, Refused, TransferId, UnitPrice, UsageLine};
use neofn_rows::{int, nat};
use neofn_types::{Datoshi, FunctionKey, FunctionName, InvocationId, ProjectName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

/// Writes the charge of an attempt, if it has one. A refusal does not undo the attempt: the platform bears what it cannot
/// charge, and says so. The rules make it impossible but for a hold that was given back as a dead process's. The caller
/// has the lock.
pub(crate) async fn charge(conn: &mut PgConnection, finish: &Finish) -> Result<(), Fault> {
    let Some(charge) = (finish.charge.as_ref()).filter(|c| c.amount > Datoshi::ZERO || c.closes) else {
        return Ok(());
    };
    let invocation = finish.id;
    for entry in charge.entries(invocation, finish.fence, finish.at) {
        match super::write(conn, &entry).await? {
            Ok(_) => {}
            Err(Refused::NoHold(_) | Refused::HoldSpent { .. }) => {
                tracing::error!(%invocation, amount = %charge.amount, "a charge came after its hold had ended");
            }
            Err(refused) => tracing::error!(%invocation, %refused, "charge not written"),
        }
    }
    Ok(())
}

/// What invocations were accepted with, while something of it is left.
pub(crate) async fn open_holds(
    conn: &mut PgConnection,
    invocations: impl Iterator<Item = InvocationId>,
) -> Result<HashMap<TransferId, OpenHold>, Fault> {
    let ids: Vec<Vec<u8>> = invocations.map(|id| TransferId::hold_of(id).0.to_vec()).collect();
    let rows = sqlx::query("SELECT id, \"left\", price FROM ledger_hold WHERE id = ANY($1) AND \"left\" > 0")
        .bind(ids)
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let id = TransferId(fixed(row, 0, "hold")?);
            let hold = OpenHold {
                id,
                left: Datoshi(row.try_get(1)?),
                price: UnitPrice(row.try_get::<Option<i64>, _>(2)?.map(nat).unwrap_or_default()),
            };
            Ok((id, hold))
        })
        .collect()
}

/// For so long the money of runs of a deleted function waits for their ends: longer than any run takes.
const RUNS_MS_MAX: i64 = 24 * 3_600_000;

/// Gives back what invocations of a function that is deleted were accepted with. What those that run were accepted with stays
/// for their ends; which process has them is not known, so it is a lease of one that lives as long as they may. The caller
/// has the lock.
pub(crate) async fn forget_function(
    conn: &mut PgConnection,
    key: &FunctionKey,
    place: Place,
    running: &[InvocationId],
    at: UnixMillis,
) -> Result<(), Fault> {
    let process = format!("of function {}", place.fid);
    let kept: Vec<Vec<u8>> = running
        .iter()
        .map(|id| TransferId::hold_of(*id).0.to_vec())
        .collect();
    let kept =
        sqlx::query("UPDATE ledger_hold SET purpose = $2, note = $3 WHERE id = ANY($1) AND \"left\" > 0")
            .bind(kept)
            .bind(i64::from(Purpose::Lease.number()))
            .bind(format!("{}{process}", Purses::NOTE).into_bytes())
            .execute(&mut *conn)
            .await?;
    if kept.rows_affected() > 0 {
        let until = UnixMillis(at.0.saturating_add(RUNS_MS_MAX));
        let name = format!("{}{process}", Purses::ALIVE);
        lease::take(conn, &name, &process, at, until).await?;
    }
    let holds: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT h.id FROM ledger_hold h JOIN ledger_account a ON a.aid = h.debit \
         WHERE a.name = $1 AND h.\"left\" > 0 AND h.purpose = $2 AND h.function = $3",
    )
    .bind(Account::Project(key.project.clone()).to_string())
    .bind(i64::from(Purpose::Charge.number()))
    .bind(key.function.as_ref())
    .fetch_all(&mut *conn)
    .await?;
    for id in holds {
        let hold = TransferId(id.try_into().map_err(|_| Fault::Damaged("hold"))?);
        if let Err(refused) = super::write(conn, &Entry::Void { hold, at }).await? {
            tracing::error!(%hold, %refused, "hold of a deleted function not given back");
        }
    }
    Ok(())
}

/// What an attempt used.
pub(super) struct Used<'a> {
    pub project: &'a ProjectName,
    pub function: &'a FunctionName,
    pub units: u64,
    pub amount: Datoshi,
    pub at: UnixMillis,
}

/// Counts an attempt in its hour.
pub(super) async fn used(conn: &mut PgConnection, used: Used<'_>) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO ledger_usage AS u VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT (project, hour, function) \
         DO UPDATE SET invocations = u.invocations + 1, units = u.units + $4, amount = u.amount + $5",
    )
    .bind(used.project.as_ref())
    .bind(UsageLine::hour_of(used.at).0)
    .bind(used.function.as_ref())
    // a sum that does not fit would fail the whole group; what one attempt can use is far below
    .bind(int(used.units.min(1 << 40)))
    .bind(used.amount.0)
    .execute(conn)
    .await?;
    Ok(())
}
