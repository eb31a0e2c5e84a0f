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
/// Most ids held that are of no key.
const UNKNOWN_ENTRIES_MAX: usize = 1_024;

/// Looks keys up and remembers them for a few seconds, unknown ones too: to show the same one again costs no disk.
pub struct Authenticator {
    store: Arc<dyn IdentityStore>,
    accounts: Identity,
    clock: Arc<dyn Clock>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// With when they were looked up. Those that are too old are known to be keys still.
    known: HashMap<KeyId, (Option<Duration>, Known)>,
    /// Apart: guesses push nobody out.
    unknown: HashMap<KeyId, Duration>,
}

/// What the cache says of an id.
enum Cached {
    Known(Known),
    Unknown,
    /// It was a key.
    Old,
    Never,
}

impl Cache {
    fn get(&self, id: KeyId, now: Duration) -> Cached {
        let fresh = |at: Duration| now.saturating_sub(at) < CACHE_AGE_MAX;
        match self.known.get(&id) {
            Some((Some(at), known)) if fresh(*at) => return Cached::Known(known.clone()),
            Some(_) => return Cached::Old,
            None => {}
        }
        match self.unknown.get(&id) {
            Some(at) if fresh(*at) => Cached::Unknown,
            _ => Cached::Never,
        }
    }

    fn put(&mut self, id: KeyId, asked: Duration, known: Option<Known>) {
        match known {
            Some(known) => {
                make_room(&mut self.known, id, CACHE_ENTRIES_MAX);
                self.unknown.remove(&id);
                self.known.insert(id, (Some(asked), known));
            }
            None => {
                make_room(&mut self.unknown, id, UNKNOWN_ENTRIES_MAX);
                self.known.remove(&id);
                self.unknown.insert(id, asked);
            }
        }
    }

    fn age(&mut self) {
        self.known.values_mut().for_each(|(at, _)| *at = None);
        self.unknown.clear();
    }
}

fn make_room<V>(entries: &mut HashMap<KeyId, V>, id: KeyId, most: usize) {
    if entries.len() >= most && !entries.contains_key(&id) {
        entries.clear();
    }
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
            cache: Mutex::default(),
        }
    }

    /// Who sends this `Authorization` header. Anything but a valid key is anonymous: a public function may have
    /// credentials of its own, and a path that is not public answers 401 to the anonymous. `guess` may refuse to have a
    /// key looked up that nobody has shown yet.
    pub async fn principal<E: From<Error>>(
        &self,
        authorization: Option<&str>,
        guess: impl FnOnce() -> Result<(), E>,
    ) -> Result<Principal, E> {
        let Some(token) = authorization.and_then(bearer) else {
            return Ok(Principal::Anonymous);
        };
        let Ok(key) = token.parse::<ApiKey>() else {
            return Ok(self.accounts.principal(token).await?);
        };
        let known = self.known(key.id, guess).await?;
        Ok(known
            .filter(|known| key.matches(&known.key.hash))
            .map_or(Principal::Anonymous, Known::principal))
    }

    /// Who somebody is by now who was let in earlier: their roles may have changed, and their key or session ended.
    pub(crate) async fn again(&self, who: &Principal) -> Result<Principal, Error> {
        Ok(match who {
            Principal::Anonymous => Principal::Anonymous,
            Principal::Key { id, .. } => {
                let known = self.known(*id, || Ok::<_, Error>(())).await?;
                known.map_or(Principal::Anonymous, Known::principal)
            }
            Principal::Account(person) => {
                let person = self.accounts.person(person.session).await?;
                person.map_or(Principal::Anonymous, Principal::Account)
            }
        })
    }

    /// A key that is valid now.
    async fn known<E: From<Error>>(
        &self,
        id: KeyId,
        guess: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Known>, E> {
        let known = match self.cached(id) {
            Cached::Known(known) => Some(known),
            Cached::Unknown => None,
            Cached::Old => self.look_up(id).await?,
            Cached::Never => {
                guess()?;
                self.look_up(id).await?
            }
        };
        let now = self.clock.now();
        Ok(known.filter(|known| known.key.valid_at(now)))
    }

    /// Looks every key up anew: some have changed.
    pub(crate) fn forget(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).age();
    }

    fn cached(&self, id: KeyId) -> Cached {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(id, self.clock.monotonic())
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
        cache.put(id, asked, known.clone());
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

    async fn principal(auth: &Authenticator, authorization: Option<&str>) -> Result<Principal, Error> {
        auth.principal(authorization, || Ok(())).await
    }

    #[tokio::test]
    async fn guesses_are_asked_for_and_push_nobody_out() {
        let (keys, clock) = (Arc::new(Keys::default()), Arc::new(Ticks::default()));
        let key = ApiKey::new([1; 8], [2; 24]);
        let record = KeyRecord::new(&key, Scope::Operator, UnixMillis(0));
        keys.add_key(record).await.unwrap();
        let auth = Authenticator::new(keys.clone(), accounts(clock.clone()).await, clock.clone());
        let shown = |key: &ApiKey| format!("Bearer {}", *key.reveal());
        let reads = || keys.reads.load(Ordering::Relaxed);
        let refuse = || Err(Error::from(Code::RateLimited));
        let good = shown(&key);
        let refused = auth.principal(Some(&good), refuse).await.unwrap_err();
        assert_eq!(
            (refused.code, reads()),
            (Code::RateLimited, 0),
            "not even looked up"
        );
        assert!(principal(&auth, Some(&good)).await.unwrap().is_operator());
        for n in 0..5_000u64 {
            let guess = shown(&ApiKey::new((n + 1_000).to_be_bytes(), [3; 24]));
            let who = principal(&auth, Some(&guess)).await.unwrap();
            assert_eq!(who, Principal::Anonymous);
        }
        let before = reads();
        assert!(auth.principal(Some(&good), refuse).await.unwrap().is_operator());
        assert_eq!(reads(), before, "still cached");
        // what was a key may be looked up again, whatever else comes from there
        auth.forget();
        assert!(auth.principal(Some(&good), refuse).await.unwrap().is_operator());
        clock.0.store(5_000, Ordering::Relaxed);
        assert!(auth.principal(Some(&good), refuse).await.unwrap().is_operator());
        assert_eq!(reads(), before + 2);
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
            assert!(principal(&auth, Some(&good)).await.unwrap().is_operator());
            assert!(
                principal(&auth, Some(&good.replace("Bearer", "bearer")))
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
                principal(&auth, wrong).await.unwrap(),
                Principal::Anonymous,
                "{wrong:?}"
            );
        }
        assert_eq!(keys.reads.load(Ordering::Relaxed), 2, "one for each id");
        // revoked: within the age of the cache
        keys.rows.lock().unwrap()[0].revoked_at = Some(UnixMillis(1));
        clock.0.store(5_000, Ordering::Relaxed);
        assert_eq!(principal(&auth, Some(&good)).await.unwrap(), Principal::Anonymous);
        keys.rows.lock().unwrap()[0].revoked_at = None;
        clock.0.store(20_000, Ordering::Relaxed);
        assert_eq!(
            principal(&auth, Some(&good)).await.unwrap(),
            Principal::Anonymous,
            "expired"
        );
    }
}
