//! Triggers and dead letters.

use crate::extract::{Caller, Query, TriggerPath};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, FiredQuery, TestQuery};
use neofn_wire::{
    BacktestRequest, BacktestView, DeadLetterAnswer, DeadLetterRequest, FiredList, Problem, TriggerList,
    TriggerPatch, TriggerTest, TriggerView,
};
use serde::Deserialize;

/// Most bytes of a request about triggers.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Which triggers to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    project: Option<String>,
    function: Option<String>,
}

/// Which project is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectParams {
    pub(crate) project: Option<String>,
}

/// What a trigger is tried on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestParams {
    transaction: Option<String>,
    block: Option<u64>,
}

/// Which events or dead letters to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FiredParams {
    pub(crate) project: Option<String>,
    function: Option<String>,
    trigger: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    after: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
    /// Of events alone.
    pub(crate) follow: Option<String>,
}

impl FiredParams {
    pub(crate) fn query(self) -> FiredQuery {
        FiredQuery {
            function: self.function,
            trigger: self.trigger,
            from: self.from,
            to: self.to,
            after: self.after,
            limit: self.limit,
            cursor: self.cursor,
        }
    }
}

/// The triggers of a project's live versions, and where each stands.
#[utoipa::path(get, path = "/api/v1/triggers", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project"), ("function" = Option<String>, Query)),
    responses(
        (status = 200, description = "All of them", body = TriggerList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ListParams>,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let function = params.function.as_deref();
    let answer = edge.api().triggers(&caller.who, &project, function).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Pauses or resumes a trigger.
#[utoipa::path(patch, path = "/api/v1/triggers/{project}/{function}/{trigger}", tag = "triggers",
    params(("project" = String, Path), ("function" = String, Path), ("trigger" = String, Path)), request_body = TriggerPatch,
    responses(
        (status = 200, description = "As it is now", body = TriggerView),
        (status = "default", description = "Not changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn change(
    State(edge): State<Edge>,
    caller: Caller,
    TriggerPath(id): TriggerPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_function(&caller.who, Action::SwitchTrigger, &id.function)?;
    let request: TriggerPatch = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge.api().patch_trigger(&caller.who, &id, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Says why a trigger takes a transaction or a block, or which condition fails.
#[utoipa::path(get, path = "/api/v1/triggers/{project}/{function}/{trigger}/test", tag = "triggers",
    params(("project" = String, Path), ("function" = String, Path), ("trigger" = String, Path),
        ("transaction" = Option<String>, Query, description = "A hash; either this or `block`"), ("block" = Option<u64>, Query)),
    responses(
        (status = 200, description = "Each condition with what was there", body = TriggerTest),
        (status = "default", description = "Not tried", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn test(
    State(edge): State<Edge>,
    caller: Caller,
    TriggerPath(id): TriggerPath,
    Query(params): Query<TestParams>,
) -> Result<Response, Refusal> {
    let query = TestQuery {
        transaction: params.transaction,
        block: params.block,
    };
    let answer = edge.api().test_trigger(&caller.who, &id, query).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Says what a trigger would have fired on, and about what that would have cost.
#[utoipa::path(post, path = "/api/v1/triggers/{project}/{function}/{trigger}/backtest", tag = "triggers",
    params(("project" = String, Path), ("function" = String, Path), ("trigger" = String, Path)), request_body = BacktestRequest,
    responses(
        (status = 200, description = "What would have fired", body = BacktestView),
        (status = "default", description = "Not tried", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn backtest(
    State(edge): State<Edge>,
    caller: Caller,
    TriggerPath(id): TriggerPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_function(&caller.who, Action::TestTrigger, &id.function)?;
    let request: BacktestRequest = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge.api().backtest_trigger(&caller.who, &id, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Invocations that failed for good and wait for somebody, newest first.
#[utoipa::path(get, path = "/api/v1/deadletters", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project"), ("function" = Option<String>, Query),
        ("trigger" = Option<String>, Query), ("from" = Option<u64>, Query, description = "First block"),
        ("to" = Option<u64>, Query, description = "Last block"), ("after" = Option<String>, Query),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = FiredList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn dead_letters(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<FiredParams>,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    let answer = edge
        .api()
        .dead_letters(&caller.who, &project, params.query())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Queues dead letters again, with all their attempts, on the live version.
#[utoipa::path(post, path = "/api/v1/deadletters/retry", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project")), request_body = DeadLetterRequest,
    responses(
        (status = 200, description = "Those that are queued again", body = DeadLetterAnswer),
        (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn retry(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    edge.api()
        .authorise_project(&caller.who, Action::RedoDeadLetters, &project)?;
    let request: DeadLetterRequest = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge
        .api()
        .retry_dead_letters(&caller.who, &project, request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Lays dead letters to rest: they stay in history as failed.
#[utoipa::path(post, path = "/api/v1/deadletters/drop", tag = "triggers",
    params(("project" = Option<String>, Query, description = "Default: the key's project")), request_body = DeadLetterRequest,
    responses(
        (status = 200, description = "Those that were dropped", body = DeadLetterAnswer),
        (status = "default", description = "Not done", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn discard(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProjectParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let project = edge.api().project_of(&caller.who, params.project.as_deref())?;
    edge.api()
        .authorise_project(&caller.who, Action::RedoDeadLetters, &project)?;
    let request: DeadLetterRequest = body::request(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge
        .api()
        .drop_dead_letters(&caller.who, &project, request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
