//! The broker: who may ask how much, where redirects lead, and when a host is left alone.

use crate::address::Reach;
use crate::breaker::{Breaker, Leave};
use crate::connect::Lookup;
use crate::handles::{Handle, has_handle};
use crate::headers::Outgoing;
use crate::hop::{Answer, Hop};
use crate::limits::EgressLimits;
use crate::port::{Resolve, SystemResolver};
use crate::request::{Fetch, Fetched, Redirects};
use crate::room::Room;
use crate::shares::{Parts, Share, Shares, busy};
use crate::target::Target;
use crate::tls::{self, TlsRoots};
use bytes::Bytes;
use http::{HeaderValue, Method};
use neofn_types::{Clock, Code, Error, FunctionKey, Scheme};
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Methods that functions may use.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// How a broker is set up.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Which addresses are reached.
    pub reach: Reach,
    /// How much a request may take.
    pub limits: EgressLimits,
    /// Roots beside the web's.
    pub roots: TlsRoots,
    /// Turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// For the breaker.
    pub clock: Arc<dyn Clock>,
    /// What the broker calls itself.
    pub agent: String,
}

impl BrokerOptions {
    /// Public addresses, the web's roots, the system's resolver.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            reach: Reach::default(),
            limits: EgressLimits::default(),
            roots: TlsRoots::default(),
            resolver: Arc::new(SystemResolver),
            clock,
            agent: concat!("neofn/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The one way out. Share it.
pub struct Broker {
    pub(crate) options: BrokerOptions,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) agent: HeaderValue,
    breaker: Breaker,
    functions: Parts<FunctionKey>,
    requests: Shares,
    lookups: Shares,
    answers: Shares,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("reach", &self.options.reach)
            .finish_non_exhaustive()
    }
}

/// Places that a request holds.
struct Places {
    _function: OwnedSemaphorePermit,
    _share: Share,
}

impl Broker {
    /// Sets it up, or says what of the options is not valid.
    pub fn new(options: BrokerOptions) -> Result<Self, Error> {
        let agent = HeaderValue::from_str(&options.agent)
            .map_err(|e| Error::new(Code::ConfigInvalid, format!("the broker's name: {e}")))?;
        let limits = &options.limits;
        Ok(Self {
            tls: tls::config(&options.roots)?,
            agent,
            breaker: Breaker::default(),
            functions: Parts::new(limits.per_function),
            requests: Shares::new(limits.per_project, limits.per_node),
            lookups: Shares::new(limits.lookups_per_project, limits.lookups_per_node),
            answers: Shares::new(limits.answer_bytes_per_project, limits.answer_bytes_per_node),
            options,
        })
    }

    /// Makes a request for a function. `handles` are the secrets that it names ([`crate::handle_names`]) and may use.
    /// The answer may contain values of theirs if the host sends them back: scrub it. Dropping the future ends it all.
    pub async fn fetch(&self, fetch: &Fetch, handles: &[Handle]) -> Result<Fetched, Error> {
        let limit = self.options.limits.time;
        let time = fetch.time.unwrap_or(limit).min(limit);
        let mut host = None;
        let done = tokio::time::timeout(time, self.within_places(fetch, handles, &mut host)).await;
        let ms = time.as_millis();
        let Some(host) = host else {
            // nobody was asked yet: others of the function, the project or the node were before it
            let busy = || {
                Error::new(
                    Code::EgressBusy,
                    format!("fetch: its turn did not come within {ms} ms"),
                )
            };
            return done.unwrap_or_else(|_| Err(busy()));
        };
        let late = || Error::new(Code::EgressTimeout, format!("fetch: no answer within {ms} ms"));
        let result = done.unwrap_or_else(|_| Err(late()));
        self.note(&fetch.function, &host, &result);
        result
    }

    async fn within_places(
        &self,
        fetch: &Fetch,
        handles: &[Handle],
        host: &mut Option<String>,
    ) -> Result<Fetched, Error> {
        let _places = self.places(&fetch.function).await?;
        self.follow(fetch, handles, host).await
    }

    async fn places(&self, function: &FunctionKey) -> Result<Places, Error> {
        let held = self.functions.of(function).acquire_owned().await;
        Ok(Places {
            _function: held.map_err(busy)?,
            _share: self.requests.take(&function.project, 1).await?,
        })
    }

    async fn lookup(&self, function: &FunctionKey, target: &Target) -> Result<Lookup, Error> {
        Ok(match target.literal {
            Some(address) => Lookup::Literal(address),
            None => Lookup::Name(
                Arc::clone(&self.options.resolver),
                self.lookups.take(&function.project, 1).await?,
            ),
        })
    }

    /// From hop to hop; `host` is the one that is being asked.
    async fn follow(
        &self,
        fetch: &Fetch,
        handles: &[Handle],
        host: &mut Option<String>,
    ) -> Result<Fetched, Error> {
        let mut method = read_method(&fetch.method)?;
        let mut headers = Outgoing::read(&fetch.headers, &self.options.limits)?;
        let mut body = fetch.body.as_ref();
        if body.is_some() && (method == Method::GET || method == Method::HEAD) {
            return Err(Error::new(
                Code::BadHostCall,
                format!("fetch: a {method} request has no body"),
            ));
        }
        let mut target = Target::read(&fetch.url)?;
        let mut hops = 0;
        loop {
            target.granted(method.as_str(), &fetch.allow, &fetch.function)?;
            *host = None;
            let lookup = self.lookup(&fetch.function, &target).await?;
            self.ask(&fetch.function, &target)?;
            *host = Some(target.host.clone());
            let hop = Hop {
                target: &target,
                lookup,
                room: Room::new(&self.answers, &fetch.function.project, &self.options.limits),
                method: &method,
                headers: &headers,
                body,
                handles,
                redirects: fetch.redirects,
            };
            let answer = self.hop(hop).await?;
            let Some(location) = redirection(&answer, fetch.redirects)? else {
                return Ok(fetched(&target, hops > 0, answer));
            };
            if hops >= self.options.limits.redirects {
                return Err(refused(format!(
                    "fetch: more than {} redirects",
                    self.options.limits.redirects
                )));
            }
            hops += 1;
            self.breaker.tell(
                &fetch.function,
                &target.host,
                true,
                self.options.clock.monotonic(),
                &self.options.limits,
            );
            let next = next_target(&target, &location)?;
            let rewritten = match answer.status {
                303 => method != Method::HEAD && method != Method::GET,
                301 | 302 => method == Method::POST,
                _ => false,
            };
            if rewritten {
                method = Method::GET;
                body = None;
                headers.without_body();
            }
            if !next.same_origin(&target) {
                headers.leave_origin();
                check_body(body, &next)?;
            }
            target = next;
        }
    }

    fn ask(&self, function: &FunctionKey, target: &Target) -> Result<(), Error> {
        let now = self.options.clock.monotonic();
        match self.breaker.ask(function, &target.host, now) {
            Leave::Go => Ok(()),
            Leave::Wait(pause) => Err(Error::new(
                Code::EgressCircuit,
                format!(
                    "fetch: the last requests to {} failed; the next is sent in {} s",
                    target.host,
                    pause.as_secs().saturating_add(1)
                ),
            )),
        }
    }
    /// A host that is down counts, one that says no does not.
    fn note(&self, function: &FunctionKey, host: &str, result: &Result<Fetched, Error>) {
        let well = match result {
            Ok(fetched) => !matches!(fetched.status, 502..=504),
            Err(error) => !matches!(
                error.code,
                Code::EgressUnreachable | Code::EgressTimeout | Code::EgressProtocol
            ),
        };
        let now = self.options.clock.monotonic();
        self.breaker.tell(function, host, well, now, &self.options.limits);
    }
}

fn read_method(text: &str) -> Result<Method, Error> {
    let upper = text.to_ascii_uppercase();
    let known = METHODS.iter().find(|m| **m == upper);
    known
        .and_then(|m| Method::from_bytes(m.as_bytes()).ok())
        .ok_or_else(|| {
            let shown: String = text.chars().take(20).collect();
            Error::new(
                Code::BadHostCall,
                format!("fetch: no request is made by {shown:?}"),
            )
        })
}

/// A body that holds a handle is meant for one origin; the next may not even know what it is.
fn check_body(body: Option<&Bytes>, next: &Target) -> Result<(), Error> {
    match body {
        Some(body) if has_handle(body) => Err(Error::new(
            Code::SecretHost,
            format!(
                "fetch: the host redirects a body with a secret in it to {}",
                next.origin()
            ),
        )),
        _ => Ok(()),
    }
}

/// Where the answer redirects to, if it is to be followed.
fn redirection(answer: &Answer, redirects: Redirects) -> Result<Option<String>, Error> {
    let location = match (answer.status, &answer.location) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => location,
        _ => return Ok(None),
    };
    match redirects {
        Redirects::Manual => Ok(None),
        Redirects::Follow => Ok(Some(location.clone())),
        Redirects::Error => Err(refused(
            "fetch: the host redirects, which the request forbids".to_owned(),
        )),
    }
}

fn refused(message: String) -> Error {
    Error::new(Code::EgressRedirect, message)
}

fn next_target(from: &Target, location: &str) -> Result<Target, Error> {
    let url = from
        .url
        .join(location)
        .map_err(|_| refused("fetch: the host redirects to what is no URL".to_owned()))?;
    let next = Target::of(url)?;
    if from.scheme == Scheme::Https && next.scheme == Scheme::Http {
        return Err(refused("fetch: the host redirects from https to http".to_owned()));
    }
    Ok(next)
}

fn fetched(target: &Target, redirected: bool, answer: Answer) -> Fetched {
    Fetched {
        url: target.url.as_str().to_owned(),
        redirected,
        status: answer.status,
        status_text: answer.reason,
        headers: answer.headers,
        body: answer.body,
    }
}
