//! Budgets as rows, and the alerts that they raise.

use crate::error::Fault;
use neofn_gas::ledger::{Account, Alert, Budget, BudgetRow, Period, Purpose, Scope};
use neofn_types::{Datoshi, FunctionName, ProjectName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

fn name(function: Option<&FunctionName>) -> &str {
    function.map(AsRef::as_ref).unwrap_or_default()
}
fn function(row: &PgRow, column: usize) -> Result<Option<FunctionName>, Fault> {
    match row.try_get(column)? {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Fault::Damaged("function of a budget")),
    }
}
/// A small number: a period, a share in percent.
fn small(row: &PgRow, column: usize) -> Result<u8, Fault> {
    let number: i64 = row.try_get(column)?;
    u8::try_from(number).map_err(|_| Fault::Damaged("budget"))
}

macro_rules! budgets {
    ($rest:literal) => {
        concat!(
            "SELECT function, period, most, spent, held, idx, alerted FROM ledger_budget WHERE project = $1 ",
            $rest
        )
    };
}

fn read(project: &ProjectName, row: &PgRow, at: UnixMillis) -> Result<BudgetRow, Fault> {
    let budget = Budget {
        project: project.clone(),
        function: function(row, 0)?,
        period: Period::from_number(small(row, 1)?).ok_or(Fault::Damaged("period of a budget"))?,
        limit: Datoshi(row.try_get(2)?),
    };
    let stored = BudgetRow {
        budget,
        spent: Datoshi(row.try_get(3)?),
        held: Datoshi(row.try_get(4)?),
        index: row.try_get(5)?,
        alerted: small(row, 6)?,
    };
    Ok(stored.at(at))
}

/// The budgets that a scope counts against: the project's, and its function's.
pub(super) async fn load(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    at: UnixMillis,
) -> Result<Vec<BudgetRow>, Fault> {
    let rows = sqlx::query(budgets!("AND function IN ('', $2)"))
        .bind(scope.project.as_ref())
        .bind(name(scope.function))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| read(scope.project, row, at)).collect()
}

pub(super) async fn list(
    conn: &mut PgConnection,
    project: &ProjectName,
    at: UnixMillis,
) -> Result<Vec<BudgetRow>, Fault> {
    let rows = sqlx::query(budgets!("ORDER BY function, period"))
        .bind(project.as_ref())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| read(project, row, at)).collect()
}

pub(super) async fn save(conn: &mut PgConnection, row: &BudgetRow) -> Result<(), Fault> {
    let b = &row.budget;
    sqlx::query(
        "INSERT INTO ledger_budget VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project, function, period) \
         DO UPDATE SET most = $4, spent = $5, held = $6, idx = $7, alerted = $8",
    )
    .bind(b.project.as_ref())
    .bind(name(b.function.as_ref()))
    .bind(i64::from(b.period.number()))
    .bind(b.limit.0)
    .bind(row.spent.0)
    .bind(row.held.0)
    .bind(row.index)
    .bind(i64::from(row.alerted))
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn spend(
    conn: &mut PgConnection,
    scope: &Scope<'_>,
    amount: Datoshi,
    at: UnixMillis,
) -> Result<(), Fault> {
    for mut row in load(conn, scope, at).await? {
        if let Some(percent) = row.spend(amount) {
            let b = &row.budget;
            sqlx::query(
                "INSERT INTO ledger_alert(project, function, percent, most, spent, at) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(b.project.as_ref())
            .bind(name(b.function.as_ref()))
            .bind(i64::from(percent))
            .bind(b.limit.0)
            .bind(row.spent.0)
            .bind(at.0)
            .execute(&mut *conn)
            .await?;
            tracing::warn!(budget = b.what(), percent, spent = %row.spent, limit = %b.limit, "budget");
        }
        save(conn, &row).await?;
    }
    Ok(())
}

pub(super) async fn set(conn: &mut PgConnection, budget: &Budget, at: UnixMillis) -> Result<(), Fault> {
    super::lock(conn).await?;
    let there = list(conn, &budget.project, at)
        .await?
        .into_iter()
        .find(|r| r.budget.function == budget.function && r.budget.period == budget.period);
    let row = match there {
        Some(old) => BudgetRow {
            budget: budget.clone(),
            alerted: 0,
            ..old
        },
        None => BudgetRow {
            spent: spent_before(conn, budget, at).await?,
            held: open_holds(conn, budget).await?,
            ..BudgetRow::new(budget.clone(), at)
        },
    };
    save(conn, &row).await
}

fn budgeted() -> Vec<i64> {
    Purpose::BUDGETED.map(|purpose| purpose.number().into()).to_vec()
}

/// What was spent in this period before there was the budget: it is of the period, and not of the time since it was set.
async fn spent_before(conn: &mut PgConnection, budget: &Budget, at: UnixMillis) -> Result<Datoshi, Fault> {
    let sum: i64 = sqlx::query_scalar(
        "SELECT least(coalesce(sum(t.amount), 0), 9223372036854775807)::bigint FROM ledger_transfer t \
         JOIN ledger_account a ON a.aid = t.debit WHERE a.name = $1 AND t.purpose = ANY($4) \
         AND t.at >= $3 AND ($2 = '' OR t.function = $2)",
    )
    .bind(Account::Project(budget.project.clone()).to_string())
    .bind(name(budget.function.as_ref()))
    .bind(budget.period.start(at).0)
    .bind(budgeted())
    .fetch_one(conn)
    .await?;
    Ok(Datoshi(sum))
}

/// What holds have set aside already that a new budget counts from now on.
async fn open_holds(conn: &mut PgConnection, budget: &Budget) -> Result<Datoshi, Fault> {
    let sum: i64 = sqlx::query_scalar(
        "SELECT least(coalesce(sum(h.\"left\"), 0), 9223372036854775807)::bigint FROM ledger_hold h \
         JOIN ledger_account a ON a.aid = h.debit WHERE a.name = $1 AND h.\"left\" > 0 AND h.purpose = ANY($3) \
         AND ($2 = '' OR h.function = $2)",
    )
    .bind(Account::Project(budget.project.clone()).to_string())
    .bind(name(budget.function.as_ref()))
    .bind(budgeted())
    .fetch_one(conn)
    .await?;
    Ok(Datoshi(sum))
}

pub(super) async fn remove(conn: &mut PgConnection, budget: &Budget) -> Result<bool, Fault> {
    super::lock(conn).await?;
    let gone = sqlx::query("DELETE FROM ledger_budget WHERE project = $1 AND function = $2 AND period = $3")
        .bind(budget.project.as_ref())
        .bind(name(budget.function.as_ref()))
        .bind(i64::from(budget.period.number()))
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() == 1)
}

pub(super) async fn alerts(
    conn: &mut PgConnection,
    project: &ProjectName,
    limit: u32,
) -> Result<Vec<Alert>, Fault> {
    let rows = sqlx::query(
        "SELECT function, percent, most, spent, at FROM ledger_alert WHERE project = $1 ORDER BY seq DESC LIMIT $2",
    )
    .bind(project.as_ref())
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Alert {
                project: project.clone(),
                function: function(row, 0)?,
                percent: small(row, 1)?,
                limit: Datoshi(row.try_get(2)?),
                spent: Datoshi(row.try_get(3)?),
                at: UnixMillis(row.try_get(4)?),
            })
        })
        .collect()
}
