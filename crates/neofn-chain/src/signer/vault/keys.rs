//! The journal's own keys, and the accounts' keys in locked memory: derived, sealed, unsealed.

use super::{Account, DAY_MS, Held, RECENT_MAX, Spent, Vault, VaultError};
use crate::key::PrivateKey;
use crate::signer::journal::Entry;
use crate::signer::policy::SigningPolicy;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use neofn_types::{ScriptHash, UnixMillis};
use std::collections::VecDeque;
use zeroize::Zeroizing;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

impl Vault {
    pub(super) fn begin(&mut self, secret: &[u8]) -> Result<(), VaultError> {
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
    pub(super) fn derive(
        &mut self,
        secret: &[u8],
        salt: &[u8],
        memory_kib: u32,
        passes: u32,
    ) -> Result<(), VaultError> {
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
    pub(super) fn slot(&self, n: usize) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        if let Some(slot) = self.memory.bytes().get(n * 32..n * 32 + 32) {
            bytes.copy_from_slice(slot);
        }
        bytes
    }
    fn mac_key(&self) -> Zeroizing<[u8; 32]> {
        self.slot(1)
    }
    pub(super) fn append(&mut self, entry: &Entry) -> Result<(), VaultError> {
        let key = self.mac_key();
        Ok(self.journal.append(key.as_slice(), entry)?)
    }

    pub(super) fn load(&mut self) -> Result<(), VaultError> {
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
    pub(super) fn seal(&self, key: &PrivateKey) -> Result<Entry, VaultError> {
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
    pub(super) fn hold(&mut self, key: &PrivateKey) -> Result<(), VaultError> {
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
}

/// Binds a sealed key to its place.
fn associated(account: ScriptHash) -> Vec<u8> {
    let mut bytes = b"neofn/signer/v1".to_vec();
    bytes.extend_from_slice(&account.0);
    bytes
}
