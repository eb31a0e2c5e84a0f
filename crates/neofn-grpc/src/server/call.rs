//! What comes with every call beside its message: who calls, within which trace, and for how long.

use super::status;
use neofn_api::{Api, Principal};
use neofn_types::{Error, FunctionKey, TraceContext};
use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// When the caller stops waiting; put beside the request where it is known first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

/// A call.
pub(super) struct Caller {
    pub(super) who: Principal,
    pub(super) trace: TraceContext,
    deadline: Option<Deadline>,
}

impl Caller {
    /// Of a request.
    pub(super) async fn of<T>(api: &Api, request: &Request<T>) -> Result<Self, Status> {
        let metadata = request.metadata();
        let trace = trace(api, metadata);
        let who = api.principal(text(metadata, "authorization")).await;
        Ok(Self {
            who: who.map_err(|e| status::plain(e, &trace))?,
            trace,
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
