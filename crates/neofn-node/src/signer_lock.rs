//! The lock on the signer after a restore: what a backup does not know may have been signed and paid already, so nothing is
//! signed until the ledger was compared with the chain.

use crate::files;
use async_trait::async_trait;
use neofn_backup::MARK_FILE;
use neofn_chain::signer::{AccountInfo, SignError, SignRequest, Signing};
use neofn_chain::tx::Witness;
use neofn_types::{Code, Error, Hash256};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The member of the mark that says what the chain knows and the backup does not.
const BEYOND: &str = "anchored_beyond";

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
    /// The chain shows a root of `size` entries that this log does not have. Kept with the mark: blocks are read once.
    pub(crate) fn beyond(&self, size: u64, tx: Option<Hash256>) -> Result<(), Error> {
        let mut mark = self.read();
        let before = mark.get(BEYOND).and_then(|beyond| beyond.get("size")?.as_u64());
        if before.is_some_and(|before| before >= size) {
            return Ok(());
        }
        let beyond = json!({"size": size, "transaction": tx.map(|tx| tx.to_string())});
        mark.insert(BEYOND.to_owned(), beyond);
        files::write_private(&self.mark, &format!("{:#}\n", Value::Object(mark)))?;
        if self.is_rollback() {
            tracing::error!(
                size,
                "the chain knows acts that this backup does not; the signer stays locked. Restore a newer backup, or this \
                 one with --accept-rollback"
            );
        } else {
            tracing::warn!(
                size,
                "the chain knows acts that this backup does not, as was accepted"
            );
        }
        Ok(())
    }
    /// Whether the backup turned out to be older than the log on chain, and nobody accepted that.
    pub(crate) fn is_rollback(&self) -> bool {
        let mark = self.read();
        let accepted = mark.get("accepted").and_then(Value::as_bool).unwrap_or(false);
        mark.contains_key(BEYOND) && !accepted
    }
    /// Nothing, for a mark that cannot be read.
    fn read(&self) -> Map<String, Value> {
        let text = std::fs::read_to_string(&self.mark).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
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
    fn ready(&self) -> Result<(), SignError> {
        match self.lock.is_locked() {
            true => Err(SignError::Unavailable(
                "it is locked since a restore, until `neofn gas reconcile` shows that ledger and chain agree"
                    .to_owned(),
            )),
            false => Ok(()),
        }
    }
    async fn accounts(&self) -> Result<Vec<AccountInfo>, SignError> {
        self.signer.accounts().await
    }
    async fn sign(&self, request: SignRequest) -> Result<Witness, SignError> {
        self.ready()?;
        self.signer.sign(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_that_the_chain_shows_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join(MARK_FILE);
        let lock = |text: &str| {
            std::fs::write(&mark, text).unwrap();
            SignerLock::of(dir.path())
        };
        let restored = lock(r#"{"at": 1, "accepted": false}"#);
        assert!(restored.is_locked() && !restored.is_rollback());
        restored.beyond(7, None).unwrap();
        restored.beyond(5, None).unwrap();
        assert!(restored.is_rollback());
        // also for the next process, and with all that was there
        assert!(SignerLock::of(dir.path()).is_rollback());
        assert!(restored.said().contains("\"at\": 1") && restored.said().contains("\"size\": 7"));
        let accepted = lock(r#"{"accepted": true}"#);
        accepted.beyond(7, None).unwrap();
        assert!(accepted.is_locked() && !accepted.is_rollback());
        // what cannot be read accepts nothing
        let damaged = lock("half of");
        damaged.beyond(7, None).unwrap();
        assert!(damaged.is_rollback());
    }
}
