//! The port: what neofn asks of a chain. Another chain would implement it; [`crate::pool::Pool`] does for Neo N3.

use crate::error::ChainError;
use crate::manager::{TxId, TxRecord};
use crate::model::{
    Block, BlockName, ContractState, Execution, FoundTransaction, Head, Invocation, NetworkId, NodeStatus,
    Policy, Presence, Sent, Session,
};
use crate::stack::StackItem;
use async_trait::async_trait;
use neofn_types::{Datoshi, Error, Hash256, ProjectName, ScriptHash};
use std::ops::Range;
use tokio::sync::watch;

/// Whose witness a script may count on when it is tried out. Mirrors what a transaction would carry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Caller {
    /// The account.
    pub account: ScriptHash,
    /// As nodes write it: `CalledByEntry`, `CustomContracts`, `Global`, `None`.
    pub scopes: String,
    /// With `CustomContracts`: where it counts.
    #[serde(rename = "allowedcontracts", skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<ScriptHash>,
}
impl Caller {
    /// A witness that counts in the contract that is called first, and nowhere else.
    #[must_use]
    pub fn by_entry(account: ScriptHash) -> Self {
        Self {
            account,
            scopes: "CalledByEntry".to_owned(),
            contracts: Vec::new(),
        }
    }
}

/// A chain. Every method may be called at any time from anywhere; what fails because of one node has been tried on
/// others before it fails here.
#[async_trait]
pub trait Chain: Send + Sync + 'static {
    /// Which network this is.
    fn network(&self) -> NetworkId;

    /// Follows the newest block. A wake-up and no more: heights may be skipped, and the first value is that of the start.
    fn watch(&self) -> watch::Receiver<Head>;

    /// How each node does.
    fn nodes(&self) -> Vec<NodeStatus>;

    /// The newest block that is known here, without asking anybody.
    fn head(&self) -> Head {
        *self.watch().borrow()
    }

    /// One block with all that happened in it.
    async fn block(&self, height: u64) -> Result<Block, ChainError>;

    /// Blocks in order of height, each continuing the one before; at most [`BLOCKS_MAX`] are answered, fewer at the
    /// head and at least one when the first exists.
    async fn blocks(&self, heights: Range<u64>) -> Result<Vec<Block>, ChainError>;

    /// What each node in use calls the block of a height; those that have it not, or cannot be asked, are left out.
    async fn block_names(&self, height: u64) -> Vec<BlockName>;

    /// A transaction, wherever it is.
    async fn transaction(&self, hash: Hash256) -> Result<FoundTransaction, ChainError>;

    /// As [`Chain::transaction`], but that one is in a block is not one node's word where there are more: block, height and
    /// how it ended are what two of them say. Until they do, it is not in a block.
    async fn settled(&self, hash: Hash256) -> Result<FoundTransaction, ChainError>;

    /// What a transaction in a block did.
    async fn application_log(&self, transaction: Hash256) -> Result<Vec<Execution>, ChainError>;

    /// Whether nodes know a transaction. Absence counts only when nodes that have the block `after` say so, two of
    /// them where two are configured; with fewer this is an error, because it is not known.
    async fn presence(&self, transaction: Hash256, after: u64) -> Result<Presence, ChainError>;

    /// Tries a script against the present state.
    async fn invoke_script(&self, script: &[u8], callers: &[Caller]) -> Result<Invocation, ChainError>;

    /// Calls a method against the present state, read-only.
    async fn invoke_read(
        &self,
        contract: ScriptHash,
        method: &str,
        arguments: &[StackItem],
    ) -> Result<Invocation, ChainError>;

    /// The next items of an iterator; fewer than `count` at its end.
    async fn iterate(
        &self,
        session: &Session,
        iterator: &str,
        count: u32,
    ) -> Result<Vec<StackItem>, ChainError>;

    /// Gives an iterator's session up.
    async fn end_session(&self, session: &Session) -> Result<(), ChainError>;

    /// Sends signed bytes to two or more nodes where there are so many. Sending the same bytes again is harmless.
    async fn send(&self, transaction: &[u8]) -> Result<Sent, ChainError>;

    /// What a node computes as the network fee of a transaction.
    async fn network_fee(&self, transaction: &[u8]) -> Result<Datoshi, ChainError>;

    /// Fees and times as they are now; at most some seconds old.
    async fn policy(&self) -> Result<Policy, ChainError>;

    /// A contract; none when there is none.
    async fn contract_state(&self, contract: ScriptHash) -> Result<Option<ContractState>, ChainError>;

    /// How much of a fungible token an account has, in the token's smallest unit.
    async fn balance(&self, token: ScriptHash, account: ScriptHash)
    -> Result<num_bigint::BigInt, ChainError>;
}

/// Blocks that one call of [`Chain::blocks`] answers at most.
pub const BLOCKS_MAX: u64 = 500;

/// Storage of managed transactions failed.
#[derive(Debug, thiserror::Error)]
#[error("transaction store")]
pub struct TxStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What came of a reservation.
#[derive(Debug, Clone, PartialEq)]
pub enum Reserved {
    /// It is new, and its fees are set aside.
    New,
    /// There was one of this id already; nothing changed.
    Existing(Box<TxRecord>),
    /// The sender's waiting transactions need so much already that this one does not fit.
    OverBudget {
        /// What they need.
        pending: Datoshi,
    },
}

/// Where managed transactions are kept. Every change is on disk when it is answered.
#[async_trait]
pub trait TxStore: Send + Sync + 'static {
    /// Takes a new transaction, unless there is one of its id, or the fees of its sender's transactions that have not
    /// ended would be more than `balance` with it. The fees of one that it replaces
    /// do not count: only one of the two is ever paid. That one is marked as being replaced, in the same step; unless
    /// [`TxRecord::can_replace`] holds of it, nothing changes and the answer is [`Reserved::Existing`] with it.
    async fn reserve(&self, record: TxRecord, balance: Datoshi) -> Result<Reserved, TxStoreError>;
    /// Replaces a transaction by its next revision; whether that was still the one before. Nothing changes otherwise.
    async fn advance(&self, record: TxRecord) -> Result<bool, TxStoreError>;
    /// Forgets a reserved transaction of this revision, which nobody signed; whether it was there.
    async fn abandon(&self, id: TxId, revision: u64) -> Result<bool, TxStoreError>;
    /// One transaction.
    async fn transaction(&self, id: TxId) -> Result<Option<TxRecord>, TxStoreError>;
    /// Those that have not ended, oldest first.
    async fn open_transactions(&self, limit: u32) -> Result<Vec<TxRecord>, TxStoreError>;
    /// A project's, newest first, from before one of them.
    async fn transactions(
        &self,
        project: &ProjectName,
        before: Option<TxId>,
        limit: u32,
    ) -> Result<Vec<TxRecord>, TxStoreError>;
}

/// Why a transaction is not signed.
#[derive(Debug)]
pub enum Uncovered {
    /// Nobody bears what it would take; asking again is refused again until something changes.
    Refused(Error),
    /// Not known now; nothing is signed until it is.
    Later(Error),
}

/// Who sees to it that somebody bears what a transaction takes out of the platform's accounts: fees, and what it gives away.
#[async_trait]
pub trait Cover: Send + Sync + 'static {
    /// Sets aside what the transaction as it is built now would take. Asked for before each signature, of a transaction
    /// that is on disk; asking again changes nothing while it needs no more.
    async fn cover(&self, record: &TxRecord) -> Result<(), Uncovered>;
    /// Gives back what was set aside for one that was forgotten before anything was signed.
    async fn release(&self, id: TxId);
}
