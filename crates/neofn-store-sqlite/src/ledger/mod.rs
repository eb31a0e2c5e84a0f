//! The ledger's rows. The rules are those of `neofn_gas::ledger`; here is what belongs into one transaction.

mod account;
mod budget;
mod chain;
mod charge;
mod hold;
mod port;
mod read;
mod rows;
mod transfer;

pub(crate) use charge::{charge, forget_function, open_hold};

use crate::error::Fault;
use neofn_gas::ledger::{Entry, Part, Refused, Written};
use rusqlite::Connection;

/// The outer error fails the whole group, the inner one is this entry's refusal.
pub(crate) type Answer<T> = Result<Result<T, Refused>, Fault>;

/// Takes a refusal out of the way: what follows has not written anything yet.
macro_rules! allowed {
    ($answer:expr) => {
        match $answer {
            Ok(value) => value,
            Err(refused) => return Ok(Err(refused)),
        }
    };
}
pub(crate) use allowed;

/// Writes one entry. Everything is checked before anything is written, so a refusal needs no rollback.
pub(crate) fn write(conn: &Connection, entry: &Entry) -> Answer<Written> {
    match entry {
        Entry::Transfer(transfer) => transfer::transfer(conn, transfer),
        Entry::Hold(hold) => hold::hold(conn, hold),
        Entry::Post {
            id,
            hold,
            amount,
            purpose,
            at,
            detail,
        } => hold::post(
            conn,
            &Part {
                id: *id,
                hold: *hold,
                amount: *amount,
                at: *at,
            },
            *purpose,
            detail,
        ),
        Entry::Release { id, hold, amount, at } => hold::release(
            conn,
            &Part {
                id: *id,
                hold: *hold,
                amount: *amount,
                at: *at,
            },
        ),
        Entry::Void { hold, at } => hold::void(conn, *hold, *at),
    }
}

/// Writes entries in order, an answer each.
pub(crate) fn write_all(
    conn: &Connection,
    entries: &[Entry],
) -> Result<Vec<Result<Written, Refused>>, Fault> {
    entries.iter().map(|entry| write(conn, entry)).collect()
}
