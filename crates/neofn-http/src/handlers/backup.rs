//! Backups of the node. Operators only.

use crate::extract::Caller;
use crate::problem::Refusal;
use crate::router::Edge;
use crate::{body, encode};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use neofn_wire::{BackupRequest, BackupView, Problem};

/// Most bytes of a request.
const BYTES_MAX: usize = 4 << 10;

/// Makes a backup in the node's data directory, encrypted to a recipient.
#[utoipa::path(post, path = "/api/v1/backups", tag = "node", request_body = BackupRequest,
    responses(
        (status = 201, description = "It is on disk", body = BackupView),
        (status = "default", description = "Not made", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn create(
    State(edge): State<Edge>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    edge.api().authorise_backups(&caller.who)?;
    let request: BackupRequest = body::request(&edge, &headers, body, BYTES_MAX).await?;
    let answer = edge.api().backup(&caller.who, &request).await?;
    Ok(encode::json(StatusCode::CREATED, &answer))
}
