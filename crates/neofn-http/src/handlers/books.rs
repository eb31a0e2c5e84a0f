//! The books: what was used, deposits that named nobody, the end of an account.

use crate::extract::{Caller, ProjectPath, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, UsageQuery};
use neofn_types::{Code, Error};
use neofn_wire::{AttributeRequest, CloseRequest, CloseView, GasUsage, Problem, SuspenseList, SuspenseView};
use serde::Deserialize;

/// Most bytes of a request.
const BYTES_MAX: usize = 16 << 10;

/// Which hours, and how they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageParams {
    from: Option<String>,
    until: Option<String>,
    function: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
    format: Option<String>,
}

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What a project used, by hour and function: runs, units, GAS. The statement has each movement with its transaction.
#[utoipa::path(get, path = "/api/v1/gas/{project}/usage", tag = "gas",
    params(("project" = String, Path),
        ("from" = Option<String>, Query, description = "A date or time; else thirty days ago"),
        ("until" = Option<String>, Query, description = "A date or time; else now"),
        ("function" = Option<String>, Query, description = "Of one function alone"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("format" = Option<String>, Query, description = "`csv` for a table of up to 10 000 lines; else JSON")),
    responses(
        (status = 200, description = "Lines", body = GasUsage),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn usage(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(params): Query<UsageParams>,
) -> Result<Response, Refusal> {
    let query = UsageQuery {
        function: params.function.as_deref(),
        from: params.from.as_deref(),
        until: params.until.as_deref(),
        limit: params.limit,
        cursor: params.cursor.as_deref(),
    };
    match params.format.as_deref() {
        None | Some("json") => {
            let answer = edge.api().gas_usage(&caller.who, &project, &query).await?;
            Ok(encode::json(StatusCode::OK, &answer))
        }
        Some("csv") => {
            let text = edge.api().gas_usage_csv(&caller.who, &project, &query).await?;
            Ok(encode::bytes_answer(
                StatusCode::OK,
                "text/csv; charset=utf-8",
                text.into(),
            ))
        }
        Some(_) => Err(Error::new(Code::BadParameter, "`format` is `json` or `csv`").into()),
    }
}

/// Ends a project's account: refills and sponsored fees end, the rest of the operator's credit goes back, and the project's own
/// money is sent to `to`. Nothing is deleted; what comes in later can be taken out by closing again.
#[utoipa::path(post, path = "/api/v1/gas/{project}/close", tag = "gas",
    params(("project" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same withdrawal, for ever")),
    request_body = CloseRequest,
    responses(
        (status = 200, description = "What went where", body = CloseView),
        (status = "default", description = "Not closed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn close(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_project(&caller.who, Action::ManageGas, &project)?;
    let name = header_text(&headers, "idempotency-key")?;
    let request: CloseRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge
        .api()
        .close_account(&caller.who, &project, &request, name)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Deposits that named nobody, newest first, and to whom they were given since. Operators only.
#[utoipa::path(get, path = "/api/v1/suspense", tag = "gas",
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "Deposits", body = SuspenseList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn suspense(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<PageParams>,
) -> Result<Response, Refusal> {
    let cursor = params.cursor.as_deref();
    let answer = edge.api().suspense(&caller.who, params.limit, cursor).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Gives a deposit that named nobody to a project, once and for good. Operators only.
#[utoipa::path(post, path = "/api/v1/suspense", tag = "gas", request_body = AttributeRequest,
    responses(
        (status = 200, description = "It", body = SuspenseView),
        (status = "default", description = "Not given", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn attribute(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_operating_bank(&caller.who)?;
    let request: AttributeRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().attribute(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
