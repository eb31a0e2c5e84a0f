//! Accounts: found by name, made with their first entry.

use crate::error::Fault;
use neofn_gas::ledger::{Account, AccountRow, State};
use neofn_types::{Datoshi, UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// An account within a transaction. Without a number it is not there yet.
pub(super) struct Found {
    pub account: Account,
    pub aid: Option<i64>,
    pub state: State,
}

pub(super) fn state(row: &Row<'_>, first: usize) -> Result<State, rusqlite::Error> {
    Ok(State {
        balance: Datoshi(row.get(first)?),
        held: Datoshi(row.get(first + 1)?),
        incoming: Datoshi(row.get(first + 2)?),
        credit: Datoshi(row.get(first + 3)?),
    })
}

pub(super) fn find(conn: &Connection, account: &Account) -> Result<Found, Fault> {
    let found = conn
        .prepare_cached("SELECT aid, balance, held, incoming, granted FROM ledger_account WHERE name = ?1")?
        .query_row([account.to_string()], |r| Ok((r.get(0)?, state(r, 1)?)))
        .optional()?;
    let (aid, state) = match found {
        Some((aid, state)) => (Some(aid), state),
        None => (None, State::default()),
    };
    Ok(Found {
        account: account.clone(),
        aid,
        state,
    })
}
pub(super) fn by_number(conn: &Connection, aid: i64) -> Result<Found, Fault> {
    let (name, state): (String, State) = conn
        .prepare_cached("SELECT name, balance, held, incoming, granted FROM ledger_account WHERE aid = ?1")?
        .query_row([aid], |r| Ok((r.get(0)?, state(r, 1)?)))?;
    Ok(Found {
        account: name.parse().map_err(|_| Fault::Damaged("account"))?,
        aid: Some(aid),
        state,
    })
}

impl Found {
    /// Writes the state; answers the number.
    pub(super) fn save(&self, conn: &Connection, at: UnixMillis) -> Result<i64, Fault> {
        let State {
            balance,
            held,
            incoming,
            credit,
        } = self.state;
        if let Some(aid) = self.aid {
            conn.prepare_cached(
                "UPDATE ledger_account SET balance = ?2, held = ?3, incoming = ?4, granted = ?5 WHERE aid = ?1",
            )?
            .execute([aid, balance.0, held.0, incoming.0, credit.0])?;
            return Ok(aid);
        }
        let aid = conn
            .prepare_cached(
                "INSERT INTO ledger_account(name, floor, balance, held, incoming, opened_at, granted) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING aid",
            )?
            .query_row(
                params![
                    self.account.to_string(),
                    self.account.floor(),
                    balance.0,
                    held.0,
                    incoming.0,
                    at.0,
                    credit.0
                ],
                |r| r.get(0),
            )?;
        Ok(aid)
    }
}

const ROW: &str = "SELECT name, balance, held, incoming, granted, opened_at FROM ledger_account";

fn row(row: &Row<'_>) -> Result<AccountRow, Fault> {
    Ok(AccountRow {
        account: row
            .get::<_, String>(0)?
            .parse()
            .map_err(|_| Fault::Damaged("account"))?,
        state: state(row, 1)?,
        opened_at: UnixMillis(row.get(5)?),
    })
}
pub(super) fn read(conn: &Connection, account: &Account) -> Result<Option<AccountRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{ROW} WHERE name = ?1"))?;
    let mut rows = statement.query([account.to_string()])?;
    rows.next()?.map(row).transpose()
}
pub(super) fn list(conn: &Connection, after: Option<&Account>, limit: u32) -> Result<Vec<AccountRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{ROW} WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
    let mut rows = statement.query(params![after.map(ToString::to_string).unwrap_or_default(), limit])?;
    let mut all = Vec::new();
    while let Some(r) = rows.next()? {
        all.push(row(r)?);
    }
    Ok(all)
}
