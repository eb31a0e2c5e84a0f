//! What can go wrong between us and a chain.

use neofn_types::{Code, Error, Hash256};

/// An error of a chain or of what leads to it.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No node could be asked. The text says of each what is wrong.
    #[error("no chain node answers: {0}")]
    Unreachable(String),
    /// An answer that cannot be read.
    #[error("{node} answered {what}")]
    Answer {
        /// Which node.
        node: String,
        /// What is wrong with it.
        what: String,
    },
    /// A node of another network.
    #[error("{node} is on network {found}, not {expected}")]
    Network {
        /// Which node.
        node: String,
        /// Its network.
        found: u32,
        /// Ours.
        expected: String,
    },
    /// Nodes that name several networks.
    #[error("the nodes are not on one network: {said}")]
    Networks {
        /// What each of them says.
        said: String,
    },
    /// A block that does not continue the one before it.
    #[error("block {height} continues {found}, but block {} is {expected}", height.saturating_sub(1))]
    Forked {
        /// The later block's.
        height: u64,
        /// The block before, as known.
        expected: Hash256,
        /// What the later block says.
        found: Hash256,
    },
    /// A node's refusal, in its own words.
    #[error("{message}")]
    Refused {
        /// What it means.
        why: Refusal,
        /// The code of JSON-RPC.
        rpc: i64,
        /// The node's words.
        message: String,
    },
    /// A script that would end with an exception.
    #[error("the script would fault: {0}")]
    Fault(String),
    /// Something about a contract, its methods or arguments that is known without asking a node.
    #[error("{1}")]
    Contract(Refusal, String),
    /// The development chain.
    #[error("development chain: {0}")]
    Dev(String),
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No block of this height.
    UnknownBlock,
    /// No such transaction.
    UnknownTransaction,
    /// No such contract.
    UnknownContract,
    /// No such method, or other parameters.
    Method,
    /// `valid_until` has passed, or lies too far ahead.
    Expired,
    /// Cannot pay.
    Funds,
    /// The transaction breaks a rule: a fee, a signature, a limit.
    Invalid,
    /// The node's pool has no room, or another rule of its own.
    Pool,
    /// The session of an iterator is gone.
    Session,
    /// Something else.
    Other,
}

impl ChainError {
    /// Where the catalogue describes it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable(_) => Code::ChainUnreachable,
            Self::Answer { .. } => Code::ChainAnswer,
            Self::Network { .. } | Self::Networks { .. } => Code::ChainNetwork,
            Self::Forked { .. } => Code::ChainForked,
            Self::Fault(_) => Code::ScriptFault,
            Self::Dev(_) => Code::DevChainFailed,
            Self::Refused { why, .. } | Self::Contract(why, _) => match why {
                Refusal::UnknownBlock => Code::BlockNotFound,
                Refusal::UnknownTransaction => Code::TransactionNotFound,
                Refusal::UnknownContract => Code::ContractNotFound,
                Refusal::Method => Code::ContractMethod,
                Refusal::Expired => Code::TransactionExpired,
                Refusal::Funds => Code::InsufficientFunds,
                Refusal::Invalid | Refusal::Pool => Code::TransactionInvalid,
                Refusal::Session => Code::IteratorEnded,
                Refusal::Other => Code::ChainRefused,
            },
        }
    }
    /// What a refusal means; none for everything else.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { why, .. } | Self::Contract(why, _) => Some(*why),
            _ => None,
        }
    }
    /// Whether another node may do better: the node failed, not the request.
    #[must_use]
    pub fn is_the_nodes_fault(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Answer { .. } | Self::Network { .. } | Self::Forked { .. }
        )
    }
}
impl From<ChainError> for Error {
    fn from(error: ChainError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
