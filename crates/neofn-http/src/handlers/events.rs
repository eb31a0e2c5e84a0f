//! CloudEvents: publishing them, and looking at what reached triggers.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use super::triggers::{FiredParams, ProjectParams};
use crate::extract::{Caller, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, EventStep, EventStream, json};
use neofn_event::CloudEvent;
use neofn_event::cloud::Format;
use neofn_types::{Code, Error, TraceContext};
use neofn_wire::{FiredList, Problem, PublishAnswer};
use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A comment is sent this often, so that a dead line is noticed at both ends.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Takes CloudEvents for the triggers of a project: structured, binary (`ce-` headers) or a batch, by the content type.
#[utoipa::path(post, path = "/api/v1/events", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project")),
    request_body(content = Object, description = "An event (`application/cloudevents+json`), a batch (`application/cloudevents-batch+json`), either in protobuf (`+protobuf`), or the data of a binary event"),
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
    let body = body::read(&edge, &headers, body, json::EVENT_BYTES_MAX).await?;
    let events = decode(format(&headers)?, &headers, &body)?;
    let answer = edge
        .api()
        .publish(&caller.who, &project, events, caller.trace)
        .await?;
    Ok(encode::json(StatusCode::ACCEPTED, &answer))
}

/// Whether a request says that it is a CloudEvent. Any other body stays as it is.
pub(crate) fn is_event(headers: &HeaderMap) -> Result<bool, Error> {
    Ok(format(headers)?.is_some() || headers.contains_key("ce-specversion"))
}

/// A CloudEvent as a function gets it, in the JSON format: what came as headers or as protobuf would be lost otherwise.
/// Beside it the trace that it brings along as an extension.
pub(crate) fn event_body(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, Option<TraceContext>), Error> {
    let format = format(headers)?;
    let events = decode(format, headers, &body)?;
    if format.is_some_and(Format::is_batch) {
        return Ok((json::cloud_events(&events)?, None));
    }
    match events.first() {
        Some(event) => Ok((json::cloud_event(event)?, event.trace())),
        None => Ok((Bytes::new(), None)),
    }
}

/// What is no text in it does not hide what it begins with.
fn content_type(headers: &HeaderMap) -> Cow<'_, str> {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.map_or(Cow::Borrowed(""), |v| String::from_utf8_lossy(v.as_bytes()))
}

fn format(headers: &HeaderMap) -> Result<Option<Format>, Error> {
    Ok(Format::of(&content_type(headers))?)
}

/// Without a word of what it is, it is one event in JSON.
fn decode(format: Option<Format>, headers: &HeaderMap, body: &Bytes) -> Result<Vec<CloudEvent>, Error> {
    let binary = headers.contains_key("ce-specversion");
    match format {
        Some(Format::Protobuf) => return Ok(vec![CloudEvent::from_protobuf(body)?]),
        Some(Format::ProtobufBatch) => return Ok(CloudEvent::batch_from_protobuf(body)?),
        Some(Format::JsonBatch) => return Ok(CloudEvent::batch_from_json(json::request(body)?)?),
        Some(Format::Json) => return Ok(vec![CloudEvent::from_json(json::request(body)?)?]),
        None if !binary => return Ok(vec![CloudEvent::from_json(json::request(body)?)?]),
        None => {}
    }
    let attributes = attributes(headers)?;
    let content_type = content_type(headers);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.is_empty() || media_type.ends_with("json") {
        // the depth is ours to bound, before anybody builds a tree
        json::event(body.clone())?;
    }
    Ok(vec![CloudEvent::from_headers(attributes, body)?])
}

/// The headers that say something of an event, as text. Bytes beyond ASCII are taken as the UTF-8 that some senders forget
/// to encode; others are refused: without them it would be another event.
fn attributes(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, Error> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| *name == "content-type" || name.starts_with("ce-"))
        .map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(Error::new(Code::EventInvalid, no_text(name))),
        })
        .collect()
}

fn no_text(header: &str) -> String {
    match header.strip_prefix("ce-") {
        Some(attribute) => {
            format!("`{attribute}` is no text: the header `{header}` has to be percent-encoded UTF-8")
        }
        None => format!("`datacontenttype` is no text: the header `{header}` has to be ASCII"),
    }
}

/// Events that reached triggers, with what became of them, newest first; with `follow` a stream of those to come.
#[utoipa::path(get, path = "/api/v1/events", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project"), ("function" = Option<String>, Query),
        ("trigger" = Option<String>, Query), ("from" = Option<u64>, Query, description = "First block"),
        ("to" = Option<u64>, Query, description = "Last block"), ("after" = Option<String>, Query, description = "Only what came after this invocation"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("follow" = Option<bool>, Query, description = "server-sent events with a FiredView: `fired`, and `ended` once the invocation has"),
        ("Last-Event-ID" = Option<String>, Header, description = "as `after`")),
    responses(
        (status = 200, description = "A page of them", body = FiredList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<FiredParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    if matches!(params.follow.as_deref(), None | Some("false" | "0")) {
        let answer = edge.api().events(&caller.who, &project, params.query()).await?;
        return Ok(encode::json(StatusCode::OK, &answer));
    }
    let resumed = header_text(&headers, "last-event-id")?.map(str::to_owned);
    let mut query = params.query();
    query.after = resumed.or(query.after);
    let stream = edge.api().follow_events(&caller.who, &project, query).await?;
    let stream = Sse::new(steps(stream, edge.going().clone()));
    Ok(stream
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response())
}

/// Ends when the node goes, or its storage fails.
fn steps(events: EventStream, going: CancellationToken) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((events, going), |(mut events, going)| async move {
        let step = tokio::select! {
            step = events.next() => step.ok()?,
            () = going.cancelled() => return None,
        };
        let (name, view) = match &step {
            EventStep::Fired(view) => ("fired", view),
            EventStep::Ended(view) => ("ended", view),
        };
        let event = Event::default()
            .event(name)
            .id(view.invocation.id.clone())
            .data(serde_json::to_string(view).unwrap_or_default());
        Some((Ok(event), (events, going)))
    })
}
