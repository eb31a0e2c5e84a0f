//! The audit log: entries, the signed tree, proofs, exports. Operators only.

use crate::encode;
use crate::extract::{Caller, Query};
use crate::problem::Refusal;
use crate::router::Edge;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use neofn_types::{Code, Error};
use neofn_wire::{AuditCheckpoint, AuditList, AuditProof, Problem};
use serde::Deserialize;

/// Which entries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    project: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// What to prove, and in which tree.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofParams {
    seq: Option<u64>,
    old: Option<u64>,
    size: Option<u64>,
}

/// Where to begin.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportParams {
    from: Option<u64>,
}

/// Acts that matter to security or money, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit",
    params(("project" = Option<String>, Query, description = "Of this project alone"), ("limit" = Option<u32>, Query),
        ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, description = "A page of them", body = AuditList),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ListParams>,
) -> Result<Response, Refusal> {
    let project = match params.project.as_deref() {
        Some(name) => Some(neofn_api::project_name(name)?),
        None => None,
    };
    let cursor = params.cursor.as_deref();
    let answer = edge
        .api()
        .audit(&caller.who, project, params.limit, cursor)
        .await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The tree over all entries, signed now.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", tag = "audit",
    responses(
        (status = 200, description = "Size, root, signature, and roots on chain", body = AuditCheckpoint),
        (status = "default", description = "Not to be seen", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn checkpoint(State(edge): State<Edge>, caller: Caller) -> Result<Response, Refusal> {
    let answer = edge.api().audit_checkpoint(&caller.who).await?;
    Ok(encode::json(StatusCode::OK, &answer))
}

/// A proof that an entry is in the tree (`seq`), or that an older tree is the beginning of it (`old`).
#[utoipa::path(get, path = "/api/v1/audit/proof", tag = "audit",
    params(("seq" = Option<u64>, Query), ("old" = Option<u64>, Query),
        ("size" = Option<u64>, Query, description = "Of the tree that is led to; default: all entries")),
    responses(
        (status = 200, description = "The path", body = AuditProof),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn proof(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ProofParams>,
) -> Result<Response, Refusal> {
    let who = &caller.who;
    let answer = match (params.seq, params.old) {
        (Some(seq), None) => edge.api().audit_inclusion(who, seq, params.size).await?,
        (None, Some(old)) => edge.api().audit_consistency(who, old, params.size).await?,
        _ => {
            edge.api().authorise_auditing(who)?;
            return Err(Error::new(Code::BadParameter, "either `seq` or `old` is needed").into());
        }
    };
    Ok(encode::json(StatusCode::OK, &answer))
}

/// The log as lines, page by page: `neofn audit verify` checks them without the node.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit",
    params(("from" = Option<u64>, Query, description = "The first entry of the page; a page without entries is the last")),
    responses(
        (status = 200, description = "One JSON value a line", body = String, content_type = "application/x-ndjson"),
        (status = "default", description = "Not to be had", body = Problem, content_type = "application/problem+json"),
    ), security(("key" = [])))]
pub(crate) async fn export(
    State(edge): State<Edge>,
    caller: Caller,
    Query(params): Query<ExportParams>,
) -> Result<Response, Refusal> {
    let text = edge
        .api()
        .audit_export(&caller.who, params.from.unwrap_or_default())
        .await?;
    Ok(encode::bytes_answer(
        StatusCode::OK,
        "application/x-ndjson",
        text.into(),
    ))
}
