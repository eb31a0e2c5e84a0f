//! The accounts that sign, for operators.

use crate::extract::{Caller, IdPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_wire::{KeyImport, PolicyView, Problem, SignatureList, SignerAccountView, SignerView};
use serde::Deserialize;

/// Most bytes of a request: a wallet file has at most 1 MiB.
const IMPORT_BYTES_MAX: usize = 2 << 20;
/// Most bytes of a policy.
const POLICY_BYTES_MAX: usize = 64 << 10;

/// Which signatures to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureParams {
    after: Option<u64>,
    limit: Option<u32>,
}

/// The accounts that sign, with what they may be used for.
#[utoipa::path(get, path = "/api/v1/signer", tag = "chain",
    responses(
        (status = 200, description = "The first one pays where nobody says otherwise", body = SignerView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn show(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().signer(&caller.who).await?,
    ))
}

/// Gives the signer a key: a WIF, a NEP-2 key, or an account of a NEP-6 wallet. It is never answered again.
#[utoipa::path(post, path = "/api/v1/signer/accounts", tag = "chain", request_body = KeyImport,
    responses(
        (status = 201, description = "The account; one that was there keeps its policy", body = SignerAccountView),
        (status = "default", description = "Not taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn import(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_signer(&caller.who)?;
    let request: KeyImport = body::request(&edge, &headers, body, IMPORT_BYTES_MAX).await?;
    let answer = edge.api().import_key(&caller.who, request).await?;
    Ok(encode::json(StatusCode::CREATED, &answer))
}

/// Changes what an account may be used for; what is absent stays.
#[utoipa::path(patch, path = "/api/v1/signer/accounts/{id}", tag = "chain",
    params(("id" = String, Path, description = "Address or script hash")), request_body = PolicyView,
    responses(
        (status = 200, description = "As it is now", body = SignerAccountView),
        (status = "default", description = "Not changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn change(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(account): IdPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_signer(&caller.who)?;
    let request: PolicyView = body::request(&edge, &headers, body, POLICY_BYTES_MAX).await?;
    let answer = edge.api().set_policy(&caller.who, &account, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// What was signed, oldest first.
#[utoipa::path(get, path = "/api/v1/signer/signatures", tag = "chain",
    params(("after" = Option<u64>, Query, description = "Only those with a higher number"), ("limit" = Option<u32>, Query)),
    responses(
        (status = 200, description = "A page of them", body = SignatureList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn signatures(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<SignatureParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .signatures(&caller.who, params.after, params.limit)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
