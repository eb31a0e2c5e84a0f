//! Why the bank did not do something, with its code. Knows no transport.

use crate::ledger::Refused;
use crate::port::{LedgerError, PaymentError};
use crate::purse::ReserveError;
use neofn_types::{Code, Error, ScriptHash};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The ledger's rules.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store.
    #[error(transparent)]
    Store(#[from] LedgerError),
    /// The chain's side.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// There is no account on chain to pay to or from.
    #[error("this node has no account on chain, so there are neither deposits nor withdrawals")]
    NoTreasury,
    /// A transaction would give away what is not the project's.
    #[error(
        "the transaction would move token {0} out of the platform's account, and the operator has not allowed that"
    )]
    Token(ScriptHash),
    /// Something in the request cannot be.
    #[error("{0}")]
    Request(String),
}

impl From<ReserveError> for BankError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Refused(refused) => Self::Refused(refused),
            ReserveError::Store(error) => Self::Store(error),
        }
    }
}

impl Refused {
    /// Where the catalogue describes it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Insufficient { .. } => Code::AccountEmpty,
            Self::Budget { .. } => Code::BudgetSpent,
            Self::Mismatch(_) => Code::TransferMismatch,
            Self::Senseless(_) => Code::AmountInvalid,
            Self::NoHold(_) | Self::HoldSpent { .. } | Self::Overflow => Code::Internal,
        }
    }
}
impl From<BankError> for Error {
    fn from(error: BankError) -> Self {
        match error {
            BankError::Refused(refused) => refused.into(),
            BankError::Store(e) => Self::new(Code::StoreFailed, "storage unavailable").because(e),
            BankError::Payment(PaymentError::Refused(why)) => Self::new(Code::WithdrawalRefused, why),
            BankError::Payment(PaymentError::Later(why)) => Self::new(Code::TreasuryUnavailable, why),
            e @ BankError::NoTreasury => Self::new(Code::ChainAbsent, e.to_string()),
            e @ BankError::Token(_) => Self::new(Code::TokenKept, e.to_string()),
            BankError::Request(why) => Self::new(Code::AmountInvalid, why),
        }
    }
}
impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.code() {
            Code::Internal => Self::internal(refused),
            code => Self::new(code, refused.to_string()),
        }
    }
}
