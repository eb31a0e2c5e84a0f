//! The end of a project.

use crate::encode;
use crate::extract::{Caller, ProjectPath, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use neofn_api::Functions;
use neofn_wire::{Problem, ProjectDeleted};
use serde::Deserialize;

/// Whether its functions matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeleteParams {
    force: bool,
}

/// Deletes a project. Its data is gone, its secrets and the keys that they are under are destroyed, its keys are revoked, and its
/// name is not given out again. Refused while it has functions, or money that can be sent to its owner.
#[utoipa::path(delete, path = "/api/v1/projects/{project}", tag = "accounts",
    params(("project" = String, Path), ("force" = Option<bool>, Query, description = "Its functions, too")),
    responses(
        (status = 200, description = "Deleted", body = ProjectDeleted),
        (status = "default", description = "Not deleted", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn delete(
    State(edge): State<Edge>,
    caller: Caller,
    ProjectPath(project): ProjectPath,
    Query(params): Query<DeleteParams>,
) -> Result<Response, Refusal> {
    let functions = match params.force {
        true => Functions::Delete,
        false => Functions::Keep,
    };
    let answer = edge
        .api()
        .delete_project(&caller.who, &project, functions)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}
