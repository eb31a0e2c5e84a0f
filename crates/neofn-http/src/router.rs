//! The table of paths, and what happens around every request: a trace, a count, problem documents.

use crate::body;
use crate::extract::Peer;
use crate::handlers::{
    audit, auth, backup, books, chain, docs, endpoint, events, functions, gas, invocations, invoke, logs,
    members, node, projects, secrets, signer, transactions, triggers,
};
use crate::metrics::HttpCounters;
use crate::problem::{self, Refusal};
use crate::shield::{self, Asked, Counted, Origins};
use crate::{once, unread};
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, delete, get, patch, post, put};
use http::{HeaderName, HeaderValue, Request};
use neofn_api::{Action, Api, Room};
use neofn_types::{Code, Error, TraceContext};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A path that is served, and what its caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Lower case; `any` for all.
    pub method: &'static str,
    /// With `{parameters}`.
    pub path: &'static str,
    /// What the policy table decides on.
    pub action: Action,
}

macro_rules! endpoints {
    ($($method:ident $path:literal $action:ident $handler:path;)*) => {
        /// Every path that is served. The router is made from this table, so nothing is served beside it.
        pub const ENDPOINTS: &[Endpoint] = &[$(
            Endpoint { method: stringify!($method), path: $path, action: Action::$action },
        )*];
        fn routes() -> Router<Edge> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

endpoints! {
    post   "/api/v1/functions/{project}/{function}" Invoke invoke::invoke;
    get    "/api/v1/functions/{project}/{function}" ReadFunction functions::read;
    patch  "/api/v1/functions/{project}/{function}" Patch functions::change;
    get    "/api/v1/functions/{project}/{function}/dependencies" ReadFunction functions::dependencies;
    get    "/api/v1/functions/{project}/{function}/versions" ListVersions functions::versions;
    post   "/api/v1/functions/{project}/{function}/rollback" Rollback functions::rollback;
    post   "/api/v1/functions/{project}/{function}/estimate" Estimate invoke::estimate;
    get    "/api/v1/functions/{project}/{function}/logs" ReadLogs logs::logs;
    get    "/api/v1/functions/{project}/{function}/invocations" ListInvocations invocations::list;
    get    "/api/v1/projects/{project}/functions" ListFunctions functions::list;
    get    "/api/v1/invocations/{id}" ReadInvocation invocations::read;
    post   "/api/v1/invocations/{id}/replay" Replay invocations::replay;
    post   "/api/v1/events" Publish events::publish;
    get    "/api/v1/events" ListEvents events::list;
    get    "/api/v1/triggers" ListTriggers triggers::list;
    patch  "/api/v1/triggers/{project}/{function}/{trigger}" SwitchTrigger triggers::change;
    get    "/api/v1/triggers/{project}/{function}/{trigger}/test" TestTrigger triggers::test;
    post   "/api/v1/triggers/{project}/{function}/{trigger}/backtest" TestTrigger triggers::backtest;
    get    "/api/v1/deadletters" ListDeadLetters triggers::dead_letters;
    post   "/api/v1/deadletters/retry" RedoDeadLetters triggers::retry;
    post   "/api/v1/deadletters/drop" RedoDeadLetters triggers::discard;
    get    "/api/v1/chain" ReadChain chain::info;
    get    "/api/v1/chain/blocks/{height}" ReadChain chain::block;
    get    "/api/v1/chain/transactions/{id}" ReadChain chain::transaction;
    get    "/api/v1/chain/notifications" ReadChain chain::notifications;
    get    "/api/v1/chain/balances/{id}" ReadChain chain::balance;
    post   "/api/v1/chain/call" ReadChain chain::call;
    post   "/api/v1/chain/recheck" RecheckChain chain::recheck;
    post   "/api/v1/chain/decode" ReadChain chain::decode;
    post   "/api/v1/chain/invoke" SendTransactions transactions::invoke;
    post   "/api/v1/chain/contracts" SendTransactions transactions::deploy;
    post   "/api/v1/chain/contracts/{id}/update" SendTransactions transactions::update;
    get    "/api/v1/transactions" ReadTransactions transactions::list;
    get    "/api/v1/transactions/{id}" ReadTransactions transactions::read;
    post   "/api/v1/transactions/{id}/witness" CosignTransaction transactions::cosign;
    post   "/api/v1/transactions/{id}/replace" SendTransactions transactions::replace;
    get    "/api/v1/secrets/{project}" ReadSecret secrets::list;
    put    "/api/v1/secrets/{project}/{name}" WriteSecret secrets::set;
    get    "/api/v1/secrets/{project}/{name}" ReadSecret secrets::show;
    delete "/api/v1/secrets/{project}/{name}" WriteSecret secrets::remove;
    get    "/api/v1/secrets/{project}/{name}/versions" ReadSecret secrets::versions;
    post   "/api/v1/secrets/{project}/{name}/rollback" WriteSecret secrets::rollback;
    post   "/api/v1/secrets/{project}/{name}/undelete" WriteSecret secrets::undelete;
    post   "/api/v1/secrets/{project}/{name}/destroy" DestroySecret secrets::destroy;
    post   "/api/v1/secrets/{project}/{name}/rotate" WriteSecret secrets::rotate;
    post   "/api/v1/projects/{project}/rewrap" DestroySecret secrets::rewrap;
    get    "/api/v1/vault" ManageVault secrets::vault;
    post   "/api/v1/vault/seal" ManageVault secrets::seal;
    post   "/api/v1/vault/unseal" ManageVault secrets::unseal;
    post   "/api/v1/vault/rotate" ManageVault secrets::rotate_root;
    get    "/api/v1/signer" ManageSigner signer::show;
    post   "/api/v1/signer/accounts" ManageSigner signer::import;
    patch  "/api/v1/signer/accounts/{id}" ManageSigner signer::change;
    get    "/api/v1/signer/signatures" ManageSigner signer::signatures;
    get    "/api/v1/services" ListServices node::services;
    get    "/api/v1/services/{project}" ListFunctions functions::catalogue;
    get    "/api/v1/services/{project}/{function}" ReadFunction functions::look_up;
    post   "/api/functions/projects/{project}" Deploy functions::deploy;
    get    "/api/functions/projects/{project}" ListFunctions functions::list;
    get    "/api/functions/{project}/{function}" ReadFunction functions::read;
    patch  "/api/functions/{project}/{function}" Patch functions::change;
    delete "/api/functions/{project}/{function}" Delete functions::remove;
    any    "/f/{project}/{function}" Endpoint endpoint::call;
    any    "/f/{project}/{function}/" Endpoint endpoint::call;
    any    "/f/{project}/{function}/{*rest}" Endpoint endpoint::call;
    post   "/auth/challenge" SignIn auth::challenge;
    post   "/auth/login" SignIn auth::login;
    post   "/auth/refresh" SignIn auth::refresh;
    post   "/auth/logout" OwnSession auth::logout;
    get    "/auth/whoami" OwnSession auth::whoami;
    get    "/.well-known/jwks.json" SignIn auth::jwks;
    get    "/api/v1/projects" ListProjects members::projects;
    post   "/api/v1/projects" CreateProject members::create_project;
    delete "/api/v1/projects/{project}" DeleteProject projects::delete;
    get    "/api/v1/members/{project}" ListMembers members::members;
    put    "/api/v1/members/{project}/{address}" ManageMembers members::set_member;
    delete "/api/v1/members/{project}/{address}" ManageMembers members::remove_member;
    get    "/api/v1/keys/{project}" ManageKeys members::keys;
    post   "/api/v1/keys/{project}" ManageKeys members::create_key;
    delete "/api/v1/keys/{project}/{id}" ManageKeys members::revoke_key;
    get    "/api/v1/gas" OperateBank gas::reconcile;
    post   "/api/v1/gas" OperateBank gas::write_off;
    get    "/api/v1/gas/{project}" ReadGas gas::balance;
    get    "/api/v1/gas/{project}/deposit" ReadGas gas::deposit;
    get    "/api/v1/gas/{project}/statement" ReadGas gas::statement;
    get    "/api/v1/gas/{project}/limits" ReadGas gas::limits;
    put    "/api/v1/gas/{project}/limits" ManageGas gas::set_limit;
    get    "/api/v1/gas/{project}/withdrawals" ReadGas gas::withdrawals;
    post   "/api/v1/gas/{project}/withdrawals" ManageGas gas::withdraw;
    get    "/api/v1/gas/{project}/refill" ReadGas gas::refill;
    put    "/api/v1/gas/{project}/refill" OperateBank gas::set_refill;
    get    "/api/v1/gas/{project}/usage" ReadGas books::usage;
    post   "/api/v1/gas/{project}/close" ManageGas books::close;
    get    "/api/v1/suspense" OperateBank books::suspense;
    post   "/api/v1/suspense" OperateBank books::attribute;
    get    "/api/v1/audit" ReadAudit audit::list;
    get    "/api/v1/audit/checkpoint" ReadAudit audit::checkpoint;
    get    "/api/v1/audit/proof" ReadAudit audit::proof;
    get    "/api/v1/audit/export" ReadAudit audit::export;
    post   "/api/v1/backups" MakeBackup backup::create;
    get    "/health" Health node::health;
    get    "/ready" Health node::ready;
    get    "/metrics" Metrics node::metrics;
    get    "/openapi.json" Docs docs::openapi;
    get    "/docs" Docs docs::page;
    get    "/docs/errors/{id}" Docs docs::error_page;
}

/// The edge: the router with all that its handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    api: Api,
    counters: HttpCounters,
    going: CancellationToken,
    origins: Origins,
    bodies: Room,
}

impl Edge {
    /// Over the use cases. When `going` is cancelled, open streams end.
    #[must_use]
    pub fn new(api: Api, going: CancellationToken) -> Self {
        Self::with_origins(api, going, &[])
    }
    /// The same; pages of these sites, such as `https://app.example`, may call it from a browser.
    #[must_use]
    pub fn with_origins(api: Api, going: CancellationToken, origins: &[String]) -> Self {
        Self {
            shared: Arc::new(Shared {
                api,
                counters: HttpCounters::default(),
                going,
                origins: Origins::new(origins),
                bodies: Room::new(body::ALL_BYTES_MAX),
            }),
        }
    }
    pub(crate) fn api(&self) -> &Api {
        &self.shared.api
    }
    pub(crate) fn counters(&self) -> &HttpCounters {
        &self.shared.counters
    }
    pub(crate) fn bodies(&self) -> &Room {
        &self.shared.bodies
    }
    pub(crate) fn going(&self) -> &CancellationToken {
        &self.shared.going
    }

    /// The service that answers requests.
    #[must_use]
    pub fn service(&self) -> EdgeService {
        let router = routes()
            .fallback(|| async { Refusal::from(Code::PathNotFound) })
            .method_not_allowed_fallback(|| async { Refusal::from(Code::MethodNotAllowed) })
            .with_state(self.clone());
        EdgeService {
            edge: self.clone(),
            router,
        }
    }
}

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct EdgeService {
    edge: Edge,
    router: Router,
}

impl EdgeService {
    /// Answers one request; `peer` is the other end of its connection.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Result<Response, Infallible>
    where
        B: axum::body::HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = unread::drained(request);
        let trace = self.trace(&request);
        request.extensions_mut().insert(trace);
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        let counted = Counted::default();
        request.extensions_mut().insert(counted.clone());
        let origins = &self.edge.shared.origins;
        let asked = Asked::of(&request, origins, counted);
        let response = match shield::preflight(&request, origins) {
            Some(response) => response,
            None if once::concerns(&request) => self.once(request).await?,
            None => self.router.clone().call(request).await?,
        };
        // an event may have brought its own
        let trace = response.extensions().get().copied().unwrap_or(trace);
        let mut response = problem::finish(response, &trace);
        asked.finish(response.headers_mut());
        self.edge.counters().answered(response.status());
        if let Ok(value) = HeaderValue::try_from(trace.to_string()) {
            response.headers_mut().insert(TRACEPARENT.clone(), value);
        }
        Ok(response)
    }

    /// A request that names itself is done once. In a task of its own: what was done is kept also when the caller goes.
    async fn once(&self, request: Request<axum::body::Body>) -> Result<Response, Infallible> {
        let (request, naming) = match once::ask(&self.edge, request).await {
            once::Asked::Do(request, naming) => (request, naming),
            once::Asked::Answered(response) => return Ok(response),
        };
        let (edge, mut router) = (self.edge.clone(), self.router.clone());
        let done = tokio::spawn(async move {
            let response = router.call(request).await?;
            Ok(match naming {
                Some(naming) => once::end(&edge, naming, response).await,
                None => response,
            })
        });
        match done.await {
            Ok(response) => response,
            Err(panicked) => Ok(Refusal::from(Error::internal(panicked)).into_response()),
        }
    }

    /// The caller's trace with a span of ours, or a new trace.
    fn trace<B>(&self, request: &Request<B>) -> TraceContext {
        let entropy = self.edge.api().entropy();
        request
            .headers()
            .get(&TRACEPARENT)
            .and_then(|v| v.to_str().ok()?.parse::<TraceContext>().ok())
            .map_or_else(|| TraceContext::start(entropy), |outer| outer.child(entropy))
    }
}

/// A header's value that is not text.
pub(crate) fn header_text<'a>(headers: &'a http::HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    headers
        .get(name)
        .map(|v| {
            v.to_str()
                .map_err(|_| Error::new(Code::BadParameter, format!("`{name}` must be visible ASCII")))
        })
        .transpose()
}
