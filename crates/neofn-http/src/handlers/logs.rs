//! A function's log: a page of it, or a stream of server-sent events.

use crate::encode;
use crate::extract::{Caller, KeyPath, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use http::{HeaderMap, StatusCode};
use neofn_api::{LogQuery, LogStep, LogStream};
use neofn_wire::{LogList, Problem};
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A comment is sent this often, so that a dead line is noticed at both ends.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Parameters of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogParams {
    limit: Option<u32>,
    after: Option<String>,
    follow: Option<String>,
}

/// Ended invocations with their console lines; with `follow` a stream that goes on.
#[utoipa::path(get, path = "/api/v1/functions/{project}/{function}/logs", tag = "invocations",
    params(("project" = String, Path), ("function" = String, Path), ("limit" = Option<u32>, Query),
        ("after" = Option<String>, Query, description = "only what was admitted after this invocation, from there on"),
        ("follow" = Option<bool>, Query, description = "server-sent events: `log` with a LogEvent, `missed` with a number"),
        ("Last-Event-ID" = Option<String>, Header, description = "as `after`")),
    responses(
        (status = 200, description = "The log, oldest first", body = LogList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn logs(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    Query(params): Query<LogParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let resumed = header_text(&headers, "last-event-id")?.map(str::to_owned);
    let query = LogQuery {
        limit: params.limit,
        after: resumed.or(params.after),
    };
    if matches!(params.follow.as_deref(), None | Some("false" | "0")) {
        let answer = edge.api().logs(&caller.who, &key, query).await?;
        return Ok(encode::json(StatusCode::OK, &answer));
    }
    let log = edge.api().follow(&caller.who, &key, query).await?;
    let events = Sse::new(events(log, edge.going().clone()));
    Ok(events
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response())
}

/// Ends when the log does, or when the node goes: a stream would hold up its drain for ever.
fn events(log: LogStream, going: CancellationToken) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((log, going), |(mut log, going)| async move {
        let step = tokio::select! {
            step = log.next() => step?,
            () = going.cancelled() => return None,
        };
        let event = match step {
            LogStep::Entry(entry) => Event::default()
                .event("log")
                .id(entry.invocation_id.clone())
                .data(serde_json::to_string(&entry).unwrap_or_default()),
            LogStep::Missed(n) => Event::default().event("missed").data(n.to_string()),
        };
        Some((Ok(event), (log, going)))
    })
}
