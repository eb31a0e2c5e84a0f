//! Invoking: the hot path of the edge.

use super::events::{event_body, is_event};
use crate::extract::{Caller, KeyPath, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use neofn_api::{Action, Call, json};
use neofn_types::FunctionKey;
use neofn_wire::{Accepted, Estimate, InvokeAnswer, Problem};
use serde::Deserialize;

/// Parameters of an invocation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvokeParams {
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Sync,
    Async,
}

/// Runs a function.
#[utoipa::path(post, path = "/api/v1/functions/{project}/{function}", tag = "invocations",
    params(
        ("project" = String, Path), ("function" = String, Path),
        ("mode" = Option<String>, Query, description = "`async` answers at once and runs it later"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key and body answer the same invocation"),
    ),
    request_body(content = Object, description = "The event: any JSON, at most 1 MiB; nothing is null. A CloudEvent in any form arrives in the JSON format", content_type = "application/json"),
    responses(
        (status = 200, description = "It ran", body = InvokeAnswer),
        (status = 202, description = "It is queued", body = Accepted),
        (status = "default", description = "It was not taken, or it failed", body = Problem, content_type = "application/problem+json"),
    ), security((), ("key" = [])))]
pub(crate) async fn invoke(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    Query(params): Query<InvokeParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let body = body::read(&edge, &headers, body, json::EVENT_BYTES_MAX).await?;
    let (body, inner) = if is_event(&headers)? {
        // before a tree is made of it
        edge.api().authorise_calling(&caller.who, &key).await?;
        event_body(&headers, body)?
    } else {
        (body, None)
    };
    // the request's own trace, or that of its event
    let inner = inner.filter(|_| !headers.contains_key("traceparent"));
    let trace = inner.map_or(caller.trace, |inner| inner.child(edge.api().entropy()));
    let call = Call {
        fingerprint: None,
        idempotency_key: header_text(&headers, "idempotency-key")?.map(str::to_owned),
        body,
        trace,
        here: caller.loopback,
    };
    let answer = called(&edge, &caller, key, call, params.mode).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    response.extensions_mut().insert(trace);
    Ok(response)
}

async fn called(
    edge: &Edge,
    caller: &Caller,
    key: FunctionKey,
    call: Call,
    mode: Mode,
) -> Result<Response, Refusal> {
    if matches!(mode, Mode::Async) {
        let accepted = edge.api().enqueue(&caller.who, key, call).await?;
        return Ok(encode::json(StatusCode::ACCEPTED, &accepted));
    }
    let run = edge.api().invoke(&caller.who, key, call).await?;
    let mut answer = encode::run(&run, run.outcome.as_deref().unwrap_or(b"null"));
    if run.replayed {
        answer
            .headers_mut()
            .insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Says what an event would cost: runs the function and keeps nothing.
#[utoipa::path(post, path = "/api/v1/functions/{project}/{function}/estimate", tag = "invocations",
    params(("project" = String, Path), ("function" = String, Path)),
    request_body(content = Object, description = "The event", content_type = "application/json"),
    responses(
        (status = 200, description = "What the run was measured at", body = Estimate),
        (status = "default", description = "It was not taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn estimate(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_function(&caller.who, Action::Estimate, &key)?;
    let mut event = body::read(&edge, &headers, body, json::EVENT_BYTES_MAX).await?;
    if is_event(&headers)? {
        (event, _) = event_body(&headers, event)?;
    }
    let estimate = edge.api().estimate(&caller.who, &key, event).await?;
    Ok(encode::json(StatusCode::OK, &estimate))
}
