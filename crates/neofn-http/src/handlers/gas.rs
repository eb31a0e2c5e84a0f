//! Accounts of projects: balance, deposits, statements, limits, withdrawals, what the operator agreed.

use crate::extract::{Caller, ProjectPath, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::Action;
use neofn_types::{Code, Error};
use neofn_wire::{
    DepositView, GasLimitRequest, GasLimits, GasStatement, GasView, Problem, ReconcileView, RefillView,
    WithdrawRequest, WithdrawalList, WithdrawalView, WriteOffRequest, WriteOffView,
};
use serde::Deserialize;

/// Most bytes of a request.
const BYTES_MAX: usize = 16 << 10;

/// Which lines, and how they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementParams {
    limit: Option<u32>,
    cursor: Option<String>,
    format: Option<String>,
}

/// What a project has.
#[utoipa::path(get, path = "/api/v1/gas/{project}", tag = "gas", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Its account", body = GasView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn balance(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().gas(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Where to send GAS, and what to send along with it.
#[utoipa::path(get, path = "/api/v1/gas/{project}/deposit", tag = "gas", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Address and memo", body = DepositView),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn deposit(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().gas_deposit(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// What moved on the account, newest first.
#[utoipa::path(get, path = "/api/v1/gas/{project}/statement", tag = "gas",
    params(("project" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("format" = Option<String>, Query, description = "`csv` for a table of up to 10 000 lines; else JSON")),
    responses(
        (status = 200, description = "Lines", body = GasStatement),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn statement(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(params): Query<StatementParams>,
) -> Result<Response, Refusal> {
    let (who, cursor) = (&caller.who, params.cursor.as_deref());
    match params.format.as_deref() {
        None | Some("json") => {
            let answer = edge
                .api()
                .gas_statement(who, &project, params.limit, cursor)
                .await?;
            Ok(encode::json(StatusCode::OK, &answer))
        }
        Some("csv") => {
            let text = edge
                .api()
                .gas_statement_csv(who, &project, params.limit, cursor)
                .await?;
            Ok(encode::bytes_answer(
                StatusCode::OK,
                "text/csv; charset=utf-8",
                text.into(),
            ))
        }
        Some(_) => Err(Error::new(Code::BadParameter, "`format` is `json` or `csv`").into()),
    }
}

/// Limits of spending, and those that are nearly spent.
#[utoipa::path(get, path = "/api/v1/gas/{project}/limits", tag = "gas", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Limits", body = GasLimits),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn limits(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().gas_limits(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Sets a limit for a project or one of its functions, or takes it away.
#[utoipa::path(put, path = "/api/v1/gas/{project}/limits", tag = "gas", params(("project" = String, Path)),
    request_body = GasLimitRequest,
    responses(
        (status = 200, description = "All limits", body = GasLimits),
        (status = "default", description = "Not set", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn set_limit(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_project(&caller.who, Action::ManageGas, &project)?;
    let request: GasLimitRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().set_gas_limit(&caller.who, &project, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Withdrawals, newest first.
#[utoipa::path(get, path = "/api/v1/gas/{project}/withdrawals", tag = "gas", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Withdrawals", body = WithdrawalList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn withdrawals(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().withdrawals(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Has GAS sent. The money is set aside when this answers, and on its way with the next block.
#[utoipa::path(post, path = "/api/v1/gas/{project}/withdrawals", tag = "gas",
    params(("project" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same withdrawal, for ever")),
    request_body = WithdrawRequest,
    responses(
        (status = 202, description = "It will be sent", body = WithdrawalView),
        (status = "default", description = "Not sent", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn withdraw(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_project(&caller.who, Action::ManageGas, &project)?;
    let name = header_text(&headers, "idempotency-key")?;
    let request: WithdrawRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().withdraw(&caller.who, &project, &request, name).await?;
    Ok(encode::json(StatusCode::ACCEPTED, &answer))
}

/// What the operator agreed with a project: credit at a threshold, who pays fees, the most of a withdrawal.
#[utoipa::path(get, path = "/api/v1/gas/{project}/refill", tag = "gas", params(("project" = String, Path)),
    responses(
        (status = 200, description = "It", body = RefillView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn refill(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().gas_policy(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Agrees anew, all of it. Operators only.
#[utoipa::path(put, path = "/api/v1/gas/{project}/refill", tag = "gas", params(("project" = String, Path)),
    request_body = RefillView,
    responses(
        (status = 200, description = "It", body = RefillView),
        (status = "default", description = "Not set", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn set_refill(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_operating_bank(&caller.who)?;
    let request: RefillView = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().set_gas_policy(&caller.who, &project, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Whether the ledger's rules hold, and whether it agrees with the chain. Operators only.
#[utoipa::path(get, path = "/api/v1/gas", tag = "gas",
    responses(
        (status = 200, description = "What was compared", body = ReconcileView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn reconcile(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    let answer = edge.api().reconcile(&caller.who).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Books GAS that left the treasury for no payment of the bank, or came back, on the operator's account. Operators only.
#[utoipa::path(post, path = "/api/v1/gas", tag = "gas", request_body = WriteOffRequest,
    responses(
        (status = 200, description = "How much", body = WriteOffView),
        (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn write_off(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_operating_bank(&caller.who)?;
    let request: WriteOffRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().write_off(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
