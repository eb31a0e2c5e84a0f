//! The ledger's rows. The rules are those of `neofn_gas::ledger`; here is what belongs into one transaction.
//!
//! Every charge touches an account of the platform, so writers of the ledger would wait for each other in any case: they
//! do it at one place, before they lock anything else. Of two that wait for each other none is then the other's victim.

mod account;
mod budget;
mod chain;
mod charge;
mod hold;
mod port;
mod read;
mod rows;
mod transfer;

pub(crate) use charge::{charge, forget_function, open_holds};

use crate::error::Fault;
use neofn_gas::ledger::{Entry, Part, Refused, Written};
use sqlx::postgres::PgConnection;

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

/// "neofn" and "g".
const LOCK: i64 = 0x6e65_6f66_6e67;

/// Makes this transaction the one that writes the ledger; the first lock of whoever needs it.
pub(crate) async fn lock(conn: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes one entry. Everything is checked before anything is written, so a refusal needs no rollback. The caller has
/// the lock.
pub(crate) async fn write(conn: &mut PgConnection, entry: &Entry) -> Answer<Written> {
    match entry {
        Entry::Transfer(transfer) => transfer::transfer(conn, transfer).await,
        Entry::Hold(hold) => hold::hold(conn, hold).await,
        Entry::Post {
            id,
            hold,
            amount,
            purpose,
            at,
            detail,
        } => {
            let part = Part {
                id: *id,
                hold: *hold,
                amount: *amount,
                at: *at,
            };
            hold::post(conn, &part, *purpose, detail).await
        }
        Entry::Release { id, hold, amount, at } => {
            let part = Part {
                id: *id,
                hold: *hold,
                amount: *amount,
                at: *at,
            };
            hold::release(conn, &part).await
        }
        Entry::Void { hold, at } => hold::void(conn, *hold, *at).await,
    }
}

/// Writes entries in order, an answer each.
pub(crate) async fn write_all(
    conn: &mut PgConnection,
    entries: &[Entry],
) -> Result<Vec<Result<Written, Refused>>, Fault> {
    lock(conn).await?;
    let mut answers = Vec::with_capacity(entries.len());
    for entry in entries {
        answers.push(write(conn, entry).await?);
    }
    Ok(answers)
}
