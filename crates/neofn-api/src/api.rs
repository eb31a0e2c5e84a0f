//! The handle that edges hold, and the two questions every use case asks first: who calls, and may they.

use crate::auth::Authenticator;
use crate::backup::Backups;
use crate::error::ApiError;
use crate::policy::{self, Action, Target};
use crate::rate::{RateLimits, Rates};
use crate::remote::{Proxies, Remote};
use neofn_chain::manager::Transactions;
use neofn_chain::signer::SignerProcess;
use neofn_engine::Engine;
use neofn_engine::port::{PromiseStore, ReplyStore};
use neofn_gas::Bank;
use neofn_identity::auditlog::AuditLog;
use neofn_identity::policy::Policies;
use neofn_identity::port::{IdentityStore, MemberStore};
use neofn_identity::{Identity, Principal};
use neofn_runtime::port::Runtime;
use neofn_secrets::Vault;
use neofn_types::{Clock, Code, Entropy, Error, FunctionKey, Limits, ProjectName};
use neofn_wire::JailView;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the use cases are built from.
pub struct ApiOptions {
    /// Does the work.
    pub engine: Engine,
    /// For the counters of sandboxes alone.
    pub runtime: Arc<dyn Runtime>,
    /// Holds the keys.
    pub identity: Arc<dyn IdentityStore>,
    /// Signs people in.
    pub accounts: Identity,
    /// Knows who is what in which project.
    pub members: Arc<dyn MemberStore>,
    /// Say who may do what.
    pub policies: Policies,
    /// How many requests a caller may send.
    pub rates: RateLimits,
    /// Whose word about where a request comes from is taken.
    pub proxies: Proxies,
    /// Keeps secrets; none on a node without.
    pub vault: Option<Arc<Vault>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where trace ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// The most a function may ask for.
    pub limits_max: Limits,
    /// What signs and sends; none without a chain.
    pub payments: Option<Payments>,
    /// Whose money is kept here; none where nothing costs anything.
    pub bank: Option<Bank>,
    /// Where acts are written down.
    pub audit: AuditLog,
    /// Remembers requests that name themselves.
    pub replies: Arc<dyn ReplyStore>,
    /// Under which bodies that hold secrets are remembered; the same on every node of a cluster.
    pub fingerprint_key: [u8; 32],
    /// Remembers who is to be told how an invocation ended.
    pub promises: Arc<dyn PromiseStore>,
    /// Makes backups; none where there is nothing to back up.
    pub backups: Option<Arc<dyn Backups>>,
    /// What does not change while the node runs.
    pub facts: NodeFacts,
}

/// What signs and sends on a node with a chain.
#[derive(Clone)]
pub struct Payments {
    /// Those that are managed.
    pub transactions: Transactions,
    /// Holds the keys.
    pub signer: Arc<SignerProcess>,
    /// Of a development chain alone.
    pub development: Option<Development>,
}

/// How anybody acts on a development chain: its keys are known to everybody.
#[derive(Debug, Clone)]
pub struct Development {
    /// The path of a NEP-6 file with funded accounts.
    pub wallet: String,
    /// Its password.
    pub password: String,
}

/// What does not change while the node runs.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Of the binary.
    pub version: String,
    /// How tenants' code is confined.
    pub jail: JailView,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) auth: Authenticator,
    pub(crate) accounts: Identity,
    pub(crate) members: Arc<dyn MemberStore>,
    pub(crate) policies: Policies,
    pub(crate) rates: Rates,
    pub(crate) proxies: Proxies,
    pub(crate) vault: Option<Arc<Vault>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) limits_max: Limits,
    pub(crate) payments: Option<Payments>,
    pub(crate) bank: Option<Bank>,
    pub(crate) audit: AuditLog,
    pub(crate) replies: Arc<dyn ReplyStore>,
    pub(crate) fingerprint_key: [u8; 32],
    pub(crate) promises: Arc<dyn PromiseStore>,
    pub(crate) backups: Option<Arc<dyn Backups>>,
    pub(crate) facts: NodeFacts,
    pub(crate) services: OnceLock<Arc<dyn crate::Services>>,
    pub(crate) started: Duration,
    pub(crate) draining: AtomicBool,
    /// As the store last said.
    pub(crate) counted: parking_lot::Mutex<neofn_engine::port::Totals>,
}

impl Api {
    /// Over its parts.
    #[must_use]
    pub fn new(options: ApiOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine: options.engine,
                runtime: options.runtime,
                auth: Authenticator::new(options.identity, options.accounts.clone(), options.clock.clone()),
                accounts: options.accounts,
                members: options.members,
                policies: options.policies,
                rates: Rates::new(options.rates),
                proxies: options.proxies,
                vault: options.vault,
                started: options.clock.monotonic(),
                clock: options.clock,
                entropy: options.entropy,
                limits_max: options.limits_max,
                payments: options.payments,
                bank: options.bank,
                audit: options.audit,
                replies: options.replies,
                fingerprint_key: options.fingerprint_key,
                promises: options.promises,
                backups: options.backups,
                facts: options.facts,
                services: OnceLock::new(),
                draining: AtomicBool::new(false),
                counted: parking_lot::Mutex::default(),
            }),
        }
    }

    /// Who sends this `Authorization` header over a bus, which names no address.
    pub async fn principal(&self, authorization: Option<&str>) -> Result<Principal, Error> {
        self.inner.auth.principal(authorization, || Ok(())).await
    }

    /// Who sends it from there.
    pub async fn caller(
        &self,
        authorization: Option<&str>,
        remote: Option<Remote>,
    ) -> Result<Principal, ApiError> {
        let count = || self.count_unknown_key(remote).map_err(ApiError::from);
        self.inner.auth.principal(authorization, count).await
    }

    /// Who somebody is by now, for what lasts longer than a request.
    pub(crate) async fn again(&self, who: &Principal) -> Result<Principal, Error> {
        self.inner.auth.again(who).await
    }

    /// Randomness for trace ids.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// From here on the node says that it is going: not ready, and `draining`.
    pub fn begin_drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
    }

    /// What signs and sends (NF0816 without a chain).
    pub(crate) fn payments(&self) -> Result<&Payments, Error> {
        self.inner
            .payments
            .as_ref()
            .ok_or_else(|| Code::ChainAbsent.into())
    }

    /// Whose money is kept here (NF1307 where nothing costs anything).
    pub(crate) fn bank(&self) -> Result<&Bank, Error> {
        self.inner.bank.as_ref().ok_or_else(|| Code::BankAbsent.into())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// May they do this?
    pub(crate) fn authorise(&self, who: &Principal, action: Action, target: Target<'_>) -> Result<(), Error> {
        policy::authorise(&self.inner.policies, who, action, target)
    }

    /// May they do this to a function? Also for an edge that wants to know before it reads a large body.
    pub fn authorise_function(
        &self,
        who: &Principal,
        action: Action,
        key: &FunctionKey,
    ) -> Result<(), Error> {
        self.authorise(
            who,
            action,
            Target::Function {
                key,
                hidden_as: Code::FunctionNotFound,
                public: false,
            },
        )
    }

    /// May they do this in a project? Also for an edge that wants to know before it reads a large body.
    pub fn authorise_project(
        &self,
        who: &Principal,
        action: Action,
        project: &ProjectName,
    ) -> Result<(), Error> {
        self.authorise(
            who,
            action,
            Target::Project {
                project,
                hidden_as: Code::ProjectNotFound,
            },
        )
    }

    /// May they run it? Only for those who may not anyway is it looked up whether the function is public. Whether it exists
    /// is not for outsiders to learn: one that does not is not public.
    pub(crate) async fn authorise_call(
        &self,
        who: &Principal,
        action: Action,
        key: &FunctionKey,
    ) -> Result<Caller, ApiError> {
        let target = |public| Target::Function {
            key,
            hidden_as: Code::FunctionNotFound,
            public,
        };
        let Err(refused) = self.authorise(who, action, target(false)) else {
            return Ok(Caller::Ours);
        };
        if self.engine().is_public_to_strangers(key).await? {
            self.authorise(who, action, target(true))?;
            return Ok(Caller::Stranger);
        }
        Err(refused.into())
    }
}

/// Whose call was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Of somebody who may.
    Ours,
    /// Of anybody, as the function is public.
    Stranger,
}
