//! CloudEvents: publishing them, and looking at what reached triggers.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use super::triggers::{FiredParams, ProjectParams};
use crate::extract::{Caller, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, json};
use neofn_event::CloudEvent;
use neofn_event::cloud::{BATCH_TYPE, STRUCTURED_TYPE};
use neofn_types::Error;
use neofn_wire::{FiredList, Problem, PublishAnswer};

/// Takes CloudEvents for the triggers of a project: structured, binary (`ce-` headers) or a batch, by the content type.
#[utoipa::path(post, path = "/api/v1/events", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project")),
    request_body(content = Object, description = "An event (`application/cloudevents+json`), a batch (`application/cloudevents-batch+json`), or the data of a binary event"),
    responses(
        (status = 202, description = "On disk, with the invocations that they become", body = PublishAnswer),
        (status = "default", description = "None of them was taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn publish(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    edge.api()
        .authorise_project(&caller.who, Action::Publish, &project)?;
    let body = body::read(&headers, body, json::EVENT_BYTES_MAX).await?;
    let events = decode(&headers, &body)?;
    let answer = edge
        .api()
        .publish(&caller.who, &project, events, caller.trace)
        .await?;
    Ok(encode::json(StatusCode::ACCEPTED, &answer))
}

fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Vec<CloudEvent>, Error> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(BATCH_TYPE) {
        return Ok(CloudEvent::batch_from_json(json::request(body)?)?);
    }
    let binary = headers.contains_key("ce-specversion");
    if media_type.eq_ignore_ascii_case(STRUCTURED_TYPE) || !binary {
        return Ok(vec![CloudEvent::from_json(json::request(body)?)?]);
    }
    if media_type.is_empty() || media_type.ends_with("json") {
        // the depth is ours to bound, before anybody builds a tree
        json::event(body.clone())?;
    }
    let text = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Ok(vec![CloudEvent::from_headers(text, body)?])
}

/// Events that reached triggers, with what became of them, newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project"), ("function" = Option<String>, Query),
        ("trigger" = Option<String>, Query), ("from" = Option<u64>, Query, description = "First block"),
        ("to" = Option<u64>, Query, description = "Last block"), ("after" = Option<String>, Query, description = "Only what came after this invocation"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = FiredList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<FiredParams>,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let answer = edge.api().events(&caller.who, &project, params.query()).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
