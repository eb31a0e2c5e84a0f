//! The keys and what is done with them. Knows no process and no pipe: the child wraps it, tests use it as it is.

mod keys;
mod signing;
#[cfg(test)]
mod tests;

use super::SignError;
use super::journal::{Entry, Journal};
use super::policy::{Calls, RULES_MAX, SigningPolicy};
use super::wire::{AccountInfo, Import, Signature};
use crate::fee::Verification;
use crate::key::{PrivateKey, PublicKey};
use crate::tx::script_hash;
use neofn_jail::LockedMemory;
use neofn_types::{Clock, Datoshi, Entropy, Hash256, ScriptHash, UnixMillis};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Keys at the most.
const KEYS_MAX: usize = 126;
/// Signatures that are kept at hand; the journal has them all.
const RECENT_MAX: usize = 4_096;
/// The locked memory that a vault takes: a page of keys, the first two being its own.
pub(super) const LOCKED_BYTES: usize = (KEYS_MAX + 2) * 32;
const DAY_MS: i64 = 86_400_000;
const LABEL_CHARS_MAX: usize = 64;
/// More than this is not a header of ours, and would only take memory.
const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// Why a vault does not open or go on.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The journal's file.
    #[error("signer's journal: {0}")]
    Journal(#[from] io::Error),
    /// Memory that cannot be locked.
    #[error(transparent)]
    Memory(#[from] neofn_jail::JailError),
    /// Something that is not as it was written.
    #[error("signer's journal: {0}")]
    Damaged(&'static str),
}

/// What happened to a request: a refusal leaves the vault as it was, anything else ends it.
pub(super) enum Trouble {
    Refused(SignError),
    Broken(VaultError),
}
impl<E: Into<VaultError>> From<E> for Trouble {
    fn from(e: E) -> Self {
        Self::Broken(e.into())
    }
}
fn refuse(why: impl Into<String>) -> Trouble {
    Trouble::Refused(SignError::Refused(why.into()))
}

struct Held {
    public: PublicKey,
    slot: usize,
}
struct Account {
    account: ScriptHash,
    verification: Vec<u8>,
    label: String,
    policy: SigningPolicy,
}
struct Spent {
    at: UnixMillis,
    account: ScriptHash,
    transaction: Hash256,
    network: u32,
    amount: Datoshi,
}

/// The vault.
pub struct Vault {
    journal: Journal,
    memory: LockedMemory,
    keys: Vec<Held>,
    accounts: Vec<Account>,
    payer: Option<ScriptHash>,
    spent: VecDeque<Spent>,
    recent: VecDeque<Signature>,
    signatures: u64,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    /// Opens the journal with the operator's secret, or begins one. `file` is open for reading and appending and is
    /// nobody else's; `memory` is what [`LockedMemory`] gave for at least as much as a vault needs.
    pub fn open(
        file: File,
        secret: &[u8],
        memory: Option<LockedMemory>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, VaultError> {
        let memory = match memory {
            Some(memory) if memory.bytes().len() >= LOCKED_BYTES => memory,
            _ => LockedMemory::new(LOCKED_BYTES)?,
        };
        let mut vault = Self {
            journal: Journal::new(file),
            memory,
            keys: Vec::new(),
            accounts: Vec::new(),
            payer: None,
            spent: VecDeque::new(),
            recent: VecDeque::new(),
            signatures: 0,
            clock,
            entropy,
        };
        match vault.journal.header()? {
            Some(Entry::Header {
                version: 1,
                salt,
                memory_kib,
                passes,
            }) if memory_kib <= MEMORY_KIB_MAX => {
                let salt = hex::decode(salt).map_err(|_| VaultError::Damaged("no salt"))?;
                vault.derive(secret, &salt, memory_kib, passes)?;
                vault.load()?;
            }
            Some(_) => {
                return Err(VaultError::Damaged(
                    "the first line is not one that this version knows",
                ));
            }
            None => vault.begin(secret)?,
        }
        Ok(vault)
    }

    /// The accounts: the one that pays where nobody says otherwise, then the others in the order in which they were
    /// added.
    pub fn accounts(&mut self) -> Vec<AccountInfo> {
        self.forget_old();
        let mut all: Vec<AccountInfo> = self.accounts.iter().map(|a| self.info(a)).collect();
        all.sort_by_key(|a| Some(a.account) != self.payer);
        all
    }
    /// Makes an account the one that pays where nobody says otherwise.
    pub(super) fn set_payer(&mut self, account: ScriptHash) -> Result<(), Trouble> {
        if !self.accounts.iter().any(|a| a.account == account) {
            return Err(Trouble::Refused(SignError::NoAccount(account)));
        }
        if self.payer != Some(account) {
            self.append(&Entry::Payer {
                account,
                at: self.clock.now(),
            })?;
            self.payer = Some(account);
        }
        Ok(())
    }
    fn info(&self, account: &Account) -> AccountInfo {
        AccountInfo {
            account: account.account,
            verification: account.verification.clone(),
            label: account.label.clone(),
            policy: account.policy.clone(),
            spent: self.spent(account.account),
        }
    }
    pub(super) fn signatures(&self, after: u64, limit: u32) -> Vec<Signature> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(1_000);
        self.recent
            .iter()
            .filter(|s| s.number > after)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Takes a key or an account. One that is there already keeps its policy.
    pub(super) fn import(
        &mut self,
        import: Import,
        label: String,
        policy: SigningPolicy,
    ) -> Result<AccountInfo, Trouble> {
        sound(&policy)?;
        let verification = match import {
            Import::Wif(wif) => {
                let key = PrivateKey::from_wif(&wif).map_err(|e| refuse(e.to_string()))?;
                self.add_key(&key)?;
                key.public().verification_script()
            }
            Import::Script(script) => {
                Verification::read(&script)
                    .ok_or_else(|| refuse("this is neither the script of a key nor of several keys"))?;
                script
            }
        };
        let account = script_hash(&verification);
        if !self.accounts.iter().any(|a| a.account == account) {
            let label: String = label
                .chars()
                .filter(|c| !c.is_control())
                .take(LABEL_CHARS_MAX)
                .collect();
            self.append(&Entry::Account {
                account,
                verification: hex::encode(&verification),
                label: label.clone(),
                policy: Some(policy.clone()),
                at: self.clock.now(),
            })?;
            self.accounts.push(Account {
                account,
                verification,
                label,
                policy,
            });
        }
        let held = self.accounts.iter().find(|a| a.account == account);
        held.map(|a| self.info(a))
            .ok_or(Trouble::Refused(SignError::NoAccount(account)))
    }
    fn add_key(&mut self, key: &PrivateKey) -> Result<(), Trouble> {
        if self.keys.iter().any(|k| k.public == key.public()) {
            return Ok(());
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(refuse(format!("it holds {KEYS_MAX} keys already")));
        }
        let sealed = self.seal(key)?;
        self.append(&sealed)?;
        Ok(self.hold(key)?)
    }

    /// Replaces an account's policy.
    pub(super) fn set_policy(&mut self, account: ScriptHash, policy: SigningPolicy) -> Result<(), Trouble> {
        sound(&policy)?;
        if !self.accounts.iter().any(|a| a.account == account) {
            return Err(Trouble::Refused(SignError::NoAccount(account)));
        }
        self.append(&Entry::Policy {
            account,
            policy: policy.clone(),
            at: self.clock.now(),
        })?;
        if let Some(held) = self.accounts.iter_mut().find(|a| a.account == account) {
            held.policy = policy;
        }
        Ok(())
    }
}

/// Whether a policy can be meant.
fn sound(policy: &SigningPolicy) -> Result<(), Trouble> {
    if policy.per_transaction.0 < 0 || policy.per_day.0 < 0 {
        return Err(refuse("a cap cannot be negative"));
    }
    match &policy.calls {
        Calls::Only(rules) if rules.len() > RULES_MAX => {
            Err(refuse(format!("a policy lists at most {RULES_MAX} contracts")))
        }
        _ => Ok(()),
    }
}
