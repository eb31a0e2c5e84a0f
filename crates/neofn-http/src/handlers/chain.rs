//! Looking at the chain.

use crate::extract::{Caller, HeightPath, IdPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::NotificationQuery;
use neofn_wire::{ChainCall, ChainView, DecodeRequest, Problem, RecheckRequest, RecheckView};
use serde::Deserialize;

/// Most bytes of a call.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Which notifications to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationParams {
    #[serde(default)]
    contract: String,
    event: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
}

/// Which token is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenParams {
    token: Option<String>,
}

/// The network, its newest block, and how the nodes do.
#[utoipa::path(get, path = "/api/v1/chain", tag = "chain",
    responses(
        (status = 200, description = "The chain that this node follows", body = ChainView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn info(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(StatusCode::OK, &edge.api().chain_info(&caller.who)?))
}

/// A block with what happened in it.
#[utoipa::path(get, path = "/api/v1/chain/blocks/{height}", tag = "chain", params(("height" = u64, Path)),
    responses(
        (status = 200, description = "The block", body = Object),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn block(
    State(edge): State<Edge>,
    caller: Caller,
    HeightPath(height): HeightPath,
) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().chain_block(&caller.who, height).await?,
    ))
}

/// A transaction, and what it did once it is in a block.
#[utoipa::path(get, path = "/api/v1/chain/transactions/{id}", tag = "chain", params(("id" = String, Path, description = "Its hash")),
    responses(
        (status = 200, description = "The transaction", body = Object),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn transaction(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(hash): IdPath,
) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().chain_transaction(&caller.who, &hash).await?,
    ))
}

/// Notifications of a contract, oldest first.
#[utoipa::path(get, path = "/api/v1/chain/notifications", tag = "chain",
    params(("contract" = String, Query, description = "Hash, or the name of a native contract"), ("event" = Option<String>, Query),
        ("from" = Option<u64>, Query, description = "First block"), ("to" = Option<u64>, Query, description = "Last block")),
    responses(
        (status = 200, description = "Those that were found", body = Object),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn notifications(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<NotificationParams>,
) -> Result<Response, Refusal> {
    let query = NotificationQuery {
        contract: params.contract,
        event: params.event,
        from: params.from,
        to: params.to,
    };
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().chain_notifications(&caller.who, query).await?,
    ))
}

/// How much of a token an account has, in its smallest unit.
#[utoipa::path(get, path = "/api/v1/chain/balances/{id}", tag = "chain",
    params(("id" = String, Path, description = "Address or script hash"), ("token" = Option<String>, Query, description = "Hash or name; default GAS")),
    responses(
        (status = 200, description = "The balance", body = Object),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn balance(
    State(edge): State<Edge>,
    caller: Caller,
    IdPath(account): IdPath,
    Query(params): Query<TokenParams>,
) -> Result<Response, Refusal> {
    let token = params.token.as_deref();
    let answer = edge.api().chain_balance(&caller.who, &account, token).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Compares the last block that was read with what nodes call it now. With `apply` it is read again where all of them agree on
/// another one; events that had their effect have none again.
#[utoipa::path(post, path = "/api/v1/chain/recheck", tag = "chain", request_body = RecheckRequest,
    responses(
        (status = 200, description = "What was compared", body = RecheckView),
        (status = "default", description = "Not compared", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn recheck(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_recheck(&caller.who)?;
    let request: RecheckRequest = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge.api().chain_recheck(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Calls a method of a contract against the present state; nothing changes.
#[utoipa::path(post, path = "/api/v1/chain/call", tag = "chain", request_body = ChainCall,
    responses(
        (status = 200, description = "How it would end", body = Object),
        (status = "default", description = "Not called", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn call(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().chain_info(&caller.who)?;
    let request: ChainCall = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().chain_call(&caller.who, request).await?,
    ))
}

/// Takes a script apart.
#[utoipa::path(post, path = "/api/v1/chain/decode", tag = "chain", request_body = DecodeRequest,
    responses(
        (status = 200, description = "Its instructions and calls", body = Object),
        (status = "default", description = "Not read", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn decode(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_chain(&caller.who)?;
    let request: DecodeRequest = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().decode_script(&caller.who, &request)?,
    ))
}
