//! The lock on the signer after a restore: what a backup does not know may have been signed and paid already, so nothing is
//! signed until the ledger was compared with the chain.

use async_trait::async_trait;
use neofn_backup::MARK_FILE;
use neofn_chain::signer::{AccountInfo, SignError, SignRequest, Signing};
use neofn_chain::tx::Witness;
use neofn_types::{Code, Error};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the signer signs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SignerLock {
    locked: Arc<AtomicBool>,
    mark: PathBuf,
}

impl SignerLock {
    /// Locked when the directory was restored and not reconciled yet.
    pub(crate) fn of(data: &Path) -> Self {
        let mark = data.join(MARK_FILE);
        let locked = mark.exists();
        if locked {
            tracing::warn!(mark = %mark.display(), "restored from a backup: nothing is signed until ledger and chain agree");
        }
        Self {
            locked: Arc::new(AtomicBool::new(locked)),
            mark,
        }
    }
    pub(crate) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }
    /// What the mark says, for the log.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.mark).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
    /// Ledger and chain agree. Should the mark not go away, the next start locks again and compares again.
    pub(crate) fn open(&self) -> Result<(), Error> {
        std::fs::remove_file(&self.mark).map_err(|e| {
            Error::new(
                Code::StoreFailed,
                format!("cannot remove {}: {e}", self.mark.display()),
            )
            .because(e)
        })?;
        self.locked.store(false, Ordering::Release);
        Ok(())
    }
}

/// A signer behind the lock.
pub(crate) struct Guarded {
    pub(crate) signer: Arc<dyn Signing>,
    pub(crate) lock: SignerLock,
}

#[async_trait]
impl Signing for Guarded {
    async fn accounts(&self) -> Result<Vec<AccountInfo>, SignError> {
        self.signer.accounts().await
    }
    async fn sign(&self, request: SignRequest) -> Result<Witness, SignError> {
        if self.lock.is_locked() {
            return Err(SignError::Unavailable(
                "it is locked since a restore, until `neofn gas reconcile` shows that ledger and chain agree"
                    .to_owned(),
            ));
        }
        self.signer.sign(request).await
    }
}
