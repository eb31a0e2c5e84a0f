//! The signer: a process of its own that holds the keys, signs what its policy allows, and writes down each signature.
//!
//! Keys are encrypted in its journal and lie in locked memory while it runs. The node asks over a pipe and never sees a
//! key. The process runs nothing of tenants, has no network, and one file: the journal.

mod calls;
mod child;
mod client;
mod journal;
mod policy;
mod vault;
mod wire;

pub(crate) use calls::{Call, Literal, calls};
pub use child::{Surroundings, main};
pub use client::{SignerOptions, SignerProcess};
pub(crate) use policy::gives_away;
pub use policy::{Calls, MethodRule, SigningPolicy};
pub use vault::{Vault, VaultError};
pub use wire::{AccountInfo, Asked, Import, Purpose, SignRequest, Signature};

use crate::tx::Witness;
use async_trait::async_trait;
use neofn_types::{Code, Error, ScriptHash};

/// Why there is no signature.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignError {
    /// The policy does not allow it, in words.
    #[error("the signer refuses: {0}")]
    Refused(String),
    /// The signer holds no such account.
    #[error("the signer has no account {0}")]
    NoAccount(ScriptHash),
    /// The signer's process is not there; nothing was decided.
    #[error("the signer does not answer: {0}")]
    Unavailable(String),
}
impl SignError {
    /// Where the catalogue describes it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(_) => Code::SignerRefused,
            Self::NoAccount(_) => Code::SignerNoAccount,
            Self::Unavailable(_) => Code::SignerUnavailable,
        }
    }
}
impl From<SignError> for Error {
    fn from(error: SignError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Who signs. [`SignerProcess`] is the real one.
#[async_trait]
pub trait Signing: Send + Sync + 'static {
    /// Whether anything is signed at this time; else why not. A signer that nothing holds back always is ready.
    fn ready(&self) -> Result<(), SignError> {
        Ok(())
    }
    /// The accounts; the first one pays where nobody says otherwise, the others are in the order in which they were
    /// added.
    async fn accounts(&self) -> Result<Vec<AccountInfo>, SignError>;
    /// Signs, or says why not. The same request gives the same bytes and counts once.
    async fn sign(&self, request: SignRequest) -> Result<Witness, SignError>;
}
