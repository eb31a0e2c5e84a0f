//! What is asked of the ledger. Changes nothing but old holds of calls, which it forgets.

use super::account;
use super::rows::{self, DETAIL, HOLD};
use crate::codec::{int, nat};
use crate::error::Fault;
use neofn_gas::ledger::{
    Account, HoldRow, StatementFilter, StatementLine, Totals, TransferId, UsageFilter, UsageLine,
};
use neofn_gas::port::HoldFilter;
use neofn_types::{Datoshi, ProjectName, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// Columns: 0 seq, 1 id, 2 purpose, 3 the other account's name, 4 signed amount, 5 hold, 6 at, 7.. detail.
fn line(row: &Row<'_>) -> Result<StatementLine, Fault> {
    Ok(StatementLine {
        seq: nat(row.get(0)?),
        id: rows::id(row, 1)?,
        purpose: rows::purpose(row, 2)?,
        other: row
            .get::<_, String>(3)?
            .parse()
            .map_err(|_| Fault::Damaged("account"))?,
        amount: Datoshi(row.get(4)?),
        hold: rows::maybe(row, 5)?.map(TransferId),
        at: UnixMillis(row.get(6)?),
        detail: rows::detail(row, 7)?,
    })
}

pub(super) fn statement(
    conn: &Connection,
    of: &Account,
    filter: StatementFilter,
) -> Result<Vec<StatementLine>, Fault> {
    let Some(aid) = account::find(conn, of)?.aid else {
        return Ok(Vec::new());
    };
    let since = filter.since.map_or(i64::MIN, |t| t.0);
    // each side by its own index, then the newest of both
    let side = |mine: &str, other: &str, sign: &str| {
        format!(
            "SELECT * FROM (SELECT seq, id, purpose, (SELECT name FROM ledger_account WHERE aid = {other}), \
             {sign}amount, hold, at, {DETAIL} FROM ledger_transfer WHERE {mine} = ?1 AND seq < ?2 AND at >= ?3 \
             ORDER BY seq DESC LIMIT ?4)"
        )
    };
    let (went, came) = (side("debit", "credit", "-"), side("credit", "debit", ""));
    let sql = format!("{went} UNION ALL {came} ORDER BY 1 DESC LIMIT ?4");
    let mut statement = conn.prepare_cached(&sql)?;
    let before = filter.before.map_or(i64::MAX, int);
    let mut rows = statement.query(params![aid, before, since, filter.limit])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(line(row)?);
    }
    Ok(lines)
}

pub(super) fn transfer(conn: &Connection, id: TransferId) -> Result<Option<(Account, StatementLine)>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT seq, id, purpose, (SELECT name FROM ledger_account WHERE aid = credit), -amount, hold, at, {DETAIL}, \
         (SELECT name FROM ledger_account WHERE aid = debit) FROM ledger_transfer WHERE id = ?1"
    ))?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let debit: String = row.get(15)?;
    let debit = debit.parse().map_err(|_| Fault::Damaged("account"))?;
    Ok(Some((debit, line(row)?)))
}

pub(super) fn hold(conn: &Connection, id: TransferId) -> Result<Option<HoldRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{HOLD} WHERE h.id = ?1"))?;
    let mut found = statement.query([id.0])?;
    found.next()?.map(rows::hold).transpose()
}

pub(super) fn holds(conn: &Connection, filter: &HoldFilter) -> Result<Vec<HoldRow>, Fault> {
    let aid = match &filter.project {
        Some(project) => match account::find(conn, &Account::Project(project.clone()))?.aid {
            Some(aid) => Some(aid),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let open = match filter.open {
        true => "AND h.left > 0 ORDER BY h.at, h.id",
        false => "ORDER BY h.at DESC, h.id DESC",
    };
    let sql = format!("{HOLD} WHERE h.purpose = ?1 AND (?2 IS NULL OR h.debit = ?2) {open} LIMIT ?3");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params![filter.purpose.number(), aid, filter.limit])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(rows::hold(row)?);
    }
    Ok(all)
}

pub(super) fn usage(conn: &Connection, filter: &UsageFilter) -> Result<Vec<UsageLine>, Fault> {
    let (hour, function) = match &filter.after {
        Some((hour, function)) => (hour.0, function.as_ref()),
        None => (i64::MIN, ""),
    };
    let only: Option<&str> = filter.function.as_ref().map(AsRef::as_ref);
    let mut statement = conn.prepare_cached(
        "SELECT hour, function, invocations, units, amount FROM ledger_usage WHERE project = ?1 \
         AND hour >= ?2 AND hour < ?3 AND (hour, function) > (?4, ?5) AND (?6 IS NULL OR function = ?6) \
         ORDER BY hour, function LIMIT ?7",
    )?;
    let mut rows = statement.query(params![
        filter.project.as_ref(),
        UsageLine::hour_of(filter.from).0,
        filter.until.0,
        hour,
        function,
        only,
        filter.limit
    ])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(UsageLine {
            project: filter.project.clone(),
            function: row
                .get::<_, String>(1)?
                .parse()
                .map_err(|_| Fault::Damaged("function of usage"))?,
            hour: UnixMillis(row.get(0)?),
            invocations: nat(row.get(2)?),
            units: nat(row.get(3)?),
            amount: Datoshi(row.get(4)?),
        });
    }
    Ok(lines)
}

pub(super) fn totals(conn: &Connection) -> Result<Totals, Fault> {
    let mut totals = conn.query_row(
        "SELECT coalesce(sum(balance), 0), coalesce(sum(held), 0), coalesce(sum(incoming), 0), \
         coalesce(sum(floor IS NOT NULL AND balance - held < floor), 0) FROM ledger_account",
        [],
        |r| {
            Ok(Totals {
                balance: r.get(0)?,
                held: r.get(1)?,
                incoming: r.get(2)?,
                below_floor: nat(r.get(3)?),
                ..Totals::default()
            })
        },
    )?;
    totals.left = conn.query_row(
        "SELECT coalesce(sum(left), 0) FROM ledger_hold WHERE left > 0",
        [],
        |r| r.get(0),
    )?;
    totals.transfers = nat(conn.query_row("SELECT count(*) FROM ledger_transfer", [], |r| r.get(0))?);
    totals.disagreeing = nat(conn.query_row(
        "WITH sums AS (SELECT aid, sum(amount) AS amount FROM (\
           SELECT credit AS aid, amount FROM ledger_transfer \
           UNION ALL SELECT debit, -amount FROM ledger_transfer) GROUP BY aid) \
         SELECT count(*) FROM ledger_account a LEFT JOIN sums s ON s.aid = a.aid \
         WHERE a.balance <> coalesce(s.amount, 0) \
         OR a.held <> (SELECT coalesce(sum(left), 0) FROM ledger_hold h WHERE h.debit = a.aid AND h.left > 0)",
        [],
        |r| r.get(0),
    )?);
    Ok(totals)
}

pub(super) fn policy(conn: &Connection, project: &ProjectName) -> Result<Option<String>, Fault> {
    Ok(conn
        .prepare_cached("SELECT policy FROM ledger_policy WHERE project = ?1")?
        .query_row([project.as_ref()], |r| r.get(0))
        .optional()?)
}
pub(super) fn policies(conn: &Connection) -> Result<Vec<(ProjectName, String)>, Fault> {
    let mut statement = conn.prepare_cached("SELECT project, policy FROM ledger_policy ORDER BY project")?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let name = name.parse().map_err(|_| Fault::Damaged("project of a policy"))?;
        all.push((name, row.get(1)?));
    }
    Ok(all)
}
pub(super) fn set_policy(conn: &Connection, project: &ProjectName, policy: &str) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO ledger_policy VALUES (?1, ?2) ON CONFLICT DO UPDATE SET policy = ?2")?
        .execute(params![project.as_ref(), policy])?;
    Ok(())
}

pub(super) fn prune_holds(conn: &Connection, before: UnixMillis, limit: u32) -> Result<u32, Fault> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM ledger_hold WHERE id IN (SELECT id FROM ledger_hold WHERE ended_at < ?1 AND purpose IN (1, 2) \
         LIMIT ?2) RETURNING id",
    )?;
    let ids: Vec<Vec<u8>> = statement
        .query_map(params![before.0, limit], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        conn.prepare_cached("DELETE FROM ledger_release WHERE hold = ?1")?
            .execute([id])?;
    }
    Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
}
