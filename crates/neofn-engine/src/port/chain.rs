//! What functions ask of a chain: one transaction for each call of a name. Knows no node and no wallet.

use async_trait::async_trait;
use neofn_chain::stack::StackItem;
use neofn_types::{Datoshi, Digest, Error, FunctionKey, Hash256, InvocationId, ProjectName, ScriptHash};

/// A transaction that a function asks for: one call of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRequest {
    /// Who asks.
    pub key: FunctionKey,
    /// In which invocation.
    pub invocation: InvocationId,
    /// The name of this very call: however often it is asked for, it is one transaction.
    pub idempotency: Digest,
    /// Which contract; the function's grant names it.
    pub contract: ScriptHash,
    /// Which method; the contract's manifest has it, with so many parameters.
    pub method: String,
    /// In the machine's form.
    pub arguments: Vec<StackItem>,
    /// Whether an answer of false is a failure.
    pub must_be_true: bool,
    /// The most that system and network fee may be together. Does not matter when the name is known already.
    pub fee_max: Datoshi,
}

/// A transaction as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReceipt {
    /// What `neofn tx` takes; none for one that was only tried out.
    pub id: Option<String>,
    /// Its name on chain; none before it is signed.
    pub hash: Option<Hash256>,
    /// Where it is: `broadcast`, `halt`, `fault`, `expired`, `dry-run`, ...
    pub state: String,
    /// System and network fee.
    pub fee: Datoshi,
    /// The last height at which it can be taken into a block.
    pub valid_until: Option<u64>,
    /// The block that it is in.
    pub height: Option<u64>,
}

/// Builds, signs, sends and follows transactions in the name of projects.
#[async_trait]
pub trait ChainWriter: Send + Sync + 'static {
    /// The account that pays and signs for a project; none when it has none.
    async fn account(&self, project: &ProjectName) -> Option<ScriptHash>;
    /// What would come of it. Signs and sends nothing.
    async fn dry_run(&self, request: ChainRequest) -> Result<ChainReceipt, Error>;
    /// Sees to it that there is one transaction for the request's name. When this returns it is on disk, and was
    /// sent or will be: dropping the future, or dying, loses nothing and doubles nothing.
    async fn submit(&self, request: ChainRequest) -> Result<ChainReceipt, Error>;
    /// Waits until a transaction has come to an end.
    async fn confirm(&self, id: &str) -> Result<ChainReceipt, Error>;
}
