//! Looking back at runs.

use crate::extract::{Caller, IdPath, KeyPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::{InvocationQuery, json};
use neofn_wire::{InvocationList, InvocationView, Problem, ReplayRequest, ReplayResponse};
use serde::Deserialize;

/// Parameters of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<String>,
}

/// The invocations of a function, newest first.
#[utoipa::path(get, path = "/api/v1/functions/{project}/{function}/invocations", tag = "invocations",
    params(("project" = String, Path), ("function" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "queued, running, succeeded, failed or dead")),
    responses(
        (status = 200, description = "A page of them", body = InvocationList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    Query(params): Query<ListParams>,
) -> Result<Response, Refusal> {
    let query = InvocationQuery {
        limit: params.limit,
        cursor: params.cursor,
        status: params.status,
    };
    let answer = edge.api().invocations(&caller.who, &key, query).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// One invocation: where it is, and how it ended.
#[utoipa::path(get, path = "/api/v1/invocations/{id}", tag = "invocations", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The invocation", body = InvocationView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn read(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(id): IdPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().invocation(&caller.who, &id).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Runs an ended invocation again on its recorded inputs and compares. Nothing is kept or charged.
#[utoipa::path(post, path = "/api/v1/invocations/{id}/replay", tag = "invocations", params(("id" = String, Path)),
    request_body = ReplayRequest,
    responses(
        (status = 200, description = "Both sides", body = ReplayResponse),
        (status = "default", description = "It cannot be replayed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn replay(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(id): IdPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: ReplayRequest =
        body::request_or_default(&edge, &headers, body, json::EVENT_BYTES_MAX).await?;
    let answer = edge.api().replay(&caller.who, &id, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
