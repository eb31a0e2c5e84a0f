//! The documentation that a node serves of itself.

use crate::extract::IdPath;
use crate::problem::Refusal;
use crate::{docs, encode, openapi as document};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use neofn_types::Code;
use std::sync::OnceLock;

/// The OpenAPI document.
pub(crate) async fn openapi() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| Bytes::from(document::text())).clone();
    encode::bytes_answer(StatusCode::OK, "application/json", text)
}

/// The same, to be read by people.
pub(crate) async fn page() -> Response {
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    html(
        PAGE.get_or_init(|| Bytes::from(docs::reference(document::document())))
            .clone(),
    )
}

/// What a code means and what to do.
pub(crate) async fn error_page(IdPath(code): IdPath) -> Result<Response, Refusal> {
    let code: Code = code.parse().map_err(|_| Refusal::from(Code::PathNotFound))?;
    Ok(html(Bytes::from(docs::error(code.info()))))
}

fn html(page: Bytes) -> Response {
    let mut response = encode::bytes_answer(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
