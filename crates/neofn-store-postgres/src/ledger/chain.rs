//! What is known of the chain's side: how far it was read, and whose addresses are whose.

use super::{lock, write_all};
use crate::error::Fault;
use crate::rows::fixed;
use neofn_gas::ledger::Routes;
use neofn_gas::port::{ChainMark, ChainStep, Stepped};
use neofn_rows::{int, nat};
use neofn_types::ScriptHash;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

pub(super) async fn mark(conn: &mut PgConnection, network: u32) -> Result<Option<ChainMark>, Fault> {
    let next: Option<i64> = sqlx::query_scalar("SELECT next FROM ledger_mark WHERE network = $1")
        .bind(i64::from(network))
        .fetch_optional(conn)
        .await?;
    Ok(next.map(|next| ChainMark { next: nat(next) }))
}

/// `again`: an earlier try of the same step may have been committed without an answer.
pub(super) async fn step(conn: &mut PgConnection, step: &ChainStep, again: bool) -> Result<Stepped, Fault> {
    lock(conn).await?;
    let found = mark(conn, step.network).await?;
    let ours = again && found == Some(ChainMark { next: step.next });
    if found != step.from && !ours {
        return Ok(Stepped::Elsewhere(found));
    }
    let answers = write_all(conn, &step.entries).await?;
    sqlx::query(
        "INSERT INTO ledger_mark VALUES ($1, $2) ON CONFLICT (network) DO UPDATE SET next = excluded.next",
    )
    .bind(i64::from(step.network))
    .bind(int(step.next))
    .execute(conn)
    .await?;
    Ok(Stepped::Done(answers))
}

pub(super) async fn routes(conn: &mut PgConnection) -> Result<Routes, Fault> {
    let rows = sqlx::query("SELECT account, kind, project FROM ledger_route")
        .fetch_all(conn)
        .await?;
    let mut routes = Routes::default();
    for row in &rows {
        let account = ScriptHash(fixed(row, 0, "address of a project")?);
        let name: &str = row.try_get(2)?;
        let project = name
            .parse()
            .map_err(|_| Fault::Damaged("project of an address"))?;
        match row.try_get::<i64, _>(1)? {
            1 => routes.deposit.insert(account, project),
            2 => routes.senders.insert(account, project),
            _ => return Err(Fault::Damaged("kind of an address")),
        };
    }
    Ok(routes)
}
