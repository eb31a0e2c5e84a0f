//! What is known of the chain's side: how far it was read, and whose addresses are whose.

use super::write_all;
use crate::codec::{fixed, int, nat};
use crate::error::Fault;
use neofn_gas::ledger::Routes;
use neofn_gas::port::{ChainMark, ChainStep, Stepped};
use neofn_types::ScriptHash;
use rusqlite::{Connection, OptionalExtension as _, params};

pub(super) fn mark(conn: &Connection, network: u32) -> Result<Option<ChainMark>, Fault> {
    let next: Option<i64> = conn
        .prepare_cached("SELECT next FROM ledger_mark WHERE network = ?1")?
        .query_row([network], |r| r.get(0))
        .optional()?;
    Ok(next.map(|next| ChainMark { next: nat(next) }))
}

pub(super) fn step(conn: &Connection, step: &ChainStep) -> Result<Stepped, Fault> {
    let found = mark(conn, step.network)?;
    if found != step.from {
        return Ok(Stepped::Elsewhere(found));
    }
    let answers = write_all(conn, &step.entries)?;
    conn.prepare_cached("INSERT INTO ledger_mark VALUES (?1, ?2) ON CONFLICT DO UPDATE SET next = ?2")?
        .execute(params![step.network, int(step.next)])?;
    Ok(Stepped::Done(answers))
}

pub(super) fn routes(conn: &Connection) -> Result<Routes, Fault> {
    let mut statement = conn.prepare_cached("SELECT account, kind, project FROM ledger_route")?;
    let mut rows = statement.query([])?;
    let mut routes = Routes::default();
    while let Some(row) = rows.next()? {
        let account = ScriptHash(fixed(row, 0, "address of a project")?);
        let name: String = row.get(2)?;
        let project = name
            .parse()
            .map_err(|_| Fault::Damaged("project of an address"))?;
        match row.get::<_, i64>(1)? {
            1 => routes.deposit.insert(account, project),
            2 => routes.senders.insert(account, project),
            _ => return Err(Fault::Damaged("kind of an address")),
        };
    }
    Ok(routes)
}
