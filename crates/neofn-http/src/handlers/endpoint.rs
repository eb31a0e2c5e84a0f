//! A function's own HTTP endpoint under `/f/{project}/{function}`.

use crate::extract::{Caller, KeyPath};
use crate::gateway::Credentials;
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, gateway};
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use neofn_api::{Call, Principal, json, unusable};

/// Calls the function with the request as its event, and answers with its result.
pub(crate) async fn call(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    params: RawPathParams,
    request: Request,
) -> Result<Response, Refusal> {
    let rest = params
        .iter()
        .find(|(name, _)| *name == "rest")
        .map_or("", |(_, rest)| rest);
    // tells whether credentials can be for the function; those that we took were for us, and stay with us
    let public = edge
        .api()
        .endpoint(&caller.who, &key, request.method().as_str(), &format!("/{rest}"))
        .await?;
    let (parts, body) = request.into_parts();
    let body = body::read(&edge, &parts.headers, body, json::EVENT_BYTES_MAX).await?;
    let passed = Credentials {
        authorization: public && caller.who == Principal::Anonymous,
        cookie: public,
    };
    let call = Call {
        body: gateway::event(&parts, rest, &body, passed),
        // not the headers: a repeated request carries other traces, dates and credentials
        fingerprint: Some(gateway::fingerprint(&parts, &body)),
        idempotency_key: header_text(&parts.headers, "idempotency-key")?.map(str::to_owned),
        trace: caller.trace,
        here: caller.loopback,
    };
    let run = edge.api().call_endpoint(&caller.who, key, call).await?;
    gateway::response(run.outcome.as_deref().unwrap_or(b"null")).map_err(|e| unusable(run, &e).into())
}
