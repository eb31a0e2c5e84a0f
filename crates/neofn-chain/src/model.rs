//! What a chain tells: blocks, transactions, executions, notifications.
//!
//! The names are neutral, so that a second chain could fill them; amounts, hashes and values are those of `neofn-types`
//! and [`crate::stack`]. Knows nothing of how a node says it.

use crate::stack::StackItem;
use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which network: the number that is part of every signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub u32);
impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its height; the first block has 0.
    pub height: u64,
    /// Its name.
    pub hash: Hash256,
    /// When it was made.
    pub time: UnixMillis,
}

/// A block with everything that its execution did. One that was seen is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// 0 is the first.
    pub height: u64,
    /// Its name.
    pub hash: Hash256,
    /// The block before it; of the first one [`Hash256::ZERO`].
    pub previous: Hash256,
    /// When it was made.
    pub time: UnixMillis,
    /// Bytes.
    pub size: u32,
    /// In the order in which they were executed.
    pub transactions: Vec<TransactionInfo>,
    /// What the block itself executed, in order: before its transactions, and after them.
    pub executions: Vec<Execution>,
}
impl Block {
    /// As a head.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            height: self.height,
            hash: self.hash,
            time: self.time,
        }
    }
}

/// What one node calls a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockName {
    /// The node, as [`NodeStatus::url`] names it.
    pub node: String,
    /// The block's name.
    pub hash: Hash256,
}

/// A transaction, and once it is in a block what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionInfo {
    /// Its name.
    pub hash: Hash256,
    /// Who pays the fees: the first signer.
    pub sender: ScriptHash,
    /// Who agreed, and to what.
    pub signers: Vec<SignerInfo>,
    /// What it runs.
    pub script: Vec<u8>,
    /// Paid for execution.
    pub system_fee: Datoshi,
    /// Paid for size and signatures.
    pub network_fee: Datoshi,
    /// The last height at which it may be taken into a block.
    pub valid_until: u64,
    /// Chosen by whoever built it.
    pub nonce: u32,
    /// Bytes.
    pub size: u32,
    /// Kinds of its attributes, as nodes write them: `HighPriority`, `Conflicts`, ...
    pub attributes: Vec<String>,
    /// What running it did; empty while it waits for a block.
    pub executions: Vec<Execution>,
}

/// One who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerInfo {
    /// Whose signature.
    pub account: ScriptHash,
    /// Where it counts, as nodes write it: `CalledByEntry`, `Global`, `None`, or several joined by a comma.
    pub scopes: String,
}

/// What is known of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTransaction {
    /// With its executions once it is in a block.
    pub transaction: TransactionInfo,
    /// The block that it is in; none while it waits.
    pub included: Option<Inclusion>,
}
/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    /// Height of its block.
    pub height: u64,
    /// Name of its block.
    pub block: Hash256,
    /// When that was made.
    pub time: UnixMillis,
}

/// Why a script ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionTrigger {
    /// The block's own, before its transactions.
    OnPersist,
    /// The block's own, after its transactions.
    PostPersist,
    /// A transaction.
    Application,
    /// The check of a witness.
    Verification,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VmState {
    /// Regularly.
    Halt,
    /// By an exception: nothing changed but the fees.
    Fault,
}
impl VmState {
    /// `HALT` or `FAULT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Halt => "HALT",
            Self::Fault => "FAULT",
        }
    }
}
impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A script that ran on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Why.
    pub trigger: ExecutionTrigger,
    /// How it ended.
    pub state: VmState,
    /// What it burnt.
    pub gas: Datoshi,
    /// Why it faulted.
    pub exception: Option<String>,
    /// What it left behind.
    pub stack: Vec<StackItem>,
    /// What contracts said meanwhile. Of a faulted one they never happened.
    pub notifications: Vec<Notification>,
}

/// Something that a contract said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Which contract.
    pub contract: ScriptHash,
    /// The name of the event.
    pub name: String,
    /// Its parameters, in the order of the manifest. Empty when they are nested deeper than is read
    /// ([`crate::stack::DEPTH_MAX`]); nobody may stop a reader by what it says.
    pub state: Vec<StackItem>,
}

/// A script run against the present state, changing nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// How it ended.
    pub state: VmState,
    /// What it would burn.
    pub gas: Datoshi,
    /// Why it faulted.
    pub exception: Option<String>,
    /// What it left behind.
    pub stack: Vec<StackItem>,
    /// What contracts would have said.
    pub notifications: Vec<Notification>,
    /// Where its iterators can be read on; none when it left none, or the node gave their first items with the answer.
    pub session: Option<Session>,
}

/// Where iterators are kept. They live for a short time, on the one node that ran the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// That node, as [`NodeStatus::url`] names it.
    pub node: String,
    /// What the node calls it.
    pub id: String,
}

/// What the chain decides about fees and time. It changes by vote, so it is asked for and never assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Network fee of one byte.
    pub fee_per_byte: Datoshi,
    /// Factor of every instruction's price.
    pub exec_fee_factor: u32,
    /// Price of a stored byte.
    pub storage_price: u32,
    /// Network fee of one Conflicts attribute, per signer.
    pub conflicts_fee: Datoshi,
    /// Time between blocks.
    pub block_ms: u64,
    /// How far ahead `valid_until` may lie, in blocks.
    pub valid_until_increment_max: u32,
}

/// What became of sent bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Taken.
    Accepted,
    /// The very same transaction was waiting already: sending it again was no mistake.
    AlreadyPooled,
    /// The very same transaction is in a block already.
    AlreadyOnChain,
}

/// Whether the nodes know a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In this block.
    OnChain(Inclusion),
    /// Waiting in some node's pool.
    Pooled,
    /// Known to none of so many nodes, each of which has at least the height that was asked for.
    Absent {
        /// How many said so.
        witnesses: u32,
    },
}

/// A contract as it is deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractState {
    /// Where.
    pub hash: ScriptHash,
    /// The chain's own number; negative for native ones.
    pub id: i64,
    /// How often it was updated.
    pub updates: u32,
    /// Its script.
    pub script: Vec<u8>,
    /// Its manifest, as the node wrote it (NEP-15).
    pub manifest: serde_json::Value,
}

/// How one node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Without credentials.
    pub url: String,
    /// What kind, as it says itself: `/NEO-GO:0.105.1/`.
    pub agent: Option<String>,
    /// Its newest block.
    pub height: Option<u64>,
    /// Blocks behind the best node.
    pub lag: u64,
    /// Of recent requests, smoothed.
    pub latency_ms: u64,
    /// Share of recent requests that failed, in thousandths.
    pub errors_per_mille: u32,
    /// Whether it announces blocks; otherwise it is asked.
    pub subscribed: bool,
    /// Why it is not used; none when it is.
    pub ejected: Option<String>,
}
