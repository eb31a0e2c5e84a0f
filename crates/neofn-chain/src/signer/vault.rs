//! The keys and what is done with them. Knows no process and no pipe: the child wraps it, tests use it as it is.

use super::SignError;
use super::journal::{Entry, Journal};
use super::policy::{Calls, RULES_MAX, SigningPolicy};
use super::wire::{AccountInfo, Import, SignRequest, Signature};
use crate::fee::Verification;
use crate::key::{PrivateKey, PublicKey, push_signature};
use crate::tx::{Transaction, Witness, script_hash};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use neofn_jail::LockedMemory;
use neofn_types::{Clock, Datoshi, Entropy, Hash256, ScriptHash, UnixMillis};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Keys at the most.
const KEYS_MAX: usize = 126;
/// Signatures that are kept at hand; the journal has them all.
const RECENT_MAX: usize = 4_096;
/// The locked memory that a vault takes: a page of keys, the first two being its own.
pub(super) const LOCKED_BYTES: usize = (KEYS_MAX + 2) * 32;
const DAY_MS: i64 = 86_400_000;
const LABEL_CHARS_MAX: usize = 64;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
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

    fn begin(&mut self, secret: &[u8]) -> Result<(), VaultError> {
        let mut salt = [0u8; 16];
        self.entropy.fill(&mut salt);
        self.derive(secret, &salt, MEMORY_KIB, PASSES)?;
        // half a line of an earlier beginning may be there
        let key = self.mac_key();
        self.journal.read(key.as_slice(), |_| Ok(()))?;
        let header = Entry::Header {
            version: 1,
            salt: hex::encode(salt),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
        };
        Ok(self.journal.append(key.as_slice(), &header)?)
    }
    fn derive(&mut self, secret: &[u8], salt: &[u8], memory_kib: u32, passes: u32) -> Result<(), VaultError> {
        let bad = |_| VaultError::Damaged("the header's parameters are not usable");
        let params = argon2::Params::new(memory_kib, passes, 1, Some(64)).map_err(bad)?;
        let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let own = self
            .memory
            .bytes_mut()
            .get_mut(..64)
            .ok_or(VaultError::Damaged("no memory"))?;
        argon.hash_password_into(secret, salt, own).map_err(bad)
    }
    fn slot(&self, n: usize) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        if let Some(slot) = self.memory.bytes().get(n * 32..n * 32 + 32) {
            bytes.copy_from_slice(slot);
        }
        bytes
    }
    fn mac_key(&self) -> Zeroizing<[u8; 32]> {
        self.slot(1)
    }
    fn append(&mut self, entry: &Entry) -> Result<(), VaultError> {
        let key = self.mac_key();
        Ok(self.journal.append(key.as_slice(), entry)?)
    }

    fn load(&mut self) -> Result<(), VaultError> {
        let key = self.mac_key();
        let mut entries = Vec::new();
        let since = UnixMillis(self.clock.now().0.saturating_sub(DAY_MS));
        let (mut recent, mut spent, mut signatures) = (VecDeque::new(), VecDeque::new(), 0);
        self.journal.read(key.as_slice(), |entry| {
            match entry {
                // there may be millions
                Entry::Signed(signature) => {
                    signatures = signature.number;
                    if signature.at > since {
                        spent.push_back(Spent::from(&signature));
                    }
                    recent.push_back(signature);
                    if recent.len() > RECENT_MAX {
                        recent.pop_front();
                    }
                }
                other => entries.push(other),
            }
            Ok(())
        })?;
        (self.recent, self.spent, self.signatures) = (recent, spent, signatures);
        for entry in entries {
            match entry {
                Entry::Key {
                    account,
                    nonce,
                    sealed,
                    ..
                } => {
                    let key = self.unseal(account, &nonce, &sealed)?;
                    self.hold(&key)?;
                }
                Entry::Account {
                    account,
                    verification,
                    label,
                    policy,
                    ..
                } => {
                    let verification =
                        hex::decode(verification).map_err(|_| VaultError::Damaged("no script"))?;
                    self.accounts.push(Account {
                        account,
                        verification,
                        label,
                        policy: policy.unwrap_or_else(SigningPolicy::nothing),
                    });
                }
                Entry::Payer { account, .. } => self.payer = Some(account),
                Entry::Policy { account, policy, .. } => {
                    if let Some(held) = self.accounts.iter_mut().find(|a| a.account == account) {
                        held.policy = policy;
                    }
                }
                Entry::Header { .. } | Entry::Signed(_) => {}
            }
        }
        Ok(())
    }
    fn cipher(&self) -> Result<XChaCha20Poly1305, VaultError> {
        XChaCha20Poly1305::new_from_slice(self.slot(0).as_slice()).map_err(|_| VaultError::Damaged("no key"))
    }
    fn unseal(&self, account: ScriptHash, nonce: &str, sealed: &str) -> Result<PrivateKey, VaultError> {
        let damaged = || VaultError::Damaged("a sealed key does not open");
        let nonce: [u8; 24] = hex::decode(nonce)
            .ok()
            .and_then(|n| n.try_into().ok())
            .ok_or_else(damaged)?;
        let sealed = hex::decode(sealed).map_err(|_| damaged())?;
        let payload = Payload {
            msg: &sealed,
            aad: &associated(account),
        };
        let opened = self
            .cipher()?
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| damaged())?;
        PrivateKey::from_bytes(&Zeroizing::new(opened)).map_err(|_| damaged())
    }
    fn seal(&self, key: &PrivateKey) -> Result<Entry, VaultError> {
        let account = key.public().account();
        let mut nonce = [0u8; 24];
        self.entropy.fill(&mut nonce);
        let bytes = key.to_bytes();
        let payload = Payload {
            msg: bytes.as_slice(),
            aad: &associated(account),
        };
        let sealed = self
            .cipher()?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| VaultError::Damaged("a key cannot be sealed"))?;
        Ok(Entry::Key {
            account,
            nonce: hex::encode(nonce),
            sealed: hex::encode(sealed),
            at: self.clock.now(),
        })
    }
    fn hold(&mut self, key: &PrivateKey) -> Result<(), VaultError> {
        let slot = self.keys.len() + 2;
        self.memory
            .bytes_mut()
            .get_mut(slot * 32..slot * 32 + 32)
            .ok_or(VaultError::Damaged("more keys than fit"))?
            .copy_from_slice(key.to_bytes().as_slice());
        self.keys.push(Held {
            public: key.public(),
            slot,
        });
        Ok(())
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

    /// Signs what the policy allows. The record is on disk before the signature is given away.
    pub(super) fn sign(&mut self, request: &SignRequest) -> Result<Witness, Trouble> {
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
    fn forget_old(&mut self) {
        let since = self.clock.now().0.saturating_sub(DAY_MS);
        while self.spent.front().is_some_and(|s| s.at.0 <= since) {
            self.spent.pop_front();
        }
    }
    fn spent(&self, account: ScriptHash) -> Datoshi {
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

/// Binds a sealed key to its place.
fn associated(account: ScriptHash) -> Vec<u8> {
    let mut bytes = b"neofn/signer/v1".to_vec();
    bytes.extend_from_slice(&account.0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::{Asked, MethodRule, Purpose};
    use crate::tx::{Scope, Signer};
    use neofn_types::Digest;
    use parking_lot::Mutex;
    use std::fs::OpenOptions;
    use std::path::Path;
    use std::time::Duration;

    struct Hands(Mutex<UnixMillis>);
    impl Clock for Hands {
        fn now(&self) -> UnixMillis {
            *self.0.lock()
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }
    struct Dice;
    impl Entropy for Dice {
        fn fill(&self, buf: &mut [u8]) {
            buf.fill(9);
        }
    }
    fn hands() -> Arc<Hands> {
        Arc::new(Hands(Mutex::new(UnixMillis(1_000_000_000))))
    }
    fn open(path: &Path, secret: &str, clock: &Arc<Hands>) -> Result<Vault, VaultError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        Vault::open(file, secret.as_bytes(), None, clock.clone(), Arc::new(Dice))
    }
    fn key() -> PrivateKey {
        PrivateKey::from_bytes(&[7; 32]).unwrap()
    }
    fn wif() -> Import {
        Import::Wif(key().to_wif())
    }
    fn request(nonce: u32, gas: i64) -> SignRequest {
        let account = key().public().account();
        let transaction = Transaction {
            nonce,
            system_fee: Datoshi(gas),
            network_fee: Datoshi(0),
            valid_until: 10,
            signers: vec![Signer {
                account,
                scope: Scope::CalledByEntry,
            }],
            attributes: vec![],
            script: vec![0x40],
            witnesses: vec![],
        };
        SignRequest {
            transaction: transaction.unsigned_bytes(),
            network: 42,
            account,
            asked: Asked {
                scope: Scope::CalledByEntry,
                fee_max: Datoshi(i64::MAX),
            },
            purpose: Purpose {
                project: "default".parse().unwrap(),
                idempotency: Digest::of(b"x"),
            },
        }
    }
    fn refusal(result: Result<Witness, Trouble>) -> String {
        match result {
            Err(Trouble::Refused(e)) => e.to_string(),
            Err(Trouble::Broken(e)) => panic!("{e}"),
            Ok(_) => panic!("signed"),
        }
    }
    fn done<T>(result: Result<T, Trouble>) -> T {
        match result {
            Ok(t) => t,
            Err(Trouble::Refused(e)) => panic!("{e}"),
            Err(Trouble::Broken(e)) => panic!("{e}"),
        }
    }

    #[test]
    fn keys_policies_and_what_was_spent_survive_and_the_key_is_nowhere_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let clock = hands();
        let mut vault = open(&path, "correct horse", &clock).unwrap();
        let policy = SigningPolicy {
            per_day: Datoshi(250),
            per_transaction: Datoshi(100),
            ..SigningPolicy::default()
        };
        done(vault.import(wif(), "main\u{1b}[1m".to_owned(), policy));
        let first = done(vault.sign(&request(1, 100)));
        assert_eq!(
            done(vault.sign(&request(1, 100))),
            first,
            "the same bytes count once"
        );
        assert!(refusal(vault.sign(&request(2, 101))).contains("one transaction may cost"));
        done(vault.sign(&request(3, 100)));
        drop(vault);

        let mut vault = open(&path, "correct horse", &clock).unwrap();
        assert_eq!(vault.accounts()[0].spent, Datoshi(200));
        assert_eq!(vault.accounts()[0].label, "main[1m");
        assert!(refusal(vault.sign(&request(4, 100))).contains("within 24 hours"));
        assert_eq!(done(vault.sign(&request(1, 100))), first, "also after a restart");
        assert_eq!(vault.signatures(1, 10).len(), 1);
        clock.0.lock().0 += DAY_MS + 1;
        done(vault.sign(&request(4, 100)));
        drop(vault);

        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&hex::encode([7u8; 32])) && !text.contains(key().to_wif().as_str()));
        assert!(open(&path, "wrong horse", &clock).is_err());
        // a cap cannot be raised with an editor
        std::fs::write(&path, text.replace("\"per_day\":\"250\"", "\"per_day\":\"950\"")).unwrap();
        let error = open(&path, "correct horse", &clock).err().unwrap().to_string();
        assert!(error.contains("was changed"), "{error}");
    }

    #[test]
    fn half_a_line_at_the_end_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let clock = hands();
        let mut vault = open(&path, "correct horse", &clock).unwrap();
        done(vault.import(wif(), String::new(), SigningPolicy::default()));
        drop(vault);
        let whole = std::fs::read(&path).unwrap();
        let lines = whole.split_inclusive(|b| *b == b'\n').map(<[u8]>::len);
        let ends: Vec<usize> = lines
            .scan(0, |at, n| {
                *at += n;
                Some(*at)
            })
            .collect();
        for cut in (0..whole.len()).step_by(37).chain([1, whole.len() - 1]) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut vault = open(&path, "correct horse", &clock).unwrap();
            // an account is there with its own policy, or not at all
            for held in vault.accounts() {
                assert_eq!(held.policy, SigningPolicy::default(), "cut at {cut} of {ends:?}");
            }
            done(vault.import(wif(), String::new(), SigningPolicy::default()));
            done(vault.sign(&request(1, 5)));
            drop(vault);
            let mut again = open(&path, "correct horse", &clock).unwrap();
            assert_eq!(again.accounts().len(), 1, "cut at {cut} of {ends:?}");
        }
    }

    #[test]
    fn the_default_gives_no_token_away_but_gas() {
        let directory = tempfile::tempdir().unwrap();
        let clock = hands();
        let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
        done(vault.import(wif(), String::new(), SigningPolicy::default()));
        let account = key().public().account();
        let neo: ScriptHash = "0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5".parse().unwrap();
        let gas: ScriptHash = "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap();
        let token = ScriptHash([5; 20]);
        let call = |contract: ScriptHash, method: &str| {
            let mut script = crate::script::ScriptBuilder::new();
            let arguments = [
                account.into(),
                token.into(),
                5.into(),
                crate::stack::StackItem::Null,
            ];
            let flags = crate::script::CallFlags::All;
            script.call(contract, method, flags, &arguments).unwrap();
            let mut request = request(1, 10);
            let mut transaction = Transaction::read(&request.transaction).unwrap();
            transaction.script = script.into_bytes();
            request.transaction = transaction.unsigned_bytes();
            request
        };
        for (contract, method) in [
            (neo, "transfer"),
            (neo, "vote"),
            (token, "transfer"),
            (token, "approve"),
        ] {
            let said = refusal(vault.sign(&call(contract, method)));
            assert!(said.contains("can give tokens away"), "{method}: {said}");
        }
        let mut other = call(token, "save");
        done(vault.sign(&other));
        done(vault.sign(&call(gas, "transfer")));
        let mut transaction = Transaction::read(&other.transaction).unwrap();
        transaction.script.push(0x4a);
        other.transaction = transaction.unsigned_bytes();
        assert!(refusal(vault.sign(&other)).contains("more than calls"));

        let listed = Calls::Only(vec![MethodRule {
            contract: neo,
            methods: Some(vec!["transfer".to_owned()]),
        }]);
        let policy = SigningPolicy {
            calls: listed,
            ..SigningPolicy::default()
        };
        done(vault.set_policy(account, policy));
        done(vault.sign(&call(neo, "transfer")));
    }

    #[test]
    fn the_payer_comes_first_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let clock = hands();
        let mut vault = open(&path, "correct horse", &clock).unwrap();
        done(vault.import(wif(), "first".to_owned(), SigningPolicy::default()));
        let second = PrivateKey::from_bytes(&[8; 32]).unwrap();
        let import = Import::Wif(second.to_wif());
        done(vault.import(import, "second".to_owned(), SigningPolicy::default()));
        assert_eq!(vault.accounts()[0].label, "first");
        done(vault.set_payer(second.public().account()));
        assert_eq!(vault.accounts()[0].label, "second");
        drop(vault);
        let mut again = open(&path, "correct horse", &clock).unwrap();
        assert_eq!(again.accounts()[0].label, "second");
        assert!(matches!(
            again.set_payer(ScriptHash([1; 20])),
            Err(Trouble::Refused(SignError::NoAccount(_)))
        ));
    }

    #[test]
    fn calls_scopes_networks_and_amounts_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let clock = hands();
        let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
        let gas: ScriptHash = "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap();
        let account = key().public().account();
        let policy = SigningPolicy {
            network: Some(42),
            calls: Calls::Only(vec![MethodRule {
                contract: gas,
                methods: Some(vec!["transfer".to_owned()]),
            }]),
            ..SigningPolicy::default()
        };
        done(vault.import(wif(), String::new(), policy));
        let call = |method: &str, amount: i64| {
            let mut script = vec![0x0b, 0x03];
            script.extend(amount.to_le_bytes());
            script.extend([0x0c, 20]);
            script.extend([1; 20]);
            script.extend([0x0c, 20]);
            script.extend(account.0);
            script.extend([0x14, 0xc0, 0x1f, 0x0c, u8::try_from(method.len()).unwrap()]);
            script.extend(method.as_bytes());
            script.extend([0x0c, 20]);
            script.extend(gas.0);
            script.extend([0x41, 0x62, 0x7d, 0x5b, 0x52]);
            script
        };
        let with = |change: &dyn Fn(&mut Transaction)| {
            let mut request = request(1, 10);
            let mut transaction = Transaction::read(&request.transaction).unwrap();
            transaction.script = call("transfer", 5);
            change(&mut transaction);
            request.transaction = transaction.unsigned_bytes();
            request
        };
        done(vault.sign(&with(&|_| ())));
        assert_eq!(
            vault.signatures(0, 1)[0].spend,
            Datoshi(15),
            "fees and what is given away"
        );
        assert_eq!(
            vault.signatures(0, 1)[0].calls.as_deref(),
            Some(&[format!("{gas}::transfer")][..])
        );
        for (why, bad) in [
            (
                "does not list method \"mint\"",
                with(&|t| t.script = call("mint", 5)),
            ),
            ("more than calls", with(&|t| t.script.push(0x4a))),
            (
                "one transaction may cost",
                with(&|t| t.script = call("transfer", 100_000_000)),
            ),
            (
                "wider than CalledByEntry",
                with(&|t| t.signers[0].scope = Scope::Global),
            ),
            ("does not name the account", with(&|t| t.signers[0].account = gas)),
            (
                "network 42, not 7",
                SignRequest {
                    network: 7,
                    ..with(&|_| ())
                },
            ),
            ("were asked for", {
                let mut r = with(&|t| t.nonce = 77);
                r.asked.fee_max = Datoshi(9);
                r
            }),
            ("which was asked for", {
                let mut r = with(&|t| t.nonce = 78);
                r.asked.scope = Scope::None;
                r
            }),
        ] {
            let said = refusal(vault.sign(&bad));
            assert!(said.contains(why), "{said:?} instead of {why:?}");
        }
    }

    #[test]
    fn several_keys_sign_in_the_order_of_the_script() {
        let directory = tempfile::tempdir().unwrap();
        let clock = hands();
        let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
        let keys: Vec<PrivateKey> = (1..=3)
            .map(|n| PrivateKey::from_bytes(&[n; 32]).unwrap())
            .collect();
        let public: Vec<PublicKey> = keys.iter().map(PrivateKey::public).collect();
        let script = crate::fee::multisig_script(2, &public).unwrap();
        let account = done(vault.import(
            Import::Script(script.clone()),
            String::new(),
            SigningPolicy::default(),
        ))
        .account;
        let mut request = request(1, 1);
        let mut transaction = Transaction::read(&request.transaction).unwrap();
        transaction.signers[0].account = account;
        request.account = account;
        request.transaction = transaction.unsigned_bytes();
        done(vault.import(
            Import::Wif(keys[0].to_wif()),
            String::new(),
            SigningPolicy::default(),
        ));
        assert!(refusal(vault.sign(&request)).contains("only 1 of its keys"));
        done(vault.import(
            Import::Wif(keys[2].to_wif()),
            String::new(),
            SigningPolicy::default(),
        ));
        let witness = done(vault.sign(&request));
        assert_eq!(
            (witness.invocation.len(), &witness.verification),
            (2 * 66, &script)
        );
    }
}
