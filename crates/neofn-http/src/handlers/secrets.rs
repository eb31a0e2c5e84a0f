//! Secrets of a project, and the vault. Nothing here answers a value.

use crate::extract::{Caller, ProjectPath, Query, SecretPath};
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_api::{Action, json};
use neofn_types::{Code, Error, ProjectName};
use neofn_wire::{
    Problem, RootKeyRequest, SecretDone, SecretList, SecretPut, SecretRollback, SecretVersionList,
    SecretVersions, SecretView, SecretsRewrapped, VaultView,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Most bytes of a request: a value of 16 KiB, escaped, and its settings.
const BODY_BYTES_MAX: usize = 128 << 10;

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Reads a body that may hold a value; what does not fit is not quoted.
async fn read<T: DeserializeOwned>(edge: &Edge, headers: &HeaderMap, body: Body) -> Result<T, Refusal> {
    let body = body::read(edge, headers, body, BODY_BYTES_MAX).await?;
    let body = zeroize::Zeroizing::new(body.to_vec());
    json::request(&body).map_err(|e| match e.code {
        Code::RequestInvalid | Code::MalformedJson => {
            Error::new(e.code, "the body is not what this request takes").into()
        }
        _ => e.into(),
    })
}
fn may(edge: &Edge, caller: &Caller, action: Action, project: &ProjectName) -> Result<(), Refusal> {
    Ok(edge.api().authorise_project(&caller.who, action, project)?)
}

/// Sets the value of a secret, or its settings. The value is never answered.
#[utoipa::path(put, path = "/api/v1/secrets/{project}/{name}", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)), request_body = SecretPut,
    responses(
        (status = 200, description = "As it is now", body = SecretView),
        (status = "default", description = "Not set", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn set(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    may(&edge, &caller, Action::WriteSecret, &project)?;
    let request: SecretPut = read(&edge, &headers, body).await?;
    let answer = edge
        .api()
        .put_secret(&caller.who, &project, &name, request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// A secret without its value.
#[utoipa::path(get, path = "/api/v1/secrets/{project}/{name}", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)),
    responses(
        (status = 200, description = "Without its value", body = SecretView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn show(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().secret(&caller.who, &project, &name).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The secrets of a project by name.
#[utoipa::path(get, path = "/api/v1/secrets/{project}", tag = "secrets",
    params(("project" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "Without values", body = SecretList),
        (status = "default", description = "Not listed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(params): Query<ListParams>,
) -> Result<Response, Refusal> {
    let cursor = params.cursor.as_deref();
    let answer = edge
        .api()
        .secrets(&caller.who, &project, params.limit, cursor)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The versions of a secret, newest first.
#[utoipa::path(get, path = "/api/v1/secrets/{project}/{name}/versions", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)),
    responses(
        (status = 200, description = "Without values", body = SecretVersionList),
        (status = "default", description = "Not listed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn versions(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().secret_versions(&caller.who, &project, &name).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Makes the value of an earlier version the newest, as a new version.
#[utoipa::path(post, path = "/api/v1/secrets/{project}/{name}/rollback", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)), request_body = SecretRollback,
    responses(
        (status = 200, description = "As it is now", body = SecretView),
        (status = "default", description = "Not changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn rollback(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    may(&edge, &caller, Action::WriteSecret, &project)?;
    let request: SecretRollback = read(&edge, &headers, body).await?;
    let answer = edge
        .api()
        .rollback_secret(&caller.who, &project, &name, request.version)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Takes a secret out of use; `undelete` brings it back.
#[utoipa::path(delete, path = "/api/v1/secrets/{project}/{name}", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)),
    responses(
        (status = 200, description = "As it is now", body = SecretView),
        (status = "default", description = "Not deleted", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn remove(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().delete_secret(&caller.who, &project, &name).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Puts deleted versions back into use.
#[utoipa::path(post, path = "/api/v1/secrets/{project}/{name}/undelete", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)), request_body = SecretVersions,
    responses(
        (status = 200, description = "As it is now", body = SecretView),
        (status = "default", description = "Not changed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn undelete(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    may(&edge, &caller, Action::WriteSecret, &project)?;
    let request: SecretVersions = body::request_or_default(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge
        .api()
        .undelete_secret(&caller.who, &project, &name, &request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Erases versions, or the whole secret, for good.
#[utoipa::path(post, path = "/api/v1/secrets/{project}/{name}/destroy", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)), request_body = SecretVersions,
    responses(
        (status = 200, description = "Gone", body = SecretDone),
        (status = "default", description = "Not destroyed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn destroy(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    may(&edge, &caller, Action::DestroySecret, &project)?;
    let request: SecretVersions = body::request_or_default(&edge, &headers, body, BODY_BYTES_MAX).await?;
    let answer = edge
        .api()
        .destroy_secret(&caller.who, &project, &name, &request)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Begins the rotation that the secret's policy says.
#[utoipa::path(post, path = "/api/v1/secrets/{project}/{name}/rotate", tag = "secrets",
    params(("project" = String, Path), ("name" = String, Path)),
    responses(
        (status = 200, description = "Begun", body = SecretDone),
        (status = "default", description = "Not begun", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn rotate(
    State(edge): State<Edge>,
    caller: Caller,
    SecretPath(project, name): SecretPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().rotate_secret(&caller.who, &project, &name).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Puts every value of a project under a new key; what was under the old one and is not kept any more opens for nobody.
#[utoipa::path(post, path = "/api/v1/projects/{project}/rewrap", tag = "secrets",
    params(("project" = String, Path)),
    responses(
        (status = 200, description = "Under the new key", body = SecretsRewrapped),
        (status = "default", description = "Not all; ask again", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn rewrap(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Refusal> {
    let answer = edge.api().rewrap_secrets(&caller.who, &project).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// How the vault is doing.
#[utoipa::path(get, path = "/api/v1/vault", tag = "secrets",
    responses(
        (status = 200, description = "Nothing of it is secret", body = VaultView),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn vault(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().vault_status(&caller.who).await?,
    ))
}

/// Forgets every key: no secret can be read or written until the vault is unsealed.
#[utoipa::path(post, path = "/api/v1/vault/seal", tag = "secrets",
    responses(
        (status = 200, description = "Sealed", body = VaultView),
        (status = "default", description = "Not sealed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn seal(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    Ok(encode::json(
        StatusCode::OK,
        &edge.api().seal_vault(&caller.who).await?,
    ))
}

/// Takes the root key; the first one becomes the root.
#[utoipa::path(post, path = "/api/v1/vault/unseal", tag = "secrets", request_body = RootKeyRequest,
    responses(
        (status = 200, description = "Unsealed", body = VaultView),
        (status = "default", description = "Still sealed", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn unseal(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_vault(&caller.who)?;
    let request: RootKeyRequest = read(&edge, &headers, body).await?;
    let answer = edge.api().unseal_vault(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// Puts everything under a new root key.
#[utoipa::path(post, path = "/api/v1/vault/rotate", tag = "secrets", request_body = RootKeyRequest,
    responses(
        (status = 200, description = "Under the new root", body = VaultView),
        (status = "default", description = "Under the old root", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn rotate_root(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_vault(&caller.who)?;
    let request: RootKeyRequest = read(&edge, &headers, body).await?;
    let answer = edge.api().rotate_vault(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
