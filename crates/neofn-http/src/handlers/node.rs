//! The node itself: alive, ready, counted.

use crate::extract::Caller;
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{encode, metrics as format};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use neofn_wire::{Health, Problem, Ready, ServiceList};

/// How the node is doing.
#[utoipa::path(get, path = "/health", tag = "node",
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn health(State(edge): State<Edge>) -> Response {
    encode::json(StatusCode::OK, &edge.api().health().await)
}

/// Whether the node takes work.
#[utoipa::path(get, path = "/ready", tag = "node",
    responses((status = 200, description = "It does", body = Ready), (status = 503, description = "It does not", body = Ready)))]
pub(crate) async fn ready(State(edge): State<Edge>) -> Response {
    let ready = edge.api().ready().await;
    let status = if ready.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut answer = encode::json(status, &ready);
    if !ready.ready {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// The nodes of the cluster that this one knows to be there, itself among them. For operators.
#[utoipa::path(get, path = "/api/v1/services", tag = "node",
    responses(
        (status = 200, description = "Gateways and workers, and what waits between them", body = ServiceList),
        (status = "default", description = "Not for this caller", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn services(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().services(&caller.who).await?,
    ))
}

/// Counters in the format of Prometheus. For operators, and for callers on this machine.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        (status = "default", description = "Not for this caller", body = Problem, content_type = "application/problem+json"),
    ), security((), ("key" = [])))]
pub(crate) async fn metrics(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    let metrics = edge.api().metrics(&caller.who, caller.loopback).await?;
    let text = format::render(&metrics, edge.counters())?;
    Ok(encode::bytes_answer(
        StatusCode::OK,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Bytes::from(text),
    ))
}
