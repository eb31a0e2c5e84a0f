//! What the bank needs: a place where the ledger is kept, and a treasury on chain.

use crate::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Purpose, Refused, Routes, StatementFilter,
    StatementLine, Totals, TransferId, UsageFilter, UsageLine, Written,
};
use async_trait::async_trait;
use neofn_types::{Datoshi, Digest, Hash256, ProjectName, ScriptHash, UnixMillis};
use std::collections::BTreeSet;

/// Storage of the ledger failed; nothing was written, or at least nothing was promised.
#[derive(Debug, thiserror::Error)]
#[error("ledger store")]
pub struct LedgerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How far the treasury's movements were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainMark {
    /// The next block that is needed.
    pub next: u64,
}

/// Blocks that were read.
#[derive(Debug, Clone)]
pub struct ChainStep {
    /// Which network.
    pub network: u32,
    /// The mark before; none: there is none yet. The step is refused when it is another one.
    pub from: Option<ChainMark>,
    /// The mark after.
    pub next: u64,
    /// What moved.
    pub entries: Vec<Entry>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stepped {
    /// Mark and entries are on disk.
    Done(Vec<Result<Written, Refused>>),
    /// Somebody was faster: this is the mark. Nothing was written.
    Elsewhere(Option<ChainMark>),
}

/// Which holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldFilter {
    /// Of this purpose.
    pub purpose: Purpose,
    /// Of this project alone.
    pub project: Option<ProjectName>,
    /// Only those that have something left.
    pub open: bool,
    /// At most.
    pub limit: u32,
}

/// Where the ledger is kept. Every change is on disk when it is answered, and every backend keeps the rules of
/// [`crate::ledger::State`] in the same transaction.
#[async_trait]
pub trait LedgerStore: Send + Sync + 'static {
    /// Writes entries in one transaction, in order, an answer each. What is refused leaves no trace and stops no other.
    /// Accounts exist from their first entry on. Who does not wait for the answer, or gets an error, does not know whether it
    /// is written; but a later write finds it written, or it never will be.
    async fn write(&self, entries: Vec<Entry>) -> Result<Vec<Result<Written, Refused>>, LedgerError>;
    /// One account; none before its first entry.
    async fn account(&self, account: &Account) -> Result<Option<AccountRow>, LedgerError>;
    /// Accounts by name, after one of them.
    async fn accounts(&self, after: Option<&Account>, limit: u32) -> Result<Vec<AccountRow>, LedgerError>;
    /// One transfer, as its debit account sees it, with that account.
    async fn transfer(&self, id: TransferId) -> Result<Option<(Account, StatementLine)>, LedgerError>;
    /// What moved on an account, newest first.
    async fn statement(
        &self,
        account: &Account,
        filter: StatementFilter,
    ) -> Result<Vec<StatementLine>, LedgerError>;
    /// One hold, ended or not.
    async fn hold(&self, id: TransferId) -> Result<Option<HoldRow>, LedgerError>;
    /// Holds; the open ones oldest first, all of them newest first.
    async fn holds(&self, filter: HoldFilter) -> Result<Vec<HoldRow>, LedgerError>;
    /// What was used.
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageLine>, LedgerError>;
    /// Sets a budget; what was spent of the one before it counts on.
    async fn set_budget(&self, budget: Budget, at: UnixMillis) -> Result<(), LedgerError>;
    /// Takes a budget away; whether there was one. Its limit does not matter.
    async fn remove_budget(&self, budget: Budget) -> Result<bool, LedgerError>;
    /// The budgets of a project and of its functions.
    async fn budgets(&self, project: &ProjectName, at: UnixMillis) -> Result<Vec<BudgetRow>, LedgerError>;
    /// Budgets that crossed a threshold, newest first.
    async fn alerts(&self, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, LedgerError>;
    /// What a project agreed to, as its caller encodes it; none: nothing.
    async fn policy(&self, project: &ProjectName) -> Result<Option<String>, LedgerError>;
    /// Sets it.
    async fn set_policy(&self, project: &ProjectName, policy: String) -> Result<(), LedgerError>;
    /// Projects with a policy.
    async fn policies(&self) -> Result<Vec<(ProjectName, String)>, LedgerError>;
    /// Every address that was said to be somebody's; the treasury itself is not among them.
    async fn routes(&self) -> Result<Routes, LedgerError>;
    /// How far the chain was read.
    async fn mark(&self, network: u32) -> Result<Option<ChainMark>, LedgerError>;
    /// Writes what blocks say and moves the mark, together.
    async fn step(&self, step: ChainStep) -> Result<Stepped, LedgerError>;
    /// Sums over everything: slow on a large ledger.
    async fn totals(&self) -> Result<Totals, LedgerError>;
    /// Forgets up to `limit` holds of invocations and leases that ended before; answers how many.
    async fn prune_holds(&self, before: UnixMillis, limit: u32) -> Result<u32, LedgerError>;
}

/// Which projects there are: a deposit for one that does not exist is nobody's.
#[async_trait]
pub trait Projects: Send + Sync + 'static {
    /// Whether there is one of this name.
    async fn exists(&self, project: &ProjectName) -> Result<bool, LedgerError>;
    /// The person who made it; none where an operator's key did.
    async fn maker(&self, _project: &ProjectName) -> Result<Option<ScriptHash>, LedgerError> {
        Ok(None)
    }
}

/// GAS to be sent, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// In whose name.
    pub project: ProjectName,
    /// What it must happen once for.
    pub idempotency: Digest,
    /// To whom.
    pub to: ScriptHash,
    /// How much.
    pub amount: Datoshi,
    /// The most that its fees may be.
    pub fee_max: Datoshi,
}

/// Names a transaction that the treasury's manager knows, or may come to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentName {
    /// A payment of this bank.
    Payment {
        /// In whose name.
        project: ProjectName,
        /// What it must happen once for.
        idempotency: Digest,
    },
    /// A transaction that a project asked for, by the manager's own id.
    Managed([u8; 16]),
}

/// How far a payment came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// It may be on chain one day.
    Waiting {
        /// Its name on chain, once it is signed.
        tx: Option<Hash256>,
    },
    /// In a block, and it did what it should.
    Paid {
        /// Its name on chain.
        tx: Hash256,
        /// What it burnt.
        fees: Datoshi,
    },
    /// In a block, and it only burnt its fees.
    Faulted {
        /// Its name on chain.
        tx: Hash256,
        /// What it burnt.
        fees: Datoshi,
    },
    /// It is on no chain and never will be.
    Never,
}

/// Why there is no payment.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// Nothing was signed; asking again will be refused again.
    #[error("{0}")]
    Refused(String),
    /// Not known, or not now.
    #[error("{0}")]
    Later(String),
}

/// The operator's accounts on chain. A signer that is disabled answers [`PaymentError::Later`].
#[async_trait]
pub trait Treasury: Send + Sync + 'static {
    /// Which network.
    fn network(&self) -> u32;
    /// Whether payments are signed at all at this time; else why not. A signer that nothing holds back always is.
    fn ready(&self) -> Result<(), PaymentError> {
        Ok(())
    }
    /// The account that pays and is paid; none while there is none.
    async fn account(&self) -> Result<Option<ScriptHash>, PaymentError>;
    /// The GAS that accounts have, and the height of which that is true.
    async fn balance(&self, accounts: &[ScriptHash]) -> Result<(u64, Datoshi), PaymentError>;
    /// Sees to it that there is one transaction for the payment's name.
    async fn pay(&self, payment: Payment) -> Result<PaymentState, PaymentError>;
    /// The GAS that a transaction in a block moved from these accounts to others, without its fees. Nothing, when it
    /// faulted.
    async fn moved(&self, tx: Hash256, ours: &BTreeSet<ScriptHash>) -> Result<Datoshi, PaymentError>;
    /// How far one came; none: the manager has never heard of it.
    async fn state(&self, name: &PaymentName) -> Result<Option<PaymentState>, PaymentError>;
}
