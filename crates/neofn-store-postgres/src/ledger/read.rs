//! What is asked of the ledger. Changes nothing but old holds of calls, which it forgets.

use super::account;
use super::rows::{self, holds};
use crate::error::Fault;
use neofn_gas::ledger::{
    Account, HoldRow, StatementFilter, StatementLine, Totals, TransferId, UsageFilter, UsageLine,
};
use neofn_gas::port::HoldFilter;
use neofn_rows::{int, nat};
use neofn_types::{Datoshi, ProjectName, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

fn account_at(row: &PgRow, column: usize) -> Result<Account, Fault> {
    let name: &str = row.try_get(column)?;
    name.parse().map_err(|_| Fault::Damaged("account"))
}

/// Columns: 0 seq, 1 id, 2 purpose, 3 the other account's name, 4 signed amount, 5 hold, 6 at, 7.. detail.
fn line(row: &PgRow) -> Result<StatementLine, Fault> {
    Ok(StatementLine {
        seq: nat(row.try_get(0)?),
        id: rows::id(row, 1)?,
        purpose: rows::purpose(row, 2)?,
        other: account_at(row, 3)?,
        amount: Datoshi(row.try_get(4)?),
        hold: rows::maybe(row, 5)?.map(TransferId),
        at: UnixMillis(row.try_get(6)?),
        detail: rows::detail(row, 7)?,
    })
}

/// One side of an account's statement, by the index of that side.
macro_rules! side {
    ($mine:literal, $other:literal, $sign:literal) => {
        concat!(
            "(SELECT seq, id, purpose, (SELECT name FROM ledger_account WHERE aid = ",
            $other,
            "), ",
            $sign,
            "amount, hold, at, function, invocation, units, price, tx, party, note, caller FROM ledger_transfer WHERE ",
            $mine,
            " = $1 AND seq < $2 AND at >= $3 ORDER BY seq DESC LIMIT $4)"
        )
    };
}

pub(super) async fn statement(
    conn: &mut PgConnection,
    of: &Account,
    filter: StatementFilter,
) -> Result<Vec<StatementLine>, Fault> {
    let Some(aid) = account::find(conn, of).await?.aid else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(concat!(
        side!("debit", "credit", "-"),
        " UNION ALL ",
        side!("credit", "debit", ""),
        " ORDER BY 1 DESC LIMIT $4"
    ))
    .bind(aid)
    .bind(filter.before.map_or(i64::MAX, int))
    .bind(filter.since.map_or(i64::MIN, |t| t.0))
    .bind(i64::from(filter.limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(line).collect()
}

pub(super) async fn transfer(
    conn: &mut PgConnection,
    id: TransferId,
) -> Result<Option<(Account, StatementLine)>, Fault> {
    let row = sqlx::query(
        "SELECT seq, id, purpose, (SELECT name FROM ledger_account WHERE aid = credit), -amount, hold, at, function, \
         invocation, units, price, tx, party, note, caller, (SELECT name FROM ledger_account WHERE aid = debit) \
         FROM ledger_transfer WHERE id = $1",
    )
    .bind(id.0.as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((account_at(&row, 15)?, line(&row)?)))
        .transpose()
}

pub(super) async fn hold(conn: &mut PgConnection, id: TransferId) -> Result<Option<HoldRow>, Fault> {
    let row = sqlx::query(holds!("WHERE h.id = $1"))
        .bind(id.0.as_slice())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(rows::hold).transpose()
}

pub(super) async fn holds(conn: &mut PgConnection, filter: &HoldFilter) -> Result<Vec<HoldRow>, Fault> {
    let aid = match &filter.project {
        Some(project) => match account::find(conn, &Account::Project(project.clone())).await?.aid {
            Some(aid) => Some(aid),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let sql = match filter.open {
        true => holds!(
            "WHERE h.purpose = $1 AND ($2::bigint IS NULL OR h.debit = $2) AND h.\"left\" > 0 ORDER BY h.at, h.id LIMIT $3"
        ),
        false => holds!(
            "WHERE h.purpose = $1 AND ($2::bigint IS NULL OR h.debit = $2) ORDER BY h.at DESC, h.id DESC LIMIT $3"
        ),
    };
    let rows = sqlx::query(sql)
        .bind(i64::from(filter.purpose.number()))
        .bind(aid)
        .bind(i64::from(filter.limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(rows::hold).collect()
}

pub(super) async fn usage(conn: &mut PgConnection, filter: &UsageFilter) -> Result<Vec<UsageLine>, Fault> {
    let (hour, function) = match &filter.after {
        Some((hour, function)) => (hour.0, function.as_ref()),
        None => (i64::MIN, ""),
    };
    let rows = sqlx::query(
        "SELECT hour, function, invocations, units, amount FROM ledger_usage WHERE project = $1 \
         AND hour >= $2 AND hour < $3 AND (hour, function) > ($4, $5) AND ($6::text IS NULL OR function = $6) \
         ORDER BY hour, function LIMIT $7",
    )
    .bind(filter.project.as_ref())
    .bind(UsageLine::hour_of(filter.from).0)
    .bind(filter.until.0)
    .bind(hour)
    .bind(function)
    .bind(filter.function.as_ref().map(AsRef::<str>::as_ref))
    .bind(i64::from(filter.limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let function: &str = row.try_get(1)?;
            Ok(UsageLine {
                project: filter.project.clone(),
                function: function
                    .parse()
                    .map_err(|_| Fault::Damaged("function of usage"))?,
                hour: UnixMillis(row.try_get(0)?),
                invocations: nat(row.try_get(2)?),
                units: nat(row.try_get(3)?),
                amount: Datoshi(row.try_get(4)?),
            })
        })
        .collect()
}

/// Sums over everything, at one moment.
pub(super) async fn totals(conn: &mut PgConnection) -> Result<Totals, Fault> {
    let row = sqlx::query(
        "WITH sums AS (SELECT aid, sum(amount) AS amount FROM (SELECT credit AS aid, amount FROM ledger_transfer \
         UNION ALL SELECT debit, -amount FROM ledger_transfer) m GROUP BY aid), \
         open AS (SELECT debit AS aid, sum(\"left\") AS amount FROM ledger_hold WHERE \"left\" > 0 GROUP BY debit), \
         whole AS (SELECT coalesce(sum(balance), 0)::bigint AS balance, coalesce(sum(held), 0)::bigint AS held, \
         coalesce(sum(incoming), 0)::bigint AS incoming, \
         count(*) FILTER (WHERE floor IS NOT NULL AND balance - held < floor) AS below FROM ledger_account) \
         SELECT balance, held, incoming, below, (SELECT coalesce(sum(amount), 0)::bigint FROM open), \
         (SELECT count(*) FROM ledger_transfer), \
         (SELECT count(*) FROM ledger_account a LEFT JOIN sums s USING (aid) LEFT JOIN open o USING (aid) \
         WHERE a.balance <> coalesce(s.amount, 0) OR a.held <> coalesce(o.amount, 0)) FROM whole",
    )
    .fetch_one(conn)
    .await?;
    Ok(Totals {
        balance: row.try_get(0)?,
        held: row.try_get(1)?,
        incoming: row.try_get(2)?,
        below_floor: nat(row.try_get(3)?),
        left: row.try_get(4)?,
        transfers: nat(row.try_get(5)?),
        disagreeing: nat(row.try_get(6)?),
    })
}

pub(super) async fn policy(conn: &mut PgConnection, project: &ProjectName) -> Result<Option<String>, Fault> {
    Ok(
        sqlx::query_scalar("SELECT policy FROM ledger_policy WHERE project = $1")
            .bind(project.as_ref())
            .fetch_optional(conn)
            .await?,
    )
}

pub(super) async fn policies(conn: &mut PgConnection) -> Result<Vec<(ProjectName, String)>, Fault> {
    let rows = sqlx::query("SELECT project, policy FROM ledger_policy ORDER BY project")
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let name: &str = row.try_get(0)?;
            let name = name.parse().map_err(|_| Fault::Damaged("project of a policy"))?;
            Ok((name, row.try_get(1)?))
        })
        .collect()
}

pub(super) async fn set_policy(
    conn: &mut PgConnection,
    project: &ProjectName,
    policy: &str,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO ledger_policy VALUES ($1, $2) ON CONFLICT (project) DO UPDATE SET policy = excluded.policy",
    )
    .bind(project.as_ref())
    .bind(policy)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn prune_holds(
    conn: &mut PgConnection,
    before: UnixMillis,
    limit: u32,
) -> Result<u32, Fault> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "DELETE FROM ledger_hold WHERE id IN (SELECT id FROM ledger_hold WHERE ended_at < $1 AND purpose IN (1, 2) \
         LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id",
    )
    .bind(before.0)
    .bind(i64::from(limit))
    .fetch_all(&mut *conn)
    .await?;
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    sqlx::query("DELETE FROM ledger_release WHERE hold = ANY($1)")
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(count)
}
