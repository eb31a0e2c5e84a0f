//! Signing: what the policy allows, counted before it is given away.

use super::{DAY_MS, RECENT_MAX, Spent, Trouble, Vault, VaultError, refuse};
use crate::fee::Verification;
use crate::key::{PrivateKey, push_signature};
use crate::signer::SignError;
use crate::signer::journal::Entry;
use crate::signer::wire::{SignRequest, Signature};
use crate::tx::{Transaction, Witness};
use neofn_types::{Datoshi, ScriptHash};

impl Vault {
    /// Signs what the policy allows. The record is on disk before the signature is given away.
    pub(in crate::signer) fn sign(&mut self, request: &SignRequest) -> Result<Witness, Trouble> {
        let transaction = Transaction::read(&request.transaction).map_err(|e| refuse(e.to_string()))?;
        if !transaction.witnesses.is_empty() {
            return Err(refuse("the transaction has witnesses already"));
        }
        let account = self
            .accounts
            .iter()
            .find(|a| a.account == request.account)
            .ok_or(Trouble::Refused(SignError::NoAccount(request.account)))?;
        let hash = transaction.hash();
        // whoever lost the first answer asks again for the same bytes: it is the same signature, and counts once
        let known = self
            .spent
            .iter()
            .any(|s| s.transaction == hash && s.account == request.account && s.network == request.network);
        if !known {
            let since = self.spent(request.account);
            let allowed = account
                .policy
                .judge(request, &transaction, since)
                .map_err(refuse)?;
            let scope = transaction.signers.iter().find(|s| s.account == request.account);
            let signature = Signature {
                number: self.signatures + 1,
                at: self.clock.now(),
                account: request.account,
                transaction: hash,
                network: request.network,
                spend: allowed.spend,
                scope: scope.map_or(crate::tx::Scope::None, |s| s.scope.clone()),
                calls: allowed.calls,
                purpose: request.purpose.clone(),
            };
            // before the record: a key that is missing must not be counted
            self.witness(request.account, &transaction.message(request.network))?;
            self.append(&Entry::Signed(signature.clone()))?;
            self.remember(signature);
        }
        self.witness(request.account, &transaction.message(request.network))
    }
    fn remember(&mut self, signature: Signature) {
        self.signatures = signature.number;
        self.forget_old();
        self.spent.push_back(Spent::from(&signature));
        self.recent.push_back(signature);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }
    pub(super) fn forget_old(&mut self) {
        let since = self.clock.now().0.saturating_sub(DAY_MS);
        while self.spent.front().is_some_and(|s| s.at.0 <= since) {
            self.spent.pop_front();
        }
    }
    pub(super) fn spent(&self, account: ScriptHash) -> Datoshi {
        let since = self.clock.now().0.saturating_sub(DAY_MS);
        let of = self
            .spent
            .iter()
            .filter(|s| s.account == account && s.at.0 > since);
        // more than fits is over every cap
        of.fold(Datoshi::ZERO, |sum, s| {
            sum.checked_add(s.amount).unwrap_or(Datoshi(i64::MAX))
        })
    }
    fn witness(&self, account: ScriptHash, message: &[u8]) -> Result<Witness, Trouble> {
        let held = self
            .accounts
            .iter()
            .find(|a| a.account == account)
            .ok_or(Trouble::Refused(SignError::NoAccount(account)))?;
        let read =
            Verification::read(&held.verification).ok_or(VaultError::Damaged("an account's script"))?;
        let (needed, keys) = match read {
            Verification::Single(key) => (1, vec![key]),
            Verification::Multi { needed, keys } => (needed, keys),
        };
        let own = keys
            .iter()
            .filter_map(|k| self.keys.iter().find(|h| h.public.to_bytes() == *k));
        let mut invocation = Vec::new();
        let mut signed = 0;
        for held in own.take(needed) {
            let key = PrivateKey::from_bytes(self.slot(held.slot).as_slice())
                .map_err(|_| VaultError::Damaged("a key in memory"))?;
            invocation.extend(push_signature(&key.sign(message)));
            signed += 1;
        }
        if signed < needed {
            return Err(refuse(format!(
                "account {account} needs {needed} signatures, and only {signed} of its keys are here"
            )));
        }
        Ok(Witness {
            invocation,
            verification: held.verification.clone(),
        })
    }
}

impl From<&Signature> for Spent {
    fn from(signature: &Signature) -> Self {
        Self {
            at: signature.at,
            account: signature.account,
            transaction: signature.transaction,
            network: signature.network,
            amount: signature.spend,
        }
    }
}
