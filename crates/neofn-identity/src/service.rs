//! Signing in: challenge, login, exchange of tokens, logout. Holds the keys that sign, and turns access tokens back into
//! people.
//!
//! Knows no transport, no chain and no storage but their ports.

use crate::audit::AuditEntry;
use crate::challenge::{ChallengeRecord, Domain, Nonce};
use crate::port::{
    ContractVerifier, IdentityStoreError, Put, Rotate, Rotated, SessionRecord, SessionStore, SignIn,
};
use crate::sign_in::{Domainless, Looked, Proof, SignInRefusal, look};
use crate::token::{
    AccessClaims, Issuer, Jwks, Keyring, RefreshToken, Rotation, SeedSeal, SessionId, SigningKeyRecord,
    TokenRefused, plan,
};
use crate::{ApiKey, Principal, SignedIn};
use neofn_types::{Clock, Code, Entropy, Error, ScriptHash, UnixMillis};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Most challenges that wait for an answer at once, of all people together.
const CHALLENGES_OPEN_MAX: u32 = 100_000;
/// Nonces are random: the same one twice is a matter of once in a million nodes.
const NONCE_TRIES: u32 = 4;
/// How long a looked-up session is believed: a logout takes this long at the most.
const CACHE_AGE_MAX: Duration = Duration::from_secs(5);
/// Most sessions held; beyond it the cache starts anew.
const CACHE_ENTRIES_MAX: usize = 4_096;

/// What a node decides about signing in.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// What people see in their address bar.
    pub domain: Domain,
    /// The network's magic number.
    pub network: u32,
    /// How long a challenge may be answered.
    pub challenge_ttl: Duration,
    /// How long a session lasts, whatever is done in it.
    pub session_ttl: Duration,
    /// Who makes tokens, for whom, how long they live.
    pub issuer: Issuer,
    /// How long a signing key signs.
    pub key_period: Duration,
    /// How long before that it is published.
    pub key_early: Duration,
    /// Whether NEP-20 answers that name no domain are taken.
    pub domainless: Domainless,
    /// Who runs this node.
    pub operators: BTreeSet<ScriptHash>,
}

impl SignInSettings {
    /// As the documentation has it.
    #[must_use]
    pub fn new(domain: Domain, network: u32) -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            issuer: Issuer {
                iss: domain.to_string(),
                aud: "neofn".to_owned(),
                ttl: Duration::from_secs(600),
            },
            domain,
            network,
            challenge_ttl: Duration::from_secs(300),
            session_ttl: day * 30,
            key_period: day * 30,
            key_early: day,
            domainless: Domainless::Refuse,
            operators: BTreeSet::new(),
        }
    }
    fn rotation(&self) -> Rotation {
        Rotation {
            period: self.key_period,
            early: self.key_early,
            token_ttl: self.issuer.ttl,
        }
    }
}

/// What the service is built from.
pub struct IdentityOptions {
    /// What the node decides.
    pub settings: SignInSettings,
    /// Where challenges, sessions and keys are.
    pub store: Arc<dyn SessionStore>,
    /// How seeds of signing keys are kept.
    pub seal: Arc<dyn SeedSeal>,
    /// Who asks contracts; none without a chain, and then accounts of contracts cannot sign in.
    pub contracts: Option<Arc<dyn ContractVerifier>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where secrets come from.
    pub entropy: Arc<dyn Entropy>,
}

/// What a person gets for a good answer.
#[derive(Debug)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access: Zeroizing<String>,
    /// When it ends.
    pub access_expires_at: UnixMillis,
    /// Good for one exchange.
    pub refresh: Zeroizing<String>,
    /// When the session ends.
    pub session: SessionRecord,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

/// When a session was looked up, and who it is of; none when it has ended.
type Known = HashMap<SessionId, (Duration, Option<Arc<SignedIn>>)>;

struct Inner {
    options: IdentityOptions,
    keys: RwLock<Arc<Keyring>>,
    cache: Mutex<Known>,
}

fn failed(e: IdentityStoreError) -> Error {
    Error::from(Code::StoreFailed).because(e)
}

impl Identity {
    /// Opens the signing keys, and makes the first one.
    pub async fn open(options: IdentityOptions) -> Result<Self, Error> {
        let this = Self {
            inner: Arc::new(Inner {
                options,
                keys: RwLock::default(),
                cache: Mutex::default(),
            }),
        };
        this.activate().await?;
        Ok(this)
    }

    fn settings(&self) -> &SignInSettings {
        &self.inner.options.settings
    }
    fn now(&self) -> UnixMillis {
        self.inner.options.clock.now()
    }
    fn entropy(&self) -> &dyn Entropy {
        &*self.inner.options.entropy
    }

    /// Makes the next signing key when it is time, forgets those that are done, and opens what there is. Idempotent;
    /// to be called every few minutes.
    pub async fn activate(&self) -> Result<(), Error> {
        let Inner { options, keys, .. } = &*self.inner;
        let (store, seal) = (&options.store, &*options.seal);
        let mut records = store.signing_keys().await.map_err(failed)?;
        let plan = plan(&records, self.now(), self.settings().rotation());
        if let Some((seq, active_from)) = plan.create {
            let mut seed = Zeroizing::new([0; 32]);
            self.entropy().fill(&mut *seed);
            let key = SigningKeyRecord::new(seq, &seed, active_from, seal).map_err(Error::internal)?;
            // when another node was quicker, its key is the one
            store.add_signing_key(key).await.map_err(failed)?;
        }
        if let Some(below) = plan.drop_below {
            store.drop_signing_keys(below).await.map_err(failed)?;
        }
        if plan.create.is_some() || plan.drop_below.is_some() {
            records = store.signing_keys().await.map_err(failed)?;
        }
        let ring = Keyring::open(&records, seal).map_err(|e| {
            Error::new(Code::ConfigInvalid, e.to_string())
                .hint("Put the node's identity key file back as it was when the data directory was made.")
                .because(e)
        })?;
        *keys.write() = Arc::new(ring);
        Ok(())
    }

    /// A new challenge for an account, which need not exist.
    pub async fn challenge(&self, account: ScriptHash) -> Result<ChallengeRecord, Error> {
        let settings = self.settings();
        for _ in 0..NONCE_TRIES {
            let challenge = ChallengeRecord::new(
                account,
                (&settings.domain, settings.network),
                (self.now(), settings.challenge_ttl),
                self.entropy(),
            );
            let put = self
                .inner
                .options
                .store
                .put_challenge(challenge.clone(), CHALLENGES_OPEN_MAX);
            match put.await.map_err(failed)? {
                Put::Stored => return Ok(challenge),
                Put::Taken => {}
                Put::Full => return Err(Code::Overloaded.into()),
            }
        }
        Err(Error::internal("every nonce was taken"))
    }

    /// Signs in with an answer to a challenge. `expected` is the wallet's layout, when the caller knows it.
    pub async fn login(
        &self,
        nonce: Nonce,
        account: ScriptHash,
        proof: &Proof,
        expected: Option<&str>,
    ) -> Result<Tokens, Error> {
        let Inner { options, .. } = &*self.inner;
        let settings = self.settings();
        let challenge = options.store.challenge(nonce).await.map_err(failed)?;
        let challenge = challenge
            // made before the node's settings changed, it is of another place
            .filter(|c| c.domain.as_str() == settings.domain.as_str() && c.network == settings.network)
            .ok_or(SignInRefusal::ChallengeGone)?;
        let formats = match look(&challenge, account, proof, self.now(), settings.domainless)? {
            Looked::Proven { formats } => formats,
            Looked::AskContract { signers, formats } => {
                self.ask_contract(account, &signers).await?;
                formats
            }
        };
        let mut formats: Vec<String> = formats.iter().map(ToString::to_string).collect();
        formats.dedup();
        if expected.is_some_and(|format| formats.iter().any(|f| f != format)) {
            return Err(SignInRefusal::OtherFormat.into());
        }
        let now = self.now();
        let session = SessionRecord {
            id: SessionId::generate(self.entropy()),
            account,
            format: formats.join(","),
            created_at: now,
            expires_at: now.plus(settings.session_ttl),
        };
        let refresh = RefreshToken::generate(session.id, self.entropy());
        let address = account.to_address();
        let sign_in = SignIn {
            nonce,
            session: session.clone(),
            refresh: refresh.hash(),
            at: now,
            audit: AuditEntry::new(
                now,
                format!("account:{address}"),
                "session.begin",
                session.id.to_string(),
            )
            .detail(format!("signed as {}", session.format)),
        };
        if !options.store.sign_in(sign_in).await.map_err(failed)? {
            return Err(SignInRefusal::ChallengeGone.into());
        }
        self.tokens(session, &refresh)
    }

    async fn ask_contract(&self, account: ScriptHash, signers: &[ScriptHash]) -> Result<(), Error> {
        let contracts = self.inner.options.contracts.as_ref().ok_or_else(|| {
            Error::new(
                Code::SignInRefused,
                "accounts of contracts sign in with the help of the chain, and this node follows none",
            )
        })?;
        match contracts.accepts(account, signers).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignInRefusal::Contract.into()),
            Err(e) => Err(Error::from(Code::ChainUnreachable).because(e)),
        }
    }

    fn tokens(&self, session: SessionRecord, refresh: &RefreshToken) -> Result<Tokens, Error> {
        let mut jti = [0; 16];
        self.entropy().fill(&mut jti);
        let keys = self.inner.keys.read().clone();
        let (access, access_expires_at) = self
            .settings()
            .issuer
            .issue(&keys, session.account, session.id, jti, self.now())
            .ok_or_else(|| Error::internal("no key may sign yet"))?;
        Ok(Tokens {
            access: Zeroizing::new(access),
            access_expires_at,
            refresh: refresh.reveal(),
            session,
        })
    }

    /// Exchanges a refresh token for new tokens. One that was exchanged before ends the session.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let gone = || Error::from(Code::SessionEnded);
        let presented: RefreshToken = token.parse().map_err(|_| gone())?;
        let next = RefreshToken::generate(presented.session, self.entropy());
        let now = self.now();
        let id = presented.session;
        let rotate = Rotate {
            id,
            presented: presented.hash(),
            next: next.hash(),
            at: now,
            reused: AuditEntry::new(now, "node", "session.reused", id.to_string())
                .detail("a refresh token came a second time; the session was ended"),
        };
        match self.inner.options.store.rotate(rotate).await.map_err(failed)? {
            Rotated::Done(session) => self.tokens(session, &next),
            Rotated::Reused => {
                self.inner.cache.lock().remove(&id);
                Err(gone())
            }
            Rotated::Gone => Err(gone()),
        }
    }

    /// Ends a person's session; whether it had not ended.
    pub async fn logout(&self, who: &SignedIn) -> Result<bool, Error> {
        let (id, now) = (who.session, self.now());
        let actor = format!("account:{}", who.account.to_address());
        let audit = AuditEntry::new(now, actor, "session.end", id.to_string());
        let ended = self.inner.options.store.end_session(id, now, audit).await;
        self.inner.cache.lock().remove(&id);
        ended.map_err(failed)
    }

    /// What an access token says, when it is one of ours and has not ended. Asks nobody.
    pub fn claims(&self, token: &str) -> Result<AccessClaims, TokenRefused> {
        let keys = self.inner.keys.read().clone();
        self.settings().issuer.verify(&keys, token, self.now())
    }

    /// Who sends this access token; anonymous when it is not valid, or its session has ended.
    pub async fn principal(&self, token: &str) -> Result<Principal, Error> {
        let Ok(claims) = self.claims(token) else {
            return Ok(Principal::Anonymous);
        };
        let (Some(account), Some(session)) = (claims.account(), claims.session()) else {
            return Ok(Principal::Anonymous);
        };
        Ok(self
            .person(session)
            .await?
            .filter(|who| who.account == account)
            .map_or(Principal::Anonymous, Principal::Account))
    }

    /// Whose a session is, with their roles as they are now, or were some seconds ago; nobody's when it has ended.
    pub async fn person(&self, session: SessionId) -> Result<Option<Arc<SignedIn>>, Error> {
        match self.cached(session) {
            Some(who) => Ok(who),
            None => self.look_up(session).await,
        }
    }

    fn cached(&self, id: SessionId) -> Option<Option<Arc<SignedIn>>> {
        let cache = self.inner.cache.lock();
        let (at, who) = cache.get(&id)?;
        let age = self.inner.options.clock.monotonic().saturating_sub(*at);
        (age < CACHE_AGE_MAX).then(|| who.clone())
    }

    async fn look_up(&self, id: SessionId) -> Result<Option<Arc<SignedIn>>, Error> {
        let clock = &self.inner.options.clock;
        // the age counts from before the question: what changes meanwhile is not believed for longer
        let asked = clock.monotonic();
        let found = self.inner.options.store.session(id, clock.now()).await;
        let who = found.map_err(failed)?.map(|(session, memberships)| {
            Arc::new(SignedIn {
                account: session.account,
                session: id,
                operator: self.is_operator(session.account),
                memberships,
            })
        });
        let mut cache = self.inner.cache.lock();
        if cache.len() >= CACHE_ENTRIES_MAX {
            cache.clear();
        }
        cache.insert(id, (asked, who.clone()));
        Ok(who)
    }

    /// Whether an account is among the node's operators.
    #[must_use]
    pub fn is_operator(&self, account: ScriptHash) -> bool {
        self.settings().operators.contains(&account)
    }

    /// Looks every session up anew: somebody's roles have changed.
    pub fn forget(&self) {
        self.inner.cache.lock().clear();
    }

    /// A fresh API key, which nobody knows yet.
    #[must_use]
    pub fn new_key(&self) -> ApiKey {
        let (mut id, mut secret) = ([0; 8], Zeroizing::new([0; 24]));
        self.entropy().fill(&mut id);
        self.entropy().fill(&mut *secret);
        ApiKey::new(id, *secret)
    }

    /// The public halves of the signing keys.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        self.inner.keys.read().jwks()
    }
}
