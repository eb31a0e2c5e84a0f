//! Projects, who is what in them, and their keys.

use crate::extract::{Caller, KeyIdPath, MemberPath, ProjectPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_wire::{
    Deleted, KeyCreated, KeyList, KeyRequest, MemberChanged, MemberList, MemberRequest, Problem, ProjectList,
    ProjectRequest, ProjectView,
};
use serde::Deserialize;

/// Most bytes of a request.
const BYTES_MAX: usize = 16 << 10;

/// Parameters of a page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which role to take.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveParams {
    function: Option<String>,
}

/// The caller's projects; an operator's: all.
#[utoipa::path(get, path = "/api/v1/projects", tag = "accounts",
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "By name", body = ProjectList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn projects(
    State(edge): State<Edge>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .projects(&caller.who, page.limit, page.cursor.as_deref())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Makes a project. Whoever makes it owns it.
#[utoipa::path(post, path = "/api/v1/projects", tag = "accounts", request_body = ProjectRequest,
    responses(
        (status = 201, description = "The project", body = ProjectView),
        (status = "default", description = "Not made", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn create_project(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_making_projects(&caller.who)?;
    let request: ProjectRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().create_project(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::CREATED, &answer))
}

/// Who is in a project.
#[utoipa::path(get, path = "/api/v1/members/{project}", tag = "accounts", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Its members", body = MemberList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn members(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().members(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Gives someone a role in a project, or for one function of it.
#[utoipa::path(put, path = "/api/v1/members/{project}/{address}", tag = "accounts",
    params(("project" = String, Path), ("address" = String, Path)), request_body = MemberRequest,
    responses(
        (status = 200, description = "They have it", body = MemberChanged),
        (status = "default", description = "Not given", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn set_member(
    State(edge): State<Edge>,
    caller: Caller,
    MemberPath(project, address): MemberPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_project(&caller.who, neofn_api::Action::ManageMembers, &project)?;
    let request: MemberRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge
        .api()
        .set_member(&caller.who, &project, &address, &request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Takes someone's role. Whoever leaves a project leaves its functions, and the keys they made there are revoked.
#[utoipa::path(delete, path = "/api/v1/members/{project}/{address}", tag = "accounts",
    params(("project" = String, Path), ("address" = String, Path),
        ("function" = Option<String>, Query, description = "The role for this function alone")),
    responses(
        (status = 200, description = "They have it no longer", body = MemberChanged),
        (status = "default", description = "Not taken", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn remove_member(
    State(edge): State<Edge>,
    caller: Caller,
    MemberPath(project, address): MemberPath,
    Query(params): Query<RemoveParams>,
) -> Result<Response, Refusal> {
    let answer = edge
        .api()
        .remove_member(&caller.who, &project, &address, params.function.as_deref())
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// A project's keys, without their secrets.
#[utoipa::path(get, path = "/api/v1/keys/{project}", tag = "accounts", params(("project" = String, Path)),
    responses(
        (status = 200, description = "Oldest first; revoked ones too", body = KeyList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn keys(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().keys(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Makes a key. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/keys/{project}", tag = "accounts", params(("project" = String, Path)),
    request_body = KeyRequest,
    responses(
        (status = 201, description = "The key", body = KeyCreated),
        (status = "default", description = "Not made", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn create_key(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api()
        .authorise_project(&caller.who, neofn_api::Action::ManageKeys, &project)?;
    let request: KeyRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().create_key(&caller.who, &project, &request).await?;
    Ok(encode::json(StatusCode::CREATED, &answer))
}

/// Revokes a key, within some seconds everywhere.
#[utoipa::path(delete, path = "/api/v1/keys/{project}/{id}", tag = "accounts",
    params(("project" = String, Path), ("id" = String, Path)),
    responses(
        (status = 200, description = "It is revoked", body = Deleted),
        (status = "default", description = "Not revoked", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn revoke_key(
    State(edge): State<Edge>,
    caller: Caller,
    KeyIdPath(project, id): KeyIdPath,
) -> Result<Response, Refusal> {
    edge.api().revoke_key(&caller.who, &project, &id).await?;
    Ok(encode::json(StatusCode::OK, &Deleted { success: true }))
}
