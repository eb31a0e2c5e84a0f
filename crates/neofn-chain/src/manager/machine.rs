//! The rules by which a transaction moves, without any input or output: what to do next, and what each answer changes.
//!
//! The rule above all: bytes that may have been sent are forgotten only once they are proved to be on no chain and
//! unable to come there. In doubt the same bytes are sent again.

use super::Leaving;
use super::record::{Outcome, TxRecord, TxState};
use crate::model::{Presence, Sent};
use crate::tx::Transaction;
use neofn_types::{Datoshi, Hash256, ScriptHash};

/// Blocks after the last one that could have taken a transaction before it may count as absent: a node that is asked
/// is then well past it, and so are those that feed it.
pub(super) const PROOF_BLOCKS: u64 = 2;
/// How often one that was never signed is built anew beyond the renewals that were asked for: a signer that refuses
/// it refuses the next one as well.
const UNSIGNED_RENEWALS_MAX: u32 = 3;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Have the unsigned bytes signed.
    Sign,
    /// Send the signed bytes, again or for the first time.
    Send,
    /// Ask what became of it, and what of the one it replaces.
    Look,
    /// Have it proved that it is on no chain, by nodes that have the last block that could have taken it.
    Prove,
    /// Build a new one: this one was never sent, or is proved to be on no chain.
    Renew,
    /// Give it up: it was never signed, however often it was built.
    GiveUp,
    /// Nothing before the next block, or a co-signature.
    Wait,
    /// Nothing ever again.
    Done,
}

/// A freshly built transaction, not yet signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its name.
    pub hash: Hash256,
    /// Who pays.
    pub sender: ScriptHash,
    /// For execution.
    pub system_fee: Datoshi,
    /// For size and witnesses.
    pub network_fee: Datoshi,
    /// The last height at which a block may take it.
    pub valid_until: u64,
    /// What it would take out of accounts that are held here.
    pub leaving: Vec<Leaving>,
}
impl From<&Transaction> for Unsigned {
    fn from(transaction: &Transaction) -> Self {
        Self {
            leaving: Vec::new(),
            bytes: transaction.unsigned_bytes(),
            hash: transaction.hash(),
            sender: transaction.sender().unwrap_or(ScriptHash([0; 20])),
            system_fee: transaction.system_fee,
            network_fee: transaction.network_fee,
            valid_until: transaction.valid_until.into(),
        }
    }
}

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The bytes with all witnesses.
    Signed(Vec<u8>),
    /// A node's answer to the bytes.
    Sent(Sent),
    /// A node's refusal; what it means for this transaction is found out by looking.
    NotTaken(String),
    /// It is in a block.
    Mined(Outcome),
    /// Asked for at a height before its last: nodes have it, or have it not.
    Seen(Presence),
    /// The only node there is does not have it at this height. It has to say so again at a later one: behind its address
    /// there may be several nodes.
    Missing {
        /// The newest block then.
        at: u64,
    },
    /// Nodes that are past its last block do not have it.
    ProvedAbsent {
        /// How many.
        witnesses: u32,
    },
    /// Another transaction that excludes this one is in a block.
    Superseded(String),
    /// A new one was built in its place.
    Renewed(Unsigned),
    /// No new one can be built.
    NotRenewed(String),
}

/// A fact that does not fit the state: a defect of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a transaction that is {state} cannot learn that {fact}")]
pub struct Impossible {
    state: TxState,
    fact: String,
}

/// What counts beside the transaction itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The height of the newest block.
    pub head: u64,
    /// Whether this block was looked at already.
    pub looked: bool,
    /// Whether another one may still take its place.
    pub contested: bool,
}

/// What to do with a transaction.
#[must_use]
pub fn next(record: &TxRecord, known: Known) -> Step {
    let Known {
        head,
        looked,
        contested,
    } = known;
    let over = head >= record.valid_until;
    // while another may do what this one was to do, it is not over with this one's absence
    let provable = !contested
        && head >= record.valid_until.saturating_add(PROOF_BLOCKS)
        && record.missing_at.is_none_or(|at| head > at);
    let built_too_often = record.attempt > record.request.renewals.saturating_add(UNSIGNED_RENEWALS_MAX);
    match record.state {
        TxState::Mined | TxState::Expired | TxState::Replaced => Step::Done,
        // it never left this process
        TxState::Built | TxState::Reserved if over && built_too_often => Step::GiveUp,
        TxState::Built | TxState::Reserved if over => Step::Renew,
        TxState::Built | TxState::Reserved if record.awaited().is_empty() => Step::Sign,
        TxState::Built | TxState::Reserved => Step::Wait,
        TxState::Signed if !over && !looked => Step::Send,
        TxState::Signed | TxState::Broadcast if looked => Step::Wait,
        TxState::Signed | TxState::Broadcast if provable => Step::Prove,
        TxState::Signed | TxState::Broadcast => Step::Look,
    }
}

/// Moves `record` by a fact. On an error it is unchanged.
pub fn apply(record: &mut TxRecord, fact: Fact) -> Result<(), Impossible> {
    let impossible = || {
        let fact: String = format!("{fact:?}").chars().take(60).collect();
        Err(Impossible {
            state: record.state,
            fact,
        })
    };
    match (&fact, record.state) {
        (Fact::Signed(_), TxState::Reserved)
        | (Fact::Renewed(_) | Fact::NotRenewed(_), TxState::Reserved)
        | (
            Fact::Sent(_)
            | Fact::NotTaken(_)
            | Fact::Seen(_)
            | Fact::Mined(_)
            | Fact::Missing { .. }
            | Fact::ProvedAbsent { .. },
            TxState::Signed | TxState::Broadcast,
        )
        | (Fact::Superseded(_), TxState::Reserved | TxState::Signed | TxState::Broadcast) => {}
        _ => return impossible(),
    }
    match fact {
        Fact::Signed(raw) => {
            record.raw = Some(raw);
            record.state = TxState::Signed;
        }
        Fact::Sent(_) => {
            record.state = TxState::Broadcast;
            record.reason = None;
        }
        Fact::NotTaken(why) => record.reason = Some(why),
        // not known where it was sent: the same bytes again
        Fact::Seen(Presence::Absent { .. }) => record.state = TxState::Signed,
        Fact::Seen(Presence::Pooled | Presence::OnChain(_)) => {
            record.missing_at = None;
            record.state = TxState::Broadcast;
        }
        Fact::Mined(outcome) => {
            record.reason = None;
            record.outcome = Some(outcome);
            record.state = TxState::Mined;
        }
        Fact::Missing { at } => record.missing_at = Some(at),
        Fact::ProvedAbsent { witnesses } => proved_absent(record, witnesses),
        Fact::Superseded(by) => {
            record.reason = Some(by);
            record.state = TxState::Replaced;
        }
        Fact::Renewed(new) => renewed(record, new),
        Fact::NotRenewed(why) => {
            record.reason = Some(why);
            record.state = TxState::Expired;
        }
    }
    Ok(())
}

/// It is on no chain and can come on none. From here on its bytes may be forgotten: back to where nothing was sent,
/// so that a new one is built, or the end.
fn proved_absent(record: &mut TxRecord, witnesses: u32) {
    record.reason = Some(format!(
        "expired with block {}: {}",
        record.valid_until,
        if witnesses == 1 {
            "the only node configured said twice that it does not have it".to_owned()
        } else {
            format!("{witnesses} nodes past that block do not have it")
        }
    ));
    let renewable = record.attempt <= record.request.renewals
        && record.replaces.is_none()
        && record.replaced_by.is_none();
    if renewable {
        record.earlier.push(record.hash);
        record.raw = None;
        record.state = TxState::Reserved;
    } else {
        record.state = TxState::Expired;
    }
}

fn renewed(record: &mut TxRecord, new: Unsigned) {
    record.hash = new.hash;
    record.sender = new.sender;
    record.unsigned = new.bytes;
    record.cosigned.clear();
    record.raw = None;
    record.system_fee = new.system_fee;
    record.network_fee = new.network_fee;
    record.valid_until = new.valid_until;
    record.leaving = new.leaving;
    record.missing_at = None;
    record.attempt += 1;
}
