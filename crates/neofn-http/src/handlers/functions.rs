//! Functions and their versions.

use crate::extract::{Caller, KeyPath, ProjectPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, Callers, json};
use neofn_wire::{
    Catalogue, Deleted, Dependencies, DeployRequest, DeployResponse, FunctionAnswer, FunctionList,
    FunctionService, PatchRequest, Problem, RollbackRequest, VersionList,
};
use serde::Deserialize;

/// Parameters of a page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Deploys a function: makes a version and moves `live` to it.
#[utoipa::path(post, path = "/api/functions/projects/{project}", tag = "functions",
    params(("project" = String, Path)), request_body = DeployRequest,
    responses(
        (status = 201, description = "The function is new", body = DeployResponse),
        (status = 200, description = "The function existed", body = DeployResponse),
        (status = 422, description = "A stage refused it; what was live still is", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "It was not taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn deploy(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    // before sixteen megabytes are read
    edge.api()
        .authorise_project(&caller.who, Action::Deploy, &project)?;
    let request: DeployRequest = body::request(&edge, &headers, body, json::DEPLOY_BYTES_MAX).await?;
    let (answer, created) = edge.api().deploy(&caller.who, &project, request).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(encode::json(status, &answer))
}

/// Switches a function on or off, or deploys it again with the given members changed.
#[utoipa::path(patch, path = "/api/functions/{project}/{function}", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path)), request_body = PatchRequest,
    responses(
        (status = 200, description = "Changed", body = DeployResponse),
        (status = "default", description = "Not changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn change(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_changing(&caller.who, &key)?;
    let request: PatchRequest = body::request(&edge, &headers, body, json::DEPLOY_BYTES_MAX).await?;
    let answer = edge.api().patch(&caller.who, &key, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// One function.
#[utoipa::path(get, path = "/api/functions/{project}/{function}", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path)),
    responses(
        (status = 200, description = "The function", body = FunctionAnswer),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn read(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().function(&caller.who, &key).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Removes a function, its versions, its history and its queue.
#[utoipa::path(delete, path = "/api/functions/{project}/{function}", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path),
        ("force" = Option<bool>, Query, description = "Also when other functions call it")),
    responses(
        (status = 200, description = "Removed", body = Deleted),
        (status = "default", description = "Not removed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn remove(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    Query(params): Query<RemoveParams>,
) -> Result<Response, Refusal> {
    let callers = if params.force {
        Callers::Ignore
    } else {
        Callers::Refuse
    };
    let answer = edge.api().delete(&caller.who, &key, callers).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Whether callers matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RemoveParams {
    force: bool,
}

/// What a function calls, and what calls it.
#[utoipa::path(get, path = "/api/v1/functions/{project}/{function}/dependencies", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path)),
    responses(
        (status = 200, description = "Both", body = Dependencies),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn dependencies(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().dependencies(&caller.who, &key).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The functions of a project, by name.
#[utoipa::path(get, path = "/api/functions/projects/{project}", tag = "functions",
    params(("project" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = FunctionList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(page): Query<PageParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .functions(&caller.who, &project, page.limit, page.cursor.as_deref())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The functions of a project as something to be called, by name: where, in which version, and how many nodes run them.
#[utoipa::path(get, path = "/api/v1/services/{project}", tag = "functions",
    params(("project" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = Catalogue),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn catalogue(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(page): Query<PageParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .catalogue(&caller.who, &project, page.limit, page.cursor.as_deref())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// One function as something to be called, with the nodes that run it.
#[utoipa::path(get, path = "/api/v1/services/{project}/{function}", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path)),
    responses(
        (status = 200, description = "Where it is", body = FunctionService),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn look_up(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().look_up(&caller.who, &key).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The versions of a function, newest first.
#[utoipa::path(get, path = "/api/v1/functions/{project}/{function}/versions", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = VersionList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn versions(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    Query(page): Query<PageParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .versions(&caller.who, &key, page.limit, page.cursor.as_deref())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Makes another version live; without one, the version before the live one.
#[utoipa::path(post, path = "/api/v1/functions/{project}/{function}/rollback", tag = "functions",
    params(("project" = String, Path), ("function" = String, Path)), request_body = RollbackRequest,
    responses(
        (status = 200, description = "It is live", body = FunctionAnswer),
        (status = "default", description = "Nothing changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn rollback(
    State(edge): State<Edge>,
    caller: Caller,
    KeyPath(key): KeyPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request: RollbackRequest =
        body::request_or_default(&edge, &headers, body, json::EVENT_BYTES_MAX).await?;
    let answer = edge.api().rollback(&caller.who, &key, request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
