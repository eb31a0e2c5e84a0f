//! How many requests a caller may send. Operators, and programs on the same machine that show no credentials, are not
//! counted.
//!
//! A project's quota is for those who belong to it, and they alone are told how much of it is left. Strangers count for a
//! project once they were found to call something public, and then in a quota of its own: nobody can shut its people out.

use crate::api::Api;
use crate::remote::{Forwarded, Remote};
use neofn_identity::Principal;
use neofn_identity::limit::{Limited, Limiter, Quota, Standing, Subject};
use neofn_types::{Code, Error, ProjectName};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The quotas of a node.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Of a key, or of a person.
    pub credential: Quota,
    /// Of an address without credentials; also of unknown keys shown from there.
    pub address: Quota,
    /// Of all requests about a project.
    pub project: Quota,
    /// Of an address that signs in.
    pub sign_in: Quota,
}

impl Default for RateLimits {
    fn default() -> Self {
        let a_minute = |requests| Quota {
            requests,
            window: MINUTE,
        };
        Self {
            credential: a_minute(12_000),
            address: a_minute(3_000),
            project: a_minute(60_000),
            sign_in: a_minute(30),
        }
    }
}

/// The buckets of a node.
#[derive(Debug)]
pub(crate) struct Rates {
    limits: RateLimits,
    limiter: Mutex<Limiter>,
}

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            limiter: Mutex::default(),
        }
    }
    fn take(&self, of: &[(Subject, Quota)], now: Duration) -> Result<Option<Standing>, Limited> {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.take(of, now)
    }
    fn look(&self, of: &[(Subject, Quota)], now: Duration) -> Result<(), Limited> {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.look(of, now)
    }
    /// What a request of this caller about this project is counted under.
    fn subjects(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        project: Option<&ProjectName>,
    ) -> Vec<(Subject, Quota)> {
        let mut of = Vec::with_capacity(2);
        match who {
            who if who.is_operator() => return of,
            Principal::Anonymous => of.extend(address.map(|ip| (Subject::Peer(ip), self.limits.address))),
            Principal::Key { id, .. } => of.push((Subject::Key(*id), self.limits.credential)),
            Principal::Account(who) => of.push((Subject::Account(who.account), self.limits.credential)),
        }
        if let Some(project) = project.filter(|project| who.is_of(project)) {
            of.push((Subject::Project(project.clone()), self.limits.project));
        }
        of
    }
}

/// A request too many: what the headers say, and the error.
#[derive(Debug)]
pub struct TooMany {
    /// For the headers.
    pub limited: Limited,
    /// For the body.
    pub error: Box<Error>,
}

impl From<Limited> for TooMany {
    fn from(limited: Limited) -> Self {
        let quota = limited.standing.quota;
        let error = Error::new(
            Code::RateLimited,
            format!(
                "more than {} requests in {} seconds for this {}; the next one in {} s",
                quota.requests,
                quota.window.as_secs(),
                match limited.standing.policy {
                    "public" => "project's public functions",
                    "unknown-key" => "address with keys that nobody knows",
                    policy => policy,
                },
                limited.retry_after_s
            ),
        );
        Self {
            limited,
            error: Box::new(error),
        }
    }
}

impl Api {
    /// Where a request comes from, by its connection and what proxies said.
    #[must_use]
    pub fn remote(&self, connected: IpAddr, forwarded: Forwarded<'_>) -> Remote {
        self.inner.proxies.remote(connected, forwarded)
    }

    /// Counts a request, of this caller, and for this project when they belong to it. Answers how many are left.
    pub fn count_request(
        &self,
        who: &Principal,
        remote: Option<Remote>,
        project: Option<&ProjectName>,
    ) -> Result<Option<Standing>, TooMany> {
        let rates = &self.inner.rates;
        let remote = remote.filter(|r| !r.here).map(|r| r.address);
        let of = rates.subjects(who, remote, project);
        Ok(rates.take(&of, self.inner.clock.monotonic())?)
    }

    /// Counts a stranger's call of something public, which it was found to be.
    pub(crate) fn count_stranger(&self, project: &ProjectName) -> Result<(), TooMany> {
        let rates = &self.inner.rates;
        let of = [(Subject::Strangers(project.clone()), rates.limits.project)];
        rates.take(&of, self.inner.clock.monotonic())?;
        Ok(())
    }

    /// Counts a message of a bus, which names no address: strangers' calls are counted when they are let in.
    pub fn count_message(&self, who: &Principal, project: &ProjectName) -> Result<(), TooMany> {
        self.count_request(who, None, Some(project)).map(drop)
    }
    /// Whether a message would be counted without being too many. For one that goes into a queue, where it is counted when
    /// it is taken out.
    pub fn look_at_message(&self, who: &Principal, project: &ProjectName) -> Result<(), TooMany> {
        let rates = &self.inner.rates;
        let of = rates.subjects(who, None, Some(project));
        Ok(rates.look(&of, self.inner.clock.monotonic())?)
    }

    /// Counts a key that nobody has shown yet, before it is looked up.
    pub(crate) fn count_unknown_key(&self, remote: Option<Remote>) -> Result<(), TooMany> {
        let Some(ip) = remote.filter(|r| !r.here).map(|r| r.address) else {
            return Ok(());
        };
        let rates = &self.inner.rates;
        let of = [(Subject::UnknownKey(ip), rates.limits.address)];
        rates.take(&of, self.inner.clock.monotonic())?;
        Ok(())
    }

    /// Counts an attempt to sign in.
    pub fn count_sign_in(&self, remote: Option<Remote>) -> Result<Option<Standing>, TooMany> {
        let Some(ip) = remote.filter(|r| !r.here).map(|r| r.address) else {
            return Ok(None);
        };
        let rates = &self.inner.rates;
        let of = [(Subject::SignIn(ip), rates.limits.sign_in)];
        Ok(rates.take(&of, self.inner.clock.monotonic())?)
    }
}
