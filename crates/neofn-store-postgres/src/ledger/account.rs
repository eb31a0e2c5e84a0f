//! Accounts: found by name, made with their first entry.

use crate::error::Fault;
use neofn_gas::ledger::{Account, AccountRow, State};
use neofn_types::{Datoshi, UnixMillis};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// An account within a transaction. Without a number it is not there yet.
pub(super) struct Found {
    pub account: Account,
    pub aid: Option<i64>,
    pub state: State,
}

fn state(row: &PgRow, first: usize) -> Result<State, Fault> {
    Ok(State {
        balance: Datoshi(row.try_get(first)?),
        held: Datoshi(row.try_get(first + 1)?),
        incoming: Datoshi(row.try_get(first + 2)?),
        credit: Datoshi(row.try_get(first + 3)?),
    })
}
fn named(row: &PgRow, column: usize) -> Result<Account, Fault> {
    let name: &str = row.try_get(column)?;
    name.parse().map_err(|_| Fault::Damaged("account"))
}

pub(super) async fn find(conn: &mut PgConnection, account: &Account) -> Result<Found, Fault> {
    let found =
        sqlx::query("SELECT aid, balance, held, incoming, granted FROM ledger_account WHERE name = $1")
            .bind(account.to_string())
            .fetch_optional(conn)
            .await?;
    let (aid, state) = match found {
        Some(row) => (Some(row.try_get(0)?), state(&row, 1)?),
        None => (None, State::default()),
    };
    Ok(Found {
        account: account.clone(),
        aid,
        state,
    })
}

pub(super) async fn by_number(conn: &mut PgConnection, aid: i64) -> Result<Found, Fault> {
    let row = sqlx::query("SELECT name, balance, held, incoming, granted FROM ledger_account WHERE aid = $1")
        .bind(aid)
        .fetch_one(conn)
        .await?;
    Ok(Found {
        account: named(&row, 0)?,
        aid: Some(aid),
        state: state(&row, 1)?,
    })
}

impl Found {
    /// Writes the state; answers the number.
    pub(super) async fn save(&self, conn: &mut PgConnection, at: UnixMillis) -> Result<i64, Fault> {
        let State {
            balance,
            held,
            incoming,
            credit,
        } = self.state;
        if let Some(aid) = self.aid {
            sqlx::query(
                "UPDATE ledger_account SET balance = $2, held = $3, incoming = $4, granted = $5 WHERE aid = $1",
            )
                .bind(aid)
                .bind(balance.0)
                .bind(held.0)
                .bind(incoming.0)
                .bind(credit.0)
                .execute(conn)
                .await?;
            return Ok(aid);
        }
        let aid = sqlx::query_scalar(
            "INSERT INTO ledger_account(name, floor, balance, held, incoming, opened_at, granted) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING aid",
        )
        .bind(self.account.to_string())
        .bind(self.account.floor())
        .bind(balance.0)
        .bind(held.0)
        .bind(incoming.0)
        .bind(at.0)
        .bind(credit.0)
        .fetch_one(conn)
        .await?;
        Ok(aid)
    }
}

macro_rules! accounts {
    ($rest:literal) => {
        concat!(
            "SELECT name, balance, held, incoming, granted, opened_at FROM ledger_account ",
            $rest
        )
    };
}

fn row(row: &PgRow) -> Result<AccountRow, Fault> {
    Ok(AccountRow {
        account: named(row, 0)?,
        state: state(row, 1)?,
        opened_at: UnixMillis(row.try_get(5)?),
    })
}

pub(super) async fn read(conn: &mut PgConnection, account: &Account) -> Result<Option<AccountRow>, Fault> {
    let found = sqlx::query(accounts!("WHERE name = $1"))
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    found.as_ref().map(row).transpose()
}

pub(super) async fn list(
    conn: &mut PgConnection,
    after: Option<&Account>,
    limit: u32,
) -> Result<Vec<AccountRow>, Fault> {
    let rows = sqlx::query(accounts!("WHERE name > $1 ORDER BY name LIMIT $2"))
        .bind(after.map(ToString::to_string).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    rows.iter().map(row).collect()
}
