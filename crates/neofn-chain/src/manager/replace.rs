//! Takes a transaction that waits out of the way, by one that excludes it and pays more.

use super::build::InPlaceOf;
use super::record::{Request, TxId, TxRecord, TxState};
use super::{Transactions, TxError};
use neofn_types::{Datoshi, Digest};

/// RET: a script that does nothing.
const NOTHING: &[u8] = &[0x40];

/// What takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// Nothing: it is called off.
    Cancel,
    /// The same with a higher network fee.
    Faster,
}

impl Transactions {
    /// Replaces a transaction that was signed and is in no block yet. Which of the two a block takes is seen by
    /// waiting for both; it is one of them at the most. Asked again, the replacement that there is, is answered.
    pub async fn replace(
        &self,
        id: TxId,
        by: Replacement,
        fee_max: Option<Datoshi>,
    ) -> Result<TxRecord, TxError> {
        let shared = self.shared();
        let old = shared.get(id).await?;
        if let Some(new) = old.replaced_by {
            return shared.get(new).await;
        }
        if !matches!(old.state, TxState::Signed | TxState::Broadcast) || old.replaces.is_some() {
            return Err(TxError::NotReplaceable(format!(
                "transaction {id} is {}",
                old.state
            )));
        }
        if old.request.signers.iter().any(|s| s.verification.is_some()) {
            return Err(TxError::NotReplaceable(format!(
                "transaction {id} also has signers whose keys are elsewhere"
            )));
        }
        self.ready()?;
        let request = Request {
            idempotency: Digest::of_parts(&[b"replace", &id.0]),
            script: match by {
                Replacement::Cancel => NOTHING.to_vec(),
                Replacement::Faster => old.request.script.clone(),
            },
            fee_max,
            renewals: 0,
            ..old.request.clone()
        };
        let instead = InPlaceOf {
            hash: old.hash,
            network_fee: old.network_fee,
        };
        let unsigned = shared.build(&request, Some(instead)).await?;
        let record = shared.reserve(request, unsigned, Some(id)).await?;
        if record.replaces != Some(id) {
            return Err(TxError::NotReplaceable(format!(
                "transaction {} is {}",
                record.id, record.state
            )));
        }
        shared.finish_submit(record).await
    }
}
