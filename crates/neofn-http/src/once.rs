//! `Idempotency-Key` on the requests that change something and do not see to it themselves, as invocations, transactions
//! and withdrawals do.

use crate::body;
use crate::extract;
use crate::problem::Refusal;
use crate::router::{ENDPOINTS, Edge, Endpoint, header_text};
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use neofn_api::Principal;
use neofn_api::{Naming, Once};
use neofn_types::{Code, Error};

const KEY: &str = "idempotency-key";
/// Largest body of a request that is compared: that of a deployment.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Longest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What of a request and its answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// A digest of the request, and the answer.
    All,
    /// Of the body a digest under the node's key alone: it may hold a secret that is easy to guess.
    NotTheBody,
    /// Not the answer: it holds a secret that is shown once.
    NotTheAnswer,
}

/// The endpoints, by their paths.
const PATHS: &[(&str, Keep)] = &[
    ("/api/functions/projects/{project}", Keep::All),
    ("/api/v1/functions/{project}/{function}/rollback", Keep::All),
    ("/api/v1/projects", Keep::All),
    ("/api/v1/keys/{project}", Keep::NotTheAnswer),
    ("/api/v1/events", Keep::All),
    ("/api/v1/deadletters/retry", Keep::All),
    ("/api/v1/deadletters/drop", Keep::All),
    ("/api/v1/secrets/{project}/{name}/rotate", Keep::NotTheBody),
    ("/api/v1/secrets/{project}/{name}/rollback", Keep::All),
    ("/api/v1/secrets/{project}/{name}/undelete", Keep::All),
    ("/api/v1/secrets/{project}/{name}/destroy", Keep::All),
    ("/api/v1/projects/{project}/rewrap", Keep::All),
    ("/api/v1/vault/rotate", Keep::NotTheBody),
    ("/api/v1/signer/accounts", Keep::NotTheBody),
    ("/api/v1/gas", Keep::All),
    ("/api/v1/backups", Keep::All),
];

/// Whether a path is one of these, where `{name}` stands for anything.
fn fits(path: &str, pattern: &str) -> bool {
    let mut parts = path.split('/');
    let all = pattern.split('/').all(|want| {
        parts
            .next()
            .is_some_and(|part| want.starts_with('{') || want == part)
    });
    all && parts.next().is_none()
}

fn keep(path: &str) -> Option<Keep> {
    let found = PATHS.iter().find(|(pattern, _)| fits(path, pattern));
    found.map(|(_, keep)| *keep)
}

/// Which endpoint a path is of, and what it is about.
#[derive(Default)]
struct Place<'a> {
    endpoint: Option<&'static Endpoint>,
    project: Option<&'a str>,
    function: Option<&'a str>,
}

fn place<'a>(path: &'a str, query: Option<&'a str>) -> Place<'a> {
    // of two the one that names more of it, as the router has it
    let found = ENDPOINTS
        .iter()
        .filter(|e| e.method == "post" && fits(path, e.path));
    let Some(endpoint) = found.min_by_key(|endpoint| endpoint.path.matches('{').count()) else {
        return Place::default();
    };
    let part = |name: &str| {
        let mut both = endpoint.path.split('/').zip(path.split('/'));
        both.find(|(want, _)| *want == name).map(|(_, part)| part)
    };
    // names need no escapes
    let asked = || query?.split('&').find_map(|pair| pair.strip_prefix("project="));
    Place {
        endpoint: Some(endpoint),
        project: part("{project}").or_else(asked),
        function: part("{function}"),
    }
}

/// Whether [`around`] has anything to do with a request.
pub(crate) fn concerns<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST
        && request.headers().contains_key(KEY)
        && keep(request.uri().path()).is_some()
}

/// A request that is to be done under its name.
pub(crate) enum Asked {
    /// With its body read.
    Do(Request<Body>, Option<(Naming, Keep)>),
    /// It was done before, or cannot be done.
    Answered(Response),
}

/// Looks whether a request was done before.
pub(crate) async fn ask(edge: &Edge, request: Request<Body>) -> Asked {
    match begin(edge, request).await {
        Ok(asked) => asked,
        Err(error) => Asked::Answered(Refusal::from(error).into_response()),
    }
}

async fn begin(edge: &Edge, request: Request<Body>) -> Result<Asked, neofn_api::ApiError> {
    let (parts, body) = request.into_parts();
    let who = extract::who(&parts, edge, extract::remote(&parts, edge)).await?;
    let (Some(keep), Some(key)) = (keep(parts.uri.path()), header_text(&parts.headers, KEY)?) else {
        return Ok(Asked::Do(Request::from_parts(parts, body), None));
    };
    if who == Principal::Anonymous {
        // refused where it belongs
        return Ok(Asked::Do(Request::from_parts(parts, body), None));
    }
    let bytes = body::read(edge, &parts.headers, body, BODY_BYTES_MAX).await?;
    let target = parts.uri.path_and_query().map_or("", |t| t.as_str());
    let secret = (keep == Keep::NotTheBody).then(|| edge.api().fingerprint(&bytes));
    let compared = secret.as_ref().map_or(&bytes[..], |digest| &digest.0);
    let content = parts
        .headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let all: [&[u8]; 4] = [b"POST", target.as_bytes(), content, compared];
    let begun = edge.api().begin_once(&who, key, &all).await;
    if !matches!(begun, Ok(Once::Do(_))) {
        // what is done is counted and authorised where it is done
        let place = place(parts.uri.path(), parts.uri.query());
        let project = place.project.and_then(|name| name.parse().ok());
        extract::count_again(&parts, edge, &who, project.as_ref())?;
        if let Some(endpoint) = place.endpoint {
            let api = edge.api();
            api.authorise_reply(&who, endpoint.action, place.project, place.function)?;
        }
    }
    Ok(match begun? {
        Once::Do(naming) => Asked::Do(
            Request::from_parts(parts, Body::from(bytes)),
            Some((naming, keep)),
        ),
        Once::Done(_, _) if keep == Keep::NotTheAnswer => {
            let message = "this request was done before; its answer holds a secret that is shown once";
            let hint = "Revoke what it made if its answer never came, and make another one under a new Idempotency-Key.";
            return Err(Error::new(Code::IdempotencyMismatch, message).hint(hint).into());
        }
        Once::Done(status, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            mark(response.headers_mut());
            Asked::Answered(response)
        }
    })
}

fn mark(headers: &mut HeaderMap) {
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// Keeps the answer of a request that succeeded.
pub(crate) async fn end(edge: &Edge, (naming, keep): (Naming, Keep), response: Response) -> Response {
    let status = response.status();
    if !status.is_success() {
        edge.api().end_once(naming, None).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    let read = http_body_util::Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await;
    let Ok(bytes) = read.map(http_body_util::Collected::to_bytes) else {
        edge.api().end_once(naming, None).await;
        return Refusal::from(Code::Internal).into_response();
    };
    let kept = match keep {
        Keep::NotTheAnswer => Bytes::new(),
        Keep::All | Keep::NotTheBody => bytes.clone(),
    };
    edge.api().end_once(naming, Some((status.as_u16(), kept))).await;
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(keep("/api/v1/functions/a/b/rollback"), Some(Keep::All));
        assert_eq!(keep("/api/v1/keys/demo"), Some(Keep::NotTheAnswer));
        for other in [
            "/api/v1/functions/a/b",
            "/api/v1/keys",
            "/api/v1/keys/demo/",
            "/api/v1/keys/demo/x",
            "/",
        ] {
            assert_eq!(keep(other), None, "{other}");
        }
    }

    #[test]
    fn a_path_is_of_one_endpoint_and_says_what_it_is_about() {
        let found = |path, query| {
            let place = place(path, query);
            let path = place.endpoint.map(|endpoint| endpoint.path);
            (path, place.project, place.function)
        };
        assert_eq!(
            found("/api/v1/functions/a/b/rollback", None),
            (
                Some("/api/v1/functions/{project}/{function}/rollback"),
                Some("a"),
                Some("b")
            )
        );
        assert_eq!(
            found("/api/v1/events", Some("x=1&project=a")),
            (Some("/api/v1/events"), Some("a"), None)
        );
        assert_eq!(found("/nowhere", None), (None, None, None));
    }

    #[test]
    fn every_path_is_served() {
        for (pattern, _) in PATHS {
            let served = |e: &Endpoint| e.method == "post" && e.path == *pattern;
            assert!(ENDPOINTS.iter().any(served), "{pattern}");
        }
    }
}
