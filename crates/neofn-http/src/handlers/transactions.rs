//! Transactions that the node manages, and what an operator sends with the node's own accounts.

use super::triggers::ProjectParams;
use crate::extract::{Caller, IdPath, Query};
use crate::problem::Refusal;
use crate::router::{Edge, header_text};
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::SendFor;
use neofn_types::ProjectName;
use neofn_wire::{
    ChainInvoke, ContractRequest, Problem, ReplaceRequest, SentView, TransactionList, TransactionView,
    WitnessRequest,
};
use serde::Deserialize;

/// Most bytes of a call.
const CALL_BYTES_MAX: usize = 256 << 10;
/// Most bytes of a witness.
const WITNESS_BYTES_MAX: usize = 8 << 10;
/// Most bytes of a contract with its manifest: more than a transaction holds.
const CONTRACT_BYTES_MAX: usize = 1 << 20;

/// Which transactions to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    project: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// How long to wait for its end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadParams {
    wait: Option<u32>,
}

/// Transactions that functions of a project, or its operator, had sent; newest first.
#[utoipa::path(get, path = "/api/v1/transactions", tag = "chain",
    params(("project" = Option<String>, Query, description = "Default: the key's project"), ("limit" = Option<u32>, Query),
        ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = TransactionList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ListParams>,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let cursor = params.cursor.as_deref();
    let answer = edge
        .api()
        .transactions(&caller.who, &project, params.limit, cursor)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// A transaction: its state, its fees, and what it did once it is in a block.
#[utoipa::path(get, path = "/api/v1/transactions/{id}", tag = "chain",
    params(("id" = String, Path, description = "What `ctx.neo.invoke` answered"),
        ("wait" = Option<u32>, Query, description = "Answer once it has ended, or after so many seconds; at most 60")),
    responses(
        (status = 200, description = "The transaction", body = TransactionView),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn read(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(id): IdPath,
    Query(params): Query<ReadParams>,
) -> Result<Response, Refusal> {
    let answer = edge.api().transaction(&caller.who, &id, params.wait).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Hands in a signature that a transaction waits for; with the last one it is sent.
#[utoipa::path(post, path = "/api/v1/transactions/{id}/witness", tag = "chain",
    params(("id" = String, Path, description = "The transaction")),
    request_body = WitnessRequest,
    responses(
        (status = 200, description = "The transaction as it is now", body = TransactionView),
        (status = "default", description = "Not taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn cosign(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(id): IdPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: WitnessRequest = body::request(&edge, &headers, body, WITNESS_BYTES_MAX).await?;
    let answer = edge.api().cosign(&caller.who, &id, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Puts another transaction in the place of one that is in no block yet: a cancellation, or the same with a higher
/// fee. Asked again, it answers the one that is there. At most one of the two comes into a block.
#[utoipa::path(post, path = "/api/v1/transactions/{id}/replace", tag = "chain",
    params(("id" = String, Path, description = "The transaction")),
    request_body = ReplaceRequest,
    responses(
        (status = 202, description = "The one in its place: signed, on disk and sent", body = TransactionView),
        (status = "default", description = "Not replaced", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn replace(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(id): IdPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_sending(&caller.who)?;
    let request: ReplaceRequest = body::request(&edge, &headers, body, WITNESS_BYTES_MAX).await?;
    let answer = edge.api().replace_transaction(&caller.who, &id, request).await?;
    Ok(encode::json(StatusCode::ACCEPTED, &answer))
}

/// Calls a method of a contract on chain, paid by the node's own account.
#[utoipa::path(post, path = "/api/v1/chain/invoke", tag = "chain",
    params(("project" = Option<String>, Query, description = "Whose the transaction is"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same transaction")),
    request_body = ChainInvoke,
    responses(
        (status = 202, description = "Signed, on disk and sent", body = SentView),
        (status = 200, description = "Of a dry run: what it would cost", body = SentView),
        (status = "default", description = "Not sent", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn invoke(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_sending(&caller.who)?;
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let request: ChainInvoke = body::request(&edge, &headers, body, CALL_BYTES_MAX).await?;
    let of = send_for(&caller, &project, &headers)?;
    Ok(sent(&edge.api().chain_invoke(of, request).await?))
}

/// Puts a contract on chain, paid by the node's own account.
#[utoipa::path(post, path = "/api/v1/chain/contracts", tag = "chain",
    params(("project" = Option<String>, Query, description = "Whose the transaction is"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same transaction")),
    request_body = ContractRequest,
    responses(
        (status = 202, description = "Signed, on disk and sent", body = SentView),
        (status = 200, description = "Of a dry run: what it would cost", body = SentView),
        (status = "default", description = "Not sent", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn deploy(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_sending(&caller.who)?;
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let request: ContractRequest = body::request(&edge, &headers, body, CONTRACT_BYTES_MAX).await?;
    let of = send_for(&caller, &project, &headers)?;
    Ok(sent(&edge.api().deploy_contract(of, request).await?))
}

/// Replaces a contract's code, its manifest or both, by the contract's own `update`.
#[utoipa::path(post, path = "/api/v1/chain/contracts/{id}/update", tag = "chain",
    params(("id" = String, Path, description = "The contract's hash"),
        ("project" = Option<String>, Query, description = "Whose the transaction is"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is the same transaction")),
    request_body = ContractRequest,
    responses(
        (status = 202, description = "Signed, on disk and sent", body = SentView),
        (status = 200, description = "Of a dry run: what it would cost", body = SentView),
        (status = "default", description = "Not sent", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn update(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(contract): IdPath,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_sending(&caller.who)?;
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let request: ContractRequest = body::request(&edge, &headers, body, CONTRACT_BYTES_MAX).await?;
    let of = send_for(&caller, &project, &headers)?;
    Ok(sent(&edge.api().update_contract(of, &contract, request).await?))
}

fn send_for<'a>(
    caller: &'a Caller,
    project: &'a ProjectName,
    headers: &'a HeaderMap,
) -> Result<SendFor<'a>, Refusal> {
    Ok(SendFor {
        who: &caller.who,
        project,
        idempotency: header_text(headers, "idempotency-key")?,
    })
}

fn sent(answer: &SentView) -> Response {
    let status = match answer.transaction {
        Some(_) => StatusCode::ACCEPTED,
        None => StatusCode::OK,
    };
    encode::json(status, answer)
}
