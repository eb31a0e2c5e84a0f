//! What the tests of identity share: a clock that tests move, randomness from a seed, a store in memory, and wallets.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests; each binary uses a part of it"
)]

use async_trait::async_trait;
use neofn_chain::key::PrivateKey;
use neofn_chain::sign_in::canonical;
use neofn_identity::audit::AuditEntry;
use neofn_identity::challenge::{ChallengeRecord, Nonce};
use neofn_identity::port::{
    ContractError, ContractVerifier, IdentityStoreError, Put, Rotate, Rotated, SessionRecord, SessionStore,
    SignIn,
};
use neofn_identity::sign_in::{Asked, Proof, Signed};
use neofn_identity::token::{FileSeal, SigningKeyRecord};
use neofn_identity::{Identity, IdentityOptions, Membership, SessionId, SignInSettings};
use neofn_types::{Clock, Entropy, ScriptHash, UnixMillis};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const NOW: i64 = 1_795_221_303_000;

pub struct TestClock(pub AtomicI64);
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }
}

/// A counter through a mixer: never the same twice, and the same in every run.
pub struct Seeded(pub AtomicU64);
impl Entropy for Seeded {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

#[derive(Default)]
pub struct Rows {
    pub challenges: HashMap<Nonce, ChallengeRecord>,
    pub sessions: HashMap<SessionId, (SessionRecord, bool, Vec<[u8; 32]>)>,
    pub memberships: Vec<(ScriptHash, Membership)>,
    pub keys: Vec<SigningKeyRecord>,
    pub audit: Vec<AuditEntry>,
}
#[derive(Default)]
pub struct Memory(pub Mutex<Rows>);

#[async_trait]
impl SessionStore for Memory {
    async fn put_challenge(&self, c: ChallengeRecord, open_max: u32) -> Result<Put, IdentityStoreError> {
        let mut rows = self.0.lock().unwrap();
        rows.challenges.retain(|_, old| old.expires_at > c.issued_at);
        if rows.challenges.len() >= open_max as usize {
            return Ok(Put::Full);
        }
        if rows.challenges.contains_key(&c.nonce) {
            return Ok(Put::Taken);
        }
        rows.challenges.insert(c.nonce, c);
        Ok(Put::Stored)
    }
    async fn challenge(&self, nonce: Nonce) -> Result<Option<ChallengeRecord>, IdentityStoreError> {
        Ok(self.0.lock().unwrap().challenges.get(&nonce).cloned())
    }
    async fn sign_in(&self, s: SignIn) -> Result<bool, IdentityStoreError> {
        let mut rows = self.0.lock().unwrap();
        let good = rows
            .challenges
            .get(&s.nonce)
            .is_some_and(|c| c.expires_at > s.at && c.account == s.session.account);
        if good {
            rows.challenges.remove(&s.nonce);
            rows.sessions
                .insert(s.session.id, (s.session, false, vec![s.refresh]));
            rows.audit.push(s.audit);
        }
        Ok(good)
    }
    async fn rotate(&self, r: Rotate) -> Result<Rotated, IdentityStoreError> {
        let mut rows = self.0.lock().unwrap();
        let Some((session, ended, tokens)) = rows.sessions.get_mut(&r.id) else {
            return Ok(Rotated::Gone);
        };
        if *ended || session.expires_at <= r.at || !tokens.contains(&r.presented) {
            return Ok(Rotated::Gone);
        }
        if tokens.last() != Some(&r.presented) {
            *ended = true;
            rows.audit.push(r.reused);
            return Ok(Rotated::Reused);
        }
        tokens.push(r.next);
        Ok(Rotated::Done(session.clone()))
    }
    async fn end_session(
        &self,
        id: SessionId,
        _: UnixMillis,
        audit: AuditEntry,
    ) -> Result<bool, IdentityStoreError> {
        let mut rows = self.0.lock().unwrap();
        let was = rows
            .sessions
            .get_mut(&id)
            .is_some_and(|s| !std::mem::replace(&mut s.1, true));
        if was {
            rows.audit.push(audit);
        }
        Ok(was)
    }
    async fn session(
        &self,
        id: SessionId,
        at: UnixMillis,
    ) -> Result<Option<(SessionRecord, Vec<Membership>)>, IdentityStoreError> {
        let rows = self.0.lock().unwrap();
        let found = rows.sessions.get(&id).filter(|s| !s.1 && s.0.expires_at > at);
        Ok(found.map(|(session, ..)| {
            let own = rows.memberships.iter().filter(|m| m.0 == session.account);
            (session.clone(), own.map(|m| m.1.clone()).collect())
        }))
    }
    async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>, IdentityStoreError> {
        Ok(self.0.lock().unwrap().keys.clone())
    }
    async fn add_signing_key(&self, key: SigningKeyRecord) -> Result<bool, IdentityStoreError> {
        let mut rows = self.0.lock().unwrap();
        let free = rows.keys.iter().all(|k| k.seq != key.seq);
        if free {
            rows.keys.push(key);
        }
        Ok(free)
    }
    async fn drop_signing_keys(&self, below: u32) -> Result<(), IdentityStoreError> {
        self.0.lock().unwrap().keys.retain(|k| k.seq >= below);
        Ok(())
    }
}

/// A contract that wants both of two people.
pub struct BothOf(pub ScriptHash, pub [ScriptHash; 2]);
#[async_trait]
impl ContractVerifier for BothOf {
    async fn accepts(&self, contract: ScriptHash, signers: &[ScriptHash]) -> Result<bool, ContractError> {
        Ok(contract == self.0 && self.1.iter().all(|one| signers.contains(one)))
    }
}

pub struct World {
    pub identity: Identity,
    pub store: Arc<Memory>,
    pub clock: Arc<TestClock>,
    pub entropy: Arc<Seeded>,
}

pub fn settings() -> SignInSettings {
    SignInSettings::new("neofn.example".parse().unwrap(), 42)
}

impl World {
    pub async fn new() -> Self {
        Self::with(settings(), None).await
    }
    pub async fn with(settings: SignInSettings, contracts: Option<Arc<dyn ContractVerifier>>) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(NOW)));
        let entropy = Arc::new(Seeded(AtomicU64::new(7)));
        let store = Arc::new(Memory::default());
        let identity = Identity::open(IdentityOptions {
            settings,
            store: store.clone(),
            seal: Arc::new(FileSeal::new(&[9; 32], entropy.clone())),
            contracts,
            clock: clock.clone(),
            entropy: entropy.clone(),
        })
        .await
        .unwrap();
        Self {
            identity,
            store,
            clock,
            entropy,
        }
    }
    pub fn pass(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }
    pub async fn sign_in(&self, key: &PrivateKey) -> neofn_identity::Tokens {
        let account = key.public().account();
        let challenge = self.identity.challenge(account).await.unwrap();
        let proof = Proof::Key(plain(key, &challenge));
        self.identity
            .login(challenge.nonce, account, &proof, None)
            .await
            .unwrap()
    }
}

pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[n; 32]).unwrap()
}
pub fn sign(key: &PrivateKey, bytes: &[u8]) -> [u8; 64] {
    canonical(&key.sign(bytes)).unwrap()
}
/// As NEP-21 signs.
pub fn plain(key: &PrivateKey, challenge: &ChallengeRecord) -> Signed {
    Signed {
        public_key: key.public().to_bytes(),
        signature: sign(key, challenge.message().as_bytes()),
        asked: Asked::Message { salt: None },
    }
}
