//! Money set aside, and the ways in which that ends.

use super::account::{self, Found};
use super::budget;
use super::rows::{self, number};
use super::transfer::{self, Row};
use super::{Answer, allowed, charge};
use crate::error::Fault;
use neofn_gas::ledger::{Detail, Hold, KnownHold, Part, Purpose, Refused, Scope, TransferId, Written};
use neofn_types::{Caller, Datoshi, UnixMillis};
use rusqlite::{Connection, params};

fn find(conn: &Connection, id: TransferId) -> Result<Option<KnownHold>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT purpose, debit, credit, amount, left, function FROM ledger_hold WHERE id = ?1",
    )?;
    let mut found = statement.query([id.0])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let function: Option<String> = row.get(5)?;
    Ok(Some(KnownHold {
        id,
        purpose: rows::purpose(row, 0)?,
        debit: row.get(1)?,
        credit: row.get(2)?,
        amount: Datoshi(row.get(3)?),
        left: Datoshi(row.get(4)?),
        function: function
            .map(|name| name.parse().map_err(|_| Fault::Damaged("function of a hold")))
            .transpose()?,
    }))
}

pub(super) fn hold(conn: &Connection, h: &Hold) -> Answer<Written> {
    allowed!(h.check());
    let mut debit = account::find(conn, &h.debit)?;
    let mut credit = account::find(conn, &h.credit)?;
    if let Some(known) = find(conn, h.id)? {
        return Ok(known.again(h, debit.aid, credit.aid));
    }
    let function = h.detail.function.as_ref();
    let mut amount = allowed!(
        debit
            .state
            .hold_up_to(&debit.account, h.purpose, (h.amount, h.at_least))
    );
    let scope = Scope::of(h.purpose, &h.debit, function);
    let mut budgets = match &scope {
        Some(scope) => budget::load(conn, scope, h.at)?,
        None => Vec::new(),
    };
    for budget in &budgets {
        amount = allowed!(budget.hold_up_to(amount, h.at_least));
    }
    debit.state = allowed!(debit.state.hold(&debit.account, amount));
    credit.state = allowed!(credit.state.expect(amount));
    for budget in &mut budgets {
        budget.hold(amount);
        budget::save(conn, budget)?;
    }
    insert(conn, h, amount, &debit, &credit)?;
    Ok(Ok(Written::Now(amount)))
}

fn insert(conn: &Connection, h: &Hold, amount: Datoshi, debit: &Found, credit: &Found) -> Result<(), Fault> {
    let (debit, credit) = (debit.save(conn, h.at)?, credit.save(conn, h.at)?);
    let d = &h.detail;
    conn.prepare_cached(
        "INSERT INTO ledger_hold(id, purpose, debit, credit, amount, left, at, function, invocation, units, price, \
         tx, party, note, caller) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        h.id.0,
        h.purpose.number(),
        debit,
        credit,
        amount.0,
        h.at.0,
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

/// Takes `amount` out of an open hold: accounts, budgets and the row itself. Writes the hold and the budgets; the accounts
/// are the caller's to write.
fn take(conn: &Connection, open: &KnownHold, amount: Datoshi, at: UnixMillis) -> Answer<(Found, Found)> {
    let left = allowed!(open.less(amount));
    let mut debit = account::by_number(conn, open.debit)?;
    let mut credit = account::by_number(conn, open.credit)?;
    debit.state = allowed!(debit.state.unhold(amount));
    credit.state = allowed!(credit.state.unexpect(amount));
    let ended = (left == Datoshi::ZERO).then_some(at.0);
    if let Some(scope) = Scope::of(open.purpose, &debit.account, open.function.as_ref()) {
        for mut budget in budget::load(conn, &scope, at)? {
            budget.unhold(amount);
            budget::save(conn, &budget)?;
        }
    }
    conn.prepare_cached("UPDATE ledger_hold SET left = ?2, ended_at = ?3 WHERE id = ?1")?
        .execute(params![open.id.0, left.0, ended])?;
    Ok(Ok((debit, credit)))
}

pub(super) fn post(conn: &Connection, part: &Part, purpose: Purpose, detail: &Detail) -> Answer<Written> {
    if let Some(known) = transfer::known(conn, part.id)? {
        return Ok(known.posted_again(part));
    }
    let Some(open) = find(conn, part.hold)? else {
        return Ok(Err(Refused::NoHold(part.hold)));
    };
    // what a debit beyond the floor, or a credit beyond the range, would refuse is refused before `take` writes
    allowed!(
        account::by_number(conn, open.credit)?
            .state
            .credit(open.purpose, part.amount)
    );
    let (mut debit, mut credit) = allowed!(take(conn, &open, part.amount, part.at)?);
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
    transfer::insert(conn, &row, &debit, &credit)?;
    if let Some(scope) = Scope::of(purpose, &debit.account, detail.function.as_ref()) {
        budget::spend(conn, &scope, part.amount, part.at)?;
        if let (Purpose::Charge, Some(function), Some(units)) = (purpose, scope.function, detail.units) {
            charge::used(conn, scope.project, function, units, part.amount, part.at)?;
        }
    }
    Ok(Ok(Written::Now(part.amount)))
}

pub(super) fn release(conn: &Connection, part: &Part) -> Answer<Written> {
    let known: Option<i64> = {
        let mut statement =
            conn.prepare_cached("SELECT amount FROM ledger_release WHERE hold = ?1 AND id = ?2")?;
        let mut rows = statement.query(params![part.hold.0, part.id.0])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    if let Some(amount) = known {
        return Ok(part.released_again(Datoshi(amount)));
    }
    let Some(open) = find(conn, part.hold)? else {
        return Ok(Err(Refused::NoHold(part.hold)));
    };
    let (debit, credit) = allowed!(take(conn, &open, part.amount, part.at)?);
    debit.save(conn, part.at)?;
    credit.save(conn, part.at)?;
    conn.prepare_cached("INSERT INTO ledger_release VALUES (?1, ?2, ?3)")?
        .execute(params![part.hold.0, part.id.0, part.amount.0])?;
    Ok(Ok(Written::Now(part.amount)))
}

pub(super) fn void(conn: &Connection, hold: TransferId, at: UnixMillis) -> Answer<Written> {
    let Some(open) = find(conn, hold)? else {
        return Ok(Err(Refused::NoHold(hold)));
    };
    if open.left == Datoshi::ZERO {
        return Ok(Ok(Written::Before(Datoshi::ZERO)));
    }
    let left = open.left;
    let (debit, credit) = allowed!(take(conn, &open, left, at)?);
    debit.save(conn, at)?;
    credit.save(conn, at)?;
    Ok(Ok(Written::Now(left)))
}
