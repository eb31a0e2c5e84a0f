//! Puts a transaction together: who signs, a dry run, fees by the chain's policy.

use super::leaving::{leaving, speaks};
use super::machine::Unsigned;
use super::record::{Bearer, Request, RequestSigner};
use super::{TxError, transactions::Shared};
use crate::fee::network_fee;
use crate::port::Caller;
use crate::signer::AccountInfo;
use crate::tx::{Attribute, SIGNERS_MAX, Scope, Signer, TRANSACTION_BYTES_MAX, Transaction, script_hash};
use neofn_types::{Datoshi, Hash256, ScriptHash};

/// For how long a transaction may be taken into a block where nobody says otherwise.
const VALID_MS: u64 = 300_000;
/// But for no fewer blocks than this.
const VALID_BLOCKS_MIN: u64 = 20;
/// Added to the predicted system fee, in thousandths: a contract's state may change before the block. A transaction
/// that runs out of GAS has paid for nothing.
const MARGIN_PER_MILLE: i64 = 20;

/// A transaction that is to take another one's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct InPlaceOf {
    pub(super) hash: Hash256,
    pub(super) network_fee: Datoshi,
}

impl Shared {
    /// The account that pays where a request names none: the signer's first one for this network.
    pub(super) async fn account(&self) -> Result<Option<ScriptHash>, TxError> {
        let network = self.chain.network().0;
        let mut accounts = self.signer.accounts().await?.into_iter();
        Ok(accounts
            .find(|a| a.policy.network.is_none_or(|n| n == network))
            .map(|a| a.account))
    }
    /// The request with its signers named.
    pub(super) async fn complete(&self, mut request: Request) -> Result<Request, TxError> {
        if request.signers.is_empty() {
            let account = self.account().await?.ok_or_else(|| {
                TxError::Request("the signer has no account to pay with on this network".to_owned())
            })?;
            request.signers.push(RequestSigner {
                account,
                scope: Scope::CalledByEntry,
                verification: None,
            });
        }
        // what the operator's account says to itself on chain is believed to be the node's own word
        if request.bearer == Bearer::Project && speaks(&request) {
            let why = "a transfer of GAS from an account to itself is sent for a project without data only";
            return Err(TxError::Request(why.to_owned()));
        }
        if request.signers.len() > SIGNERS_MAX {
            return Err(TxError::Request(format!(
                "a transaction has at most {SIGNERS_MAX} signers"
            )));
        }
        for (n, signer) in request.signers.iter().enumerate() {
            if request
                .signers
                .iter()
                .skip(n + 1)
                .any(|s| s.account == signer.account)
            {
                return Err(TxError::Request(format!("{} signs twice", signer.account)));
            }
            if signer
                .verification
                .as_ref()
                .is_some_and(|v| script_hash(v) != signer.account)
            {
                return Err(TxError::Request(format!(
                    "the script given for {} is another account's",
                    signer.account
                )));
            }
        }
        Ok(request)
    }

    /// Builds it: tried out, paid for exactly, not yet signed.
    pub(super) async fn build(
        &self,
        request: &Request,
        instead: Option<InPlaceOf>,
    ) -> Result<Unsigned, TxError> {
        let accounts = self.signer.accounts().await?;
        let verifications = verifications(request, &accounts)?;
        let signers: Vec<Signer> = request
            .signers
            .iter()
            .map(|s| Signer {
                account: s.account,
                scope: s.scope.clone(),
            })
            .collect();
        let callers: Vec<Caller> = signers.iter().map(Caller::from).collect();
        let tried = self.chain.invoke_script(&request.script, &callers).await?;
        crate::listing::end(&self.chain, &tried);
        let tried = tried.halted()?;
        let policy = self.chain.policy().await?;
        let blocks = request.valid_blocks.map_or_else(
            || VALID_BLOCKS_MIN.max(VALID_MS / policy.block_ms.max(1)),
            u64::from,
        );
        // no `clamp`: it panics where a node's maximum is 0
        let blocks = blocks.min(policy.valid_until_increment_max.into()).max(1);
        let valid_until = self.chain.head().height.saturating_add(blocks);
        let too_large = || TxError::Request("the fees do not fit".to_owned());
        let margin = Datoshi(tried.gas.0 / 1_000)
            .checked_mul(MARGIN_PER_MILLE)
            .ok_or_else(too_large)?;
        let mut transaction = Transaction {
            nonce: u32::try_from(self.entropy.next_u64() & u64::from(u32::MAX)).unwrap_or(0),
            system_fee: tried.gas.checked_add(margin).ok_or_else(too_large)?,
            network_fee: Datoshi::ZERO,
            valid_until: u32::try_from(valid_until).unwrap_or(u32::MAX),
            signers,
            attributes: instead.iter().map(|old| Attribute::Conflicts(old.hash)).collect(),
            script: request.script.clone(),
            witnesses: Vec::new(),
        };
        let needed = network_fee(&transaction, &verifications, &policy)
            .ok_or_else(|| TxError::Request("an account is neither of one key nor of several".to_owned()))?;
        let beside = instead.map_or(Datoshi::ZERO, |old| old.network_fee);
        transaction.network_fee = needed.checked_add(beside).ok_or_else(too_large)?;
        if transaction.unsigned_bytes().len() > TRANSACTION_BYTES_MAX / 2 {
            return Err(TxError::Request(
                "the script is too long for a transaction".to_owned(),
            ));
        }
        let fees = transaction.fees().ok_or_else(too_large)?;
        match request.fee_max {
            Some(max) if fees > max => Err(TxError::FeeTooHigh { fees, max }),
            _ => Ok(Unsigned {
                leaving: leaving(request, &tried.notifications),
                ..Unsigned::from(&transaction)
            }),
        }
    }
}

/// The verification script of each signer: its own, or the one given for an account that is not held here.
fn verifications(request: &Request, accounts: &[AccountInfo]) -> Result<Vec<Vec<u8>>, TxError> {
    let one = |signer: &RequestSigner| {
        let held = || {
            accounts
                .iter()
                .find(|a| a.account == signer.account)
                .map(|a| a.verification.clone())
        };
        signer
            .verification
            .clone()
            .or_else(held)
            .ok_or_else(|| TxError::Sign(crate::signer::SignError::NoAccount(signer.account)))
    };
    request.signers.iter().map(one).collect()
}
