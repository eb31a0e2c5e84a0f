//! Refusals as RFC 9457 problem documents, written in one place so that each carries its trace and reaches the log.

use crate::encode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use neofn_api::ApiError;
use neofn_types::{Code, Error, TraceContext};
use std::sync::Arc;

/// A use case's error on its way out. Handlers answer it by `?`.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(pub(crate) Arc<ApiError>);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(Arc::new(error))
    }
}
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        ApiError::from(error).into()
    }
}
impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        ApiError::from(code).into()
    }
}

impl IntoResponse for Refusal {
    /// An empty answer that carries the refusal; [`finish`] writes it, because only there the trace is known.
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem document of a refused request; other answers pass.
pub(crate) fn finish(mut response: Response, trace: &TraceContext) -> Response {
    let Some(Refusal(error)) = response.extensions_mut().remove::<Refusal>() else {
        return response;
    };
    log(&error, trace);
    let mut problem = error.problem();
    problem.trace_id = Some(trace.trace_id_hex());
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
    let mut answer = encode::bytes_answer(status, "application/problem+json", body);
    // of a 405, as the router set it; the length beside it is that of the placeholder
    if let Some(allow) = response.headers_mut().remove(ALLOW) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    if let Some(seconds) = error.retry_after_s() {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        answer
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn log(error: &ApiError, trace: &TraceContext) {
    let (code, trace_id) = (error.code(), trace.trace_id_hex());
    match (error, code.info().status) {
        (ApiError::Failed(failed), _) if code.as_str() < "NF09" && code != Code::SandboxLost => {
            tracing::debug!(%code, trace_id, invocation = %failed.run.id, message = failed.failure.message, "run failed");
        }
        (_, 500..) => tracing::error!(%code, trace_id, chain = error.chain(), "request failed"),
        _ => tracing::debug!(%code, trace_id, chain = error.chain(), "request refused"),
    }
}
