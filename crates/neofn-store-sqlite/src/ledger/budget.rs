//! Budgets as rows, and the alerts that they raise.

use crate::error::Fault;
use neofn_gas::ledger::{Alert, Budget, BudgetRow, Period, Purpose, Scope};
use neofn_types::{Datoshi, FunctionName, ProjectName, UnixMillis};
use rusqlite::{Connection, Row, params};

fn name(function: Option<&FunctionName>) -> &str {
    function.map(AsRef::as_ref).unwrap_or_default()
}
fn function(text: &str) -> Result<Option<FunctionName>, Fault> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Fault::Damaged("function of a budget")),
    }
}

const COLUMNS: &str =
    "SELECT function, period, most, spent, held, idx, alerted FROM ledger_budget WHERE project = ?1";

fn read(project: &ProjectName, row: &Row<'_>, at: UnixMillis) -> Result<BudgetRow, Fault> {
    let period: u8 = row.get(1)?;
    let budget = Budget {
        project: project.clone(),
        function: function(&row.get::<_, String>(0)?)?,
        period: Period::from_number(period).ok_or(Fault::Damaged("period of a budget"))?,
        limit: Datoshi(row.get(2)?),
    };
    let stored = BudgetRow {
        budget,
        spent: Datoshi(row.get(3)?),
        held: Datoshi(row.get(4)?),
        index: row.get(5)?,
        alerted: row.get(6)?,
    };
    Ok(stored.at(at))
}

/// The budgets that a scope counts against: the project's, and its function's.
pub(super) fn load(conn: &Connection, scope: &Scope<'_>, at: UnixMillis) -> Result<Vec<BudgetRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} AND function IN ('', ?2)"))?;
    let mut rows = statement.query(params![scope.project.as_ref(), name(scope.function)])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(scope.project, row, at)?);
    }
    Ok(all)
}
pub(super) fn list(
    conn: &Connection,
    project: &ProjectName,
    at: UnixMillis,
) -> Result<Vec<BudgetRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY function, period"))?;
    let mut rows = statement.query([project.as_ref()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(project, row, at)?);
    }
    Ok(all)
}

pub(super) fn save(conn: &Connection, row: &BudgetRow) -> Result<(), Fault> {
    let b = &row.budget;
    conn.prepare_cached(
        "INSERT INTO ledger_budget VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO UPDATE SET most = ?4, spent = ?5, held = ?6, idx = ?7, alerted = ?8",
    )?
    .execute(params![
        b.project.as_ref(),
        name(b.function.as_ref()),
        b.period.number(),
        b.limit.0,
        row.spent.0,
        row.held.0,
        row.index,
        row.alerted
    ])?;
    Ok(())
}

pub(super) fn spend(
    conn: &Connection,
    scope: &Scope<'_>,
    amount: Datoshi,
    at: UnixMillis,
) -> Result<(), Fault> {
    for mut row in load(conn, scope, at)? {
        if let Some(percent) = row.spend(amount) {
            let b = &row.budget;
            conn.prepare_cached(
                "INSERT INTO ledger_alert(project, function, percent, most, spent, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                b.project.as_ref(),
                name(b.function.as_ref()),
                percent,
                b.limit.0,
                row.spent.0,
                at.0
            ])?;
            tracing::warn!(budget = b.what(), percent, spent = %row.spent, limit = %b.limit, "budget");
        }
        save(conn, &row)?;
    }
    Ok(())
}

pub(super) fn set(conn: &Connection, budget: &Budget, at: UnixMillis) -> Result<(), Fault> {
    let there = list(conn, &budget.project, at)?
        .into_iter()
        .find(|r| r.budget.function == budget.function && r.budget.period == budget.period);
    let row = match there {
        Some(old) => BudgetRow {
            budget: budget.clone(),
            alerted: 0,
            ..old
        },
        None => BudgetRow {
            spent: spent_before(conn, budget, at)?,
            held: open_holds(conn, budget)?,
            ..BudgetRow::new(budget.clone(), at)
        },
    };
    save(conn, &row)
}

fn budgeted() -> String {
    Purpose::BUDGETED
        .map(|purpose| purpose.number().to_string())
        .join(", ")
}

/// What was spent in this period before there was the budget: it is of the period, and not of the time since it was set.
fn spent_before(conn: &Connection, budget: &Budget, at: UnixMillis) -> Result<Datoshi, Fault> {
    let account = neofn_gas::ledger::Account::Project(budget.project.clone()).to_string();
    let sum: i64 = conn
        .prepare_cached(&format!(
            "SELECT coalesce(sum(t.amount), 0) FROM ledger_transfer t JOIN ledger_account a ON a.aid = t.debit \
             WHERE a.name = ?1 AND t.purpose IN ({}) AND t.at >= ?3 \
             AND (?2 = '' OR t.function = ?2)",
            budgeted()
        ))?
        .query_row(
            params![account, name(budget.function.as_ref()), budget.period.start(at).0],
            |r| r.get(0),
        )?;
    Ok(Datoshi(sum))
}

/// What holds have set aside already that a new budget counts from now on.
fn open_holds(conn: &Connection, budget: &Budget) -> Result<Datoshi, Fault> {
    let account = neofn_gas::ledger::Account::Project(budget.project.clone()).to_string();
    let sum: i64 = conn
        .prepare_cached(&format!(
            "SELECT coalesce(sum(h.left), 0) FROM ledger_hold h JOIN ledger_account a ON a.aid = h.debit \
             WHERE a.name = ?1 AND h.left > 0 AND h.purpose IN ({}) AND (?2 = '' OR h.function = ?2)",
            budgeted()
        ))?
        .query_row(params![account, name(budget.function.as_ref())], |r| r.get(0))?;
    Ok(Datoshi(sum))
}

pub(super) fn remove(conn: &Connection, budget: &Budget) -> Result<bool, Fault> {
    let gone = conn
        .prepare_cached("DELETE FROM ledger_budget WHERE project = ?1 AND function = ?2 AND period = ?3")?
        .execute(params![
            budget.project.as_ref(),
            name(budget.function.as_ref()),
            budget.period.number()
        ])?;
    Ok(gone == 1)
}

pub(super) fn alerts(conn: &Connection, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT function, percent, most, spent, at FROM ledger_alert WHERE project = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![project.as_ref(), limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(Alert {
            project: project.clone(),
            function: function(&row.get::<_, String>(0)?)?,
            percent: row.get(1)?,
            limit: Datoshi(row.get(2)?),
            spent: Datoshi(row.get(3)?),
            at: UnixMillis(row.get(4)?),
        });
    }
    Ok(all)
}
