//! From a bearer token, be it a key or an access token, to a principal.
//!
//! Never says why a key was refused, and never logs one.

use neofn_identity::port::IdentityStore;
use neofn_identity::{ApiKey, Identity, KeyId, KeyRecord, Principal, Scope, SessionId, SignedIn};
use neofn_types::{Clock, Code, Error};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a looked-up key is believed: a revocation takes this long at the most.
const CACHE_AGE_MAX: Duration = Duration::from_secs(5);
/// Most keys held; beyond it the cache starts anew.
const CACHE_ENTRIES_MAX: usize = 4_096;

/// Looks keys up and remembers them for a few seconds, unknown ones too: guessing costs no disk.
pub struct Authenticator {
    store: Arc<dyn IdentityStore>,
    accounts: Identity,
    clock: Arc<dyn Clock>,
    cache: Mutex<HashMap<KeyId, (Duration, Option<Known>)>>,
}

/// A key, and what whoever made it is in its project.
#[derive(Debug, Clone)]
struct Known {
    key: KeyRecord,
    maker: Option<Arc<SignedIn>>,
}

impl Known {
    fn principal(self) -> Principal {
        let Self { key, maker } = self;
        Principal::Key {
            id: key.id,
            scope: key.scope,
            powers: key.powers,
            name: key.name,
            maker,
        }
    }
}

impl Authenticator {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn IdentityStore>, accounts: Identity, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            accounts,
            clock,
            cache: Mutex::new(HashMap::new()),
        }
    }

    /// Who sends this `Authorization` header. Anything but a valid key is anonymous: a public function may have
    /// credentials of its own, and a path that is not public answers 401 to the anonymous.
    pub async fn principal(&self, authorization: Option<&str>) -> Result<Principal, Error> {
        let Some(token) = authorization.and_then(bearer) else {
            return Ok(Principal::Anonymous);
        };
        let Ok(key) = token.parse::<ApiKey>() else {
            return self.accounts.principal(token).await;
        };
        let known = self.known(key.id).await?;
        Ok(known
            .filter(|known| key.matches(&known.key.hash))
            .map_or(Principal::Anonymous, Known::principal))
    }

    /// Who somebody is by now who was let in earlier: their roles may have changed, and their key or session ended.
    pub(crate) async fn again(&self, who: &Principal) -> Result<Principal, Error> {
        Ok(match who {
            Principal::Anonymous => Principal::Anonymous,
            Principal::Key { id, .. } => {
                let known = self.known(*id).await?;
                known.map_or(Principal::Anonymous, Known::principal)
            }
            Principal::Account(person) => {
                let person = self.accounts.person(person.session).await?;
                person.map_or(Principal::Anonymous, Principal::Account)
            }
        })
    }

    /// A key that is valid now.
    async fn known(&self, id: KeyId) -> Result<Option<Known>, Error> {
        let known = match self.cached(id) {
            Some(known) => known,
            None => self.look_up(id).await?,
        };
        let now = self.clock.now();
        Ok(known.filter(|known| known.key.valid_at(now)))
    }

    /// Looks every key up anew: some have changed.
    pub(crate) fn forget(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn cached(&self, id: KeyId) -> Option<Option<Known>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, record) = cache.get(&id)?;
        (self.clock.monotonic().saturating_sub(*at) < CACHE_AGE_MAX).then(|| record.clone())
    }

    async fn look_up(&self, id: KeyId) -> Result<Option<Known>, Error> {
        // the age counts from before the question: what changes meanwhile is not believed for longer
        let asked = self.clock.monotonic();
        let known = match self.record(id).await? {
            None => None,
            Some(key) => Some(Known {
                maker: self.maker(&key).await?,
                key,
            }),
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_ENTRIES_MAX {
            cache.clear();
        }
        cache.insert(id, (asked, known.clone()));
        Ok(known)
    }

    /// A key as the store has it now.
    pub(crate) async fn record(&self, id: KeyId) -> Result<Option<KeyRecord>, Error> {
        let found = self.store.key(id).await;
        found.map_err(|e| Error::from(Code::StoreFailed).because(e))
    }

    /// Whoever made a key, with what they are in its project now; none for the node's own keys.
    async fn maker(&self, key: &KeyRecord) -> Result<Option<Arc<SignedIn>>, Error> {
        let (Some(account), Scope::Project(project)) = (key.created_by, &key.scope) else {
            return Ok(None);
        };
        let roles = self.store.roles(account, project.clone()).await;
        Ok(Some(Arc::new(SignedIn {
            account,
            // of no session: it is not they who call
            session: SessionId([0; 16]),
            operator: self.accounts.is_operator(account),
            memberships: roles.map_err(|e| Error::from(Code::StoreFailed).because(e))?,
        })))
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use neofn_identity::audit::AuditEntry;
    use neofn_identity::challenge::{ChallengeRecord, Nonce};
    use neofn_identity::port::{
        IdentityStoreError, Put, Rotate, Rotated, SessionRecord, SessionStore, SignIn,
    };
    use neofn_identity::token::{FileSeal, SigningKeyRecord};
    use neofn_identity::{IdentityOptions, Membership, SignInSettings};
    use neofn_types::{ProjectName, ScriptHash, UnixMillis};
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    #[derive(Default)]
    struct Keys {
        rows: Mutex<Vec<KeyRecord>>,
        reads: AtomicU32,
    }
    #[async_trait]
    impl IdentityStore for Keys {
        async fn add_key(&self, key: KeyRecord) -> Result<(), IdentityStoreError> {
            self.rows.lock().unwrap().push(key);
            Ok(())
        }
        async fn key(&self, id: KeyId) -> Result<Option<KeyRecord>, IdentityStoreError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(self.rows.lock().unwrap().iter().find(|k| k.id == id).cloned())
        }
        async fn keys(&self) -> Result<Vec<KeyRecord>, IdentityStoreError> {
            Ok(self.rows.lock().unwrap().clone())
        }
        async fn roles(&self, _: ScriptHash, _: ProjectName) -> Result<Vec<Membership>, IdentityStoreError> {
            Ok(Vec::new())
        }
    }
    #[derive(Default)]
    struct Ticks(AtomicU64);
    impl Clock for Ticks {
        fn now(&self) -> UnixMillis {
            UnixMillis(i64::try_from(self.0.load(Ordering::Relaxed)).unwrap())
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    struct Counting;
    impl neofn_types::Entropy for Counting {
        fn fill(&self, buf: &mut [u8]) {
            buf.fill(7);
        }
    }
    /// Accounts of a node where nobody has signed in.
    #[derive(Default)]
    struct Nobody(Mutex<Vec<SigningKeyRecord>>);
    #[async_trait]
    impl SessionStore for Nobody {
        async fn put_challenge(&self, _: ChallengeRecord, _: u32) -> Result<Put, IdentityStoreError> {
            Ok(Put::Full)
        }
        async fn challenge(&self, _: Nonce) -> Result<Option<ChallengeRecord>, IdentityStoreError> {
            Ok(None)
        }
        async fn sign_in(&self, _: SignIn) -> Result<bool, IdentityStoreError> {
            Ok(false)
        }
        async fn rotate(&self, _: Rotate) -> Result<Rotated, IdentityStoreError> {
            Ok(Rotated::Gone)
        }
        async fn end_session(
            &self,
            _: SessionId,
            _: UnixMillis,
            _: AuditEntry,
        ) -> Result<bool, IdentityStoreError> {
            Ok(false)
        }
        async fn session(
            &self,
            _: SessionId,
            _: UnixMillis,
        ) -> Result<Option<(SessionRecord, Vec<Membership>)>, IdentityStoreError> {
            Ok(None)
        }
        async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>, IdentityStoreError> {
            Ok(self.0.lock().unwrap().clone())
        }
        async fn add_signing_key(&self, key: SigningKeyRecord) -> Result<bool, IdentityStoreError> {
            self.0.lock().unwrap().push(key);
            Ok(true)
        }
        async fn drop_signing_keys(&self, _: u32) -> Result<(), IdentityStoreError> {
            Ok(())
        }
    }
    async fn accounts(clock: Arc<dyn Clock>) -> Identity {
        let options = IdentityOptions {
            settings: SignInSettings::new("localhost".parse().unwrap(), 42),
            store: Arc::new(Nobody::default()),
            seal: Arc::new(FileSeal::new(&[1; 32], Arc::new(Counting))),
            contracts: None,
            clock,
            entropy: Arc::new(Counting),
        };
        Identity::open(options).await.unwrap()
    }

    #[tokio::test]
    async fn takes_the_right_key_alone_and_asks_the_store_once() {
        let (keys, clock) = (Arc::new(Keys::default()), Arc::new(Ticks::default()));
        let key = ApiKey::new([1; 8], [2; 24]);
        keys.add_key(KeyRecord {
            expires_at: Some(UnixMillis(20_000)),
            ..KeyRecord::new(&key, Scope::Operator, UnixMillis(0))
        })
        .await
        .unwrap();
        let auth = Authenticator::new(keys.clone(), accounts(clock.clone()).await, clock.clone());
        let good = format!("Bearer {}", *key.reveal());
        for _ in 0..3 {
            assert!(auth.principal(Some(&good)).await.unwrap().is_operator());
            assert!(
                auth.principal(Some(&good.replace("Bearer", "bearer")))
                    .await
                    .unwrap()
                    .is_operator()
            );
        }
        for wrong in [
            None,
            Some("Bearer"),
            Some("Basic abc"),
            Some("Bearer nfk_x"),
            Some(&*format!("Bearer {}", *ApiKey::new([1; 8], [3; 24]).reveal())),
            Some(&*format!("Bearer {}", *ApiKey::new([9; 8], [2; 24]).reveal())),
            Some(&*format!("Bearer {}", *ApiKey::new([9; 8], [2; 24]).reveal())),
        ] {
            assert_eq!(
                auth.principal(wrong).await.unwrap(),
                Principal::Anonymous,
                "{wrong:?}"
            );
        }
        assert_eq!(keys.reads.load(Ordering::Relaxed), 2, "one for each id");
        // revoked: within the age of the cache
        keys.rows.lock().unwrap()[0].revoked_at = Some(UnixMillis(1));
        clock.0.store(5_000, Ordering::Relaxed);
        assert_eq!(auth.principal(Some(&good)).await.unwrap(), Principal::Anonymous);
        keys.rows.lock().unwrap()[0].revoked_at = None;
        clock.0.store(20_000, Ordering::Relaxed);
        assert_eq!(
            auth.principal(Some(&good)).await.unwrap(),
            Principal::Anonymous,
            "expired"
        );
    }
}
