//! Signing in and going on with a session.

use crate::extract::{Caller, SignInAttempt};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_wire::{
    ChallengeRequest, ChallengeView, LoggedOut, LoginRequest, Problem, RefreshRequest, TokensView, WhoAmI,
};

/// Most bytes of a request: sixteen signatures with all that belongs to them.
const BYTES_MAX: usize = 16 << 10;

/// A challenge for an address; no account needs to exist.
#[utoipa::path(post, path = "/auth/challenge", tag = "accounts", request_body = ChallengeRequest,
    responses(
        (status = 200, description = "Sign `message`, or give `nep20` to the wallet's authenticate", body = ChallengeView),
        (status = "default", description = "Not made", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn challenge(
    State(edge): State<Edge>,
    _: SignInAttempt,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: ChallengeRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().challenge(&request).await?,
    ))
}

/// Begins a session with a signed challenge.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = LoginRequest,
    responses(
        (status = 200, description = "The session's first tokens", body = TokensView),
        (status = "default", description = "No session began", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn login(
    State(edge): State<Edge>,
    _: SignInAttempt,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: LoginRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    Ok(encode::json(StatusCode::OK, &edge.api().login(request).await?))
}

/// Exchanges a refresh token. One that was exchanged before ends its session.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens; the old refresh token is used up", body = TokensView),
        (status = "default", description = "Not exchanged", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn refresh(
    State(edge): State<Edge>,
    _: SignInAttempt,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: RefreshRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    Ok(encode::json(StatusCode::OK, &edge.api().refresh(&request).await?))
}

/// Ends the session of the access token.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts",
    responses(
        (status = 200, description = "It has ended", body = LoggedOut),
        (status = "default", description = "Not ended", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn logout(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().logout(&caller.who).await?,
    ))
}

/// Who calls, and what they are where.
#[utoipa::path(get, path = "/auth/whoami", tag = "accounts",
    responses(
        (status = 200, description = "The caller", body = WhoAmI),
        (status = "default", description = "Nobody", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn whoami(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(StatusCode::OK, &edge.api().who_am_i(&caller.who)?))
}

/// The public keys that verify access tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts",
    responses((status = 200, description = "The next key is among them a day before it signs", body = Object)))]
pub(crate) async fn jwks(State(edge): State<Edge>) -> Result<Response, Refusal> {
    Ok(encode::json(StatusCode::OK, &edge.api().jwks()))
}
