//! Money set aside, and the ways in which that ends.

use super::account::{self, Found};
use super::budget;
use super::rows;
use super::transfer::{self, Row};
use super::{Answer, allowed, charge};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, Hold, KnownHold, Part, Purpose, Refused, Scope, TransferId, Written};
use neofn_types::{Datoshi, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

async fn find(conn: &mut PgConnection, id: TransferId) -> Result<Option<KnownHold>, Fault> {
    let row = sqlx::query(
        "SELECT purpose, debit, credit, amount, \"left\", function FROM ledger_hold WHERE id = $1",
    )
    .bind(id.0.as_slice())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(KnownHold {
        id,
        purpose: rows::purpose(&row, 0)?,
        debit: row.try_get(1)?,
        credit: row.try_get(2)?,
        amount: Datoshi(row.try_get(3)?),
        left: Datoshi(row.try_get(4)?),
        function: rows::name(&row, 5)?,
    }))
}

pub(super) async fn hold(conn: &mut PgConnection, h: &Hold) -> Answer<Written> {
    allowed!(h.check());
    let mut debit = account::find(conn, &h.debit).await?;
    let mut credit = account::find(conn, &h.credit).await?;
    if let Some(known) = find(conn, h.id).await? {
        return Ok(known.again(h, debit.aid, credit.aid));
    }
    let mut amount = allowed!(
        debit
            .state
            .hold_up_to(&debit.account, h.purpose, (h.amount, h.at_least))
    );
    let mut budgets = match Scope::of(h.purpose, &h.debit, h.detail.function.as_ref()) {
        Some(scope) => budget::load(conn, &scope, h.at).await?,
        None => Vec::new(),
    };
    for budget in &budgets {
        amount = allowed!(budget.hold_up_to(amount, h.at_least));
    }
    debit.state = allowed!(debit.state.hold(&debit.account, amount));
    credit.state = allowed!(credit.state.expect(amount));
    for budget in &mut budgets {
        budget.hold(amount);
        budget::save(conn, budget).await?;
    }
    insert(conn, h, amount, &debit, &credit).await?;
    Ok(Ok(Written::Now(amount)))
}

async fn insert(
    conn: &mut PgConnection,
    h: &Hold,
    amount: Datoshi,
    debit: &Found,
    credit: &Found,
) -> Result<(), Fault> {
    let (debit, credit) = (debit.save(conn, h.at).await?, credit.save(conn, h.at).await?);
    let query = sqlx::query(
        "INSERT INTO ledger_hold(id, purpose, debit, credit, amount, \"left\", at, function, invocation, units, \
         price, tx, party, note, caller) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(h.id.0.as_slice())
    .bind(i64::from(h.purpose.number()))
    .bind(debit)
    .bind(credit)
    .bind(amount.0)
    .bind(h.at.0);
    rows::bind(query, &h.detail).execute(conn).await?;
    Ok(())
}

/// Takes `amount` out of an open hold: accounts, budgets and the row itself. Writes the hold and the budgets; the accounts
/// are the caller's to write.
async fn take(
    conn: &mut PgConnection,
    open: &KnownHold,
    amount: Datoshi,
    at: UnixMillis,
) -> Answer<(Found, Found)> {
    let left = allowed!(open.less(amount));
    let mut debit = account::by_number(conn, open.debit).await?;
    let mut credit = account::by_number(conn, open.credit).await?;
    debit.state = allowed!(debit.state.unhold(amount));
    credit.state = allowed!(credit.state.unexpect(amount));
    let ended = (left == Datoshi::ZERO).then_some(at.0);
    if let Some(scope) = Scope::of(open.purpose, &debit.account, open.function.as_ref()) {
        for mut budget in budget::load(conn, &scope, at).await? {
            budget.unhold(amount);
            budget::save(conn, &budget).await?;
        }
    }
    sqlx::query("UPDATE ledger_hold SET \"left\" = $2, ended_at = $3 WHERE id = $1")
        .bind(open.id.0.as_slice())
        .bind(left.0)
        .bind(ended)
        .execute(conn)
        .await?;
    Ok(Ok((debit, credit)))
}

pub(super) async fn post(
    conn: &mut PgConnection,
    part: &Part,
    purpose: Purpose,
    detail: &Detail,
) -> Answer<Written> {
    if let Some(known) = transfer::known(conn, part.id).await? {
        return Ok(known.posted_again(part));
    }
    let Some(open) = find(conn, part.hold).await? else {
        return Ok(Err(Refused::NoHold(part.hold)));
    };
    // what a debit beyond the floor, or a credit beyond the range, would refuse is refused before `take` writes
    allowed!(
        account::by_number(conn, open.credit)
            .await?
            .state
            .credit(open.purpose, part.amount)
    );
    let (mut debit, mut credit) = allowed!(take(conn, &open, part.amount, part.at).await?);
    // cannot fail any more: the hold had set the amount aside
    debit.state = debit
        .state
        .debit(&debit.account, open.purpose, part.amount)
        .map_err(|_| Fault::Damaged("hold"))?;
    credit.state = credit
        .state
        .credit(open.purpose, part.amount)
        .map_err(|_| Fault::Damaged("hold"))?;
    let row = Row {
        id: part.id,
        purpose,
        amount: part.amount,
        hold: Some(part.hold),
        at: part.at,
        detail,
    };
    transfer::insert(conn, &row, &debit, &credit).await?;
    if let Some(scope) = Scope::of(purpose, &debit.account, detail.function.as_ref()) {
        budget::spend(conn, &scope, part.amount, part.at).await?;
        if let (Purpose::Charge, Some(function), Some(units)) = (purpose, scope.function, detail.units) {
            let used = charge::Used {
                project: scope.project,
                function,
                units,
                amount: part.amount,
                at: part.at,
            };
            charge::used(conn, used).await?;
        }
    }
    Ok(Ok(Written::Now(part.amount)))
}

pub(super) async fn release(conn: &mut PgConnection, part: &Part) -> Answer<Written> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT amount FROM ledger_release WHERE hold = $1 AND id = $2")
            .bind(part.hold.0.as_slice())
            .bind(part.id.0.as_slice())
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(amount) = known {
        return Ok(part.released_again(Datoshi(amount)));
    }
    let Some(open) = find(conn, part.hold).await? else {
        return Ok(Err(Refused::NoHold(part.hold)));
    };
    let (debit, credit) = allowed!(take(conn, &open, part.amount, part.at).await?);
    debit.save(conn, part.at).await?;
    credit.save(conn, part.at).await?;
    sqlx::query("INSERT INTO ledger_release VALUES ($1, $2, $3)")
        .bind(part.hold.0.as_slice())
        .bind(part.id.0.as_slice())
        .bind(part.amount.0)
        .execute(conn)
        .await?;
    Ok(Ok(Written::Now(part.amount)))
}

pub(super) async fn void(conn: &mut PgConnection, hold: TransferId, at: UnixMillis) -> Answer<Written> {
    let Some(open) = find(conn, hold).await? else {
        return Ok(Err(Refused::NoHold(hold)));
    };
    if open.left == Datoshi::ZERO {
        return Ok(Ok(Written::Before(Datoshi::ZERO)));
    }
    let left = open.left;
    let (debit, credit) = allowed!(take(conn, &open, left, at).await?);
    debit.save(conn, at).await?;
    credit.save(conn, at).await?;
    Ok(Ok(Written::Now(left)))
}
