//! Sponsored transactions: we pay, an account that is held elsewhere agrees.

use super::record::{TxId, TxRecord, TxState};
use super::{Transactions, TxError};
use crate::fee::Verification;
use crate::key::PublicKey;
use crate::tx::{Witness, message, script_hash};
use neofn_types::ScriptHash;

impl Transactions {
    /// Adds the witness of an account that the signer does not hold. With the last one the transaction is signed and
    /// sent. A witness that came already is no error.
    pub async fn cosign(&self, id: TxId, account: ScriptHash, witness: Witness) -> Result<TxRecord, TxError> {
        let shared = self.shared();
        // another witness may come at the same time: then once more on what is there now
        for _ in 0..8 {
            let mut record = shared.get(id).await?;
            if record.cosigned.iter().any(|(a, _)| *a == account) && record.state != TxState::Built {
                return shared.finish_submit(record).await;
            }
            if record.state != TxState::Reserved || !record.awaited().contains(&account) {
                return Err(TxError::Cosignature(format!(
                    "transaction {id} does not wait for {account}"
                )));
            }
            check(account, &witness, &message(shared.chain.network().0, record.hash))?;
            record.cosigned.push((account, witness.clone()));
            record.revision += 1;
            record.updated_at = shared.clock.now();
            if shared.store.advance(record.clone()).await? {
                return shared.finish_submit(record).await;
            }
        }
        Err(TxError::Cosignature(
            "the transaction changes too often".to_owned(),
        ))
    }
}

/// Whether the witness is the account's, and signs this.
fn check(account: ScriptHash, witness: &Witness, message: &[u8]) -> Result<(), TxError> {
    let bad = |why: &str| Err(TxError::Cosignature(format!("the witness of {account} {why}")));
    if script_hash(&witness.verification) != account {
        return bad("has another account's script");
    }
    let (needed, keys) = match Verification::read(&witness.verification) {
        Some(Verification::Single(key)) => (1, vec![key]),
        Some(Verification::Multi { needed, keys }) => (needed, keys),
        None => return bad("is neither of one key nor of several"),
    };
    let mut keys = keys.iter();
    let mut signatures = 0;
    let mut rest = witness.invocation.as_slice();
    while let [0x0c, 64, after @ ..] = rest {
        let Some((signature, after)) = after.split_first_chunk::<64>() else {
            return bad("ends too early");
        };
        // in the order of the keys, as the chain checks it
        let fits = |key: &[u8; 33]| PublicKey::from_bytes(key).is_ok_and(|k| k.verifies(message, signature));
        if !keys.any(fits) {
            return bad("does not sign this transaction for this network");
        }
        signatures += 1;
        rest = after;
    }
    if rest.is_empty() && signatures == needed {
        Ok(())
    } else {
        bad("does not have as many signatures as the account needs")
    }
}
