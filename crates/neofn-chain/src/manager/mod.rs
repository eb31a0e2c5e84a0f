//! Transactions that are sent once: whatever fails, is repeated or is killed in between, what was asked for under one
//! idempotency key is on chain at most once, and its fate is known in the end.

mod build;
mod cosign;
mod leaving;
pub mod machine;
mod record;
mod replace;
#[cfg(test)]
mod simulation;
mod transactions;

pub use leaving::Leaving;
pub use record::{Bearer, Outcome, Request, RequestSigner, TxId, TxRecord, TxState};
pub use replace::Replacement;
pub use transactions::{Report, Transactions, TransactionsOptions, Until};

use crate::error::ChainError;
use crate::port::TxStoreError;
use crate::signer::SignError;
use neofn_types::{Code, Datoshi, Error};

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TxError {
    /// The chain, or what it says of the script.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The signer.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store.
    #[error(transparent)]
    Store(#[from] TxStoreError),
    /// It costs more than allowed.
    #[error("the transaction would cost {fees} GAS; at most {max} GAS are allowed")]
    FeeTooHigh {
        /// Predicted.
        fees: Datoshi,
        /// Allowed.
        max: Datoshi,
    },
    /// The sender cannot pay it beside what it has to pay already.
    #[error(
        "{sender} has {balance} GAS, of which {pending} GAS are set aside for waiting transactions; this one needs {fees} GAS"
    )]
    Funds {
        /// As an address.
        sender: String,
        /// What it has.
        balance: Datoshi,
        /// Of that, what is set aside.
        pending: Datoshi,
        /// What is needed.
        fees: Datoshi,
    },
    /// Something in the request cannot be.
    #[error("{0}")]
    Request(String),
    /// The same key came before for something else.
    #[error("transaction {0} was asked for under the same key, and is another one")]
    Mismatch(TxId),
    /// There is no such transaction.
    #[error("there is no transaction {0}")]
    Unknown(TxId),
    /// It is too early or too late to replace it.
    #[error("{0}")]
    NotReplaceable(String),
    /// A witness that is not one.
    #[error("{0}")]
    Cosignature(String),
    /// Nobody bears what it would take.
    #[error("{}", .0.message)]
    Uncovered(Error),
    /// Whether somebody bears it is not known now.
    #[error("{}", .0.message)]
    CoverUnknown(Error),
    /// A defect of ours.
    #[error(transparent)]
    Machine(#[from] machine::Impossible),
}
impl TxError {
    /// Where the catalogue describes it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Chain(e) => e.code(),
            Self::Sign(e) => e.code(),
            Self::Store(_) => Code::StoreFailed,
            Self::FeeTooHigh { .. } => Code::FeeTooHigh,
            Self::Funds { .. } => Code::InsufficientFunds,
            Self::Request(_) => Code::TransactionInvalid,
            Self::Mismatch(_) => Code::IdempotencyMismatch,
            Self::Unknown(_) => Code::NoSuchTransaction,
            Self::NotReplaceable(_) => Code::NotReplaceable,
            Self::Cosignature(_) => Code::CosignatureInvalid,
            Self::Uncovered(e) | Self::CoverUnknown(e) => e.code,
            Self::Machine(_) => Code::Internal,
        }
    }
}
impl From<TxError> for Error {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Store(e) => Self::new(Code::StoreFailed, "storage unavailable").because(e),
            TxError::Machine(e) => Self::internal(e),
            TxError::Uncovered(e) | TxError::CoverUnknown(e) => e,
            other => Self::new(other.code(), other.to_string()),
        }
    }
}
