//! What comes with every call beside its message: who calls, within which trace, and for how long.

use super::status;
use neofn_api::{Api, Forwarded, Principal, Remote};
use neofn_types::{Error, FunctionKey, ProjectName, TraceContext};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// When the caller stops waiting; put beside the request where it is known first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

/// The other end of the connection; put beside the request where it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A call.
pub(super) struct Caller {
    pub(super) who: Principal,
    pub(super) trace: TraceContext,
    /// Whether it is a program on the same machine.
    pub(super) here: bool,
    deadline: Option<Deadline>,
}

impl Caller {
    /// Of a request about a project, which is counted.
    pub(super) async fn of<T>(
        api: &Api,
        request: &Request<T>,
        project: Option<&ProjectName>,
    ) -> Result<Self, Status> {
        let metadata = request.metadata();
        let trace = trace(api, metadata);
        let remote = remote(api, request.extensions().get(), metadata);
        let who = api.caller(text(metadata, "authorization"), remote).await;
        let who = who.map_err(|e| status::refuse(&e, &trace))?;
        let counted = api.count_request(&who, remote, project);
        counted.map_err(|e| status::refuse(&e.into(), &trace))?;
        Ok(Self {
            who,
            trace,
            here: remote.is_some_and(|r| r.here),
            deadline: request.extensions().get().copied(),
        })
    }

    /// Ready when the caller has stopped waiting; never, when it waits for ever.
    pub(super) async fn gave_up(&self) {
        match self.deadline {
            Some(Deadline(at)) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// The caller's trace with a span of ours, or a new trace.
pub(super) fn trace(api: &Api, metadata: &MetadataMap) -> TraceContext {
    let outer = text(metadata, "traceparent").and_then(|t| t.parse::<TraceContext>().ok());
    outer.map_or_else(
        || TraceContext::start(api.entropy()),
        |outer| outer.child(api.entropy()),
    )
}

/// Where a call comes from; none in tests that have no connection.
pub(super) fn remote(api: &Api, peer: Option<&Peer>, metadata: &MetadataMap) -> Option<Remote> {
    let Peer(connected) = *peer?;
    let named = ["forwarded", "x-forwarded-for", "x-real-ip"];
    let values = metadata.get_all("x-forwarded-for").iter();
    // a value that is no text ends the chain where it stands
    let hops: Vec<&str> = values.map(|v| v.to_str().unwrap_or("?")).collect();
    let hops = (!hops.is_empty()).then(|| hops.join(","));
    let forwarded = Forwarded {
        x_forwarded_for: hops.as_deref(),
        by_anyone: named.iter().any(|name| metadata.contains_key(*name)),
    };
    Some(api.remote(connected.ip(), forwarded))
}

/// The project of a function's name; none when the name is none, which is refused where it is used.
pub(super) fn project_of(name: &str) -> Option<ProjectName> {
    function_key(name).ok().map(|key| key.project)
}

/// A project that is named, or the default one.
pub(super) fn project_in(name: &str) -> Option<ProjectName> {
    if name.is_empty() {
        return Some(ProjectName::default_project());
    }
    name.parse().ok()
}

/// Metadata that is text.
pub(super) fn text<'m>(metadata: &'m MetadataMap, name: &str) -> Option<&'m str> {
    metadata.get(name).and_then(|v| v.to_str().ok())
}

/// `function` of the project `default`, or `project/function`.
pub(super) fn function_key(name: &str) -> Result<FunctionKey, Error> {
    let (project, function) = name.split_once('/').unwrap_or(("default", name));
    neofn_api::function_key(project, function)
}

/// The status of a call whose caller has stopped waiting.
pub(super) fn too_late(after: Option<Duration>) -> Status {
    Status::deadline_exceeded(match after {
        Some(after) => format!("the caller waited {after:?} and no longer"),
        None => "the caller no longer waits".to_owned(),
    })
}
