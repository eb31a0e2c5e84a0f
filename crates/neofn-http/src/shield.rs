//! Headers that every answer of ours carries: how many requests are left, what browsers may do with the answer, and
//! which other sites may read it. The answers of functions are their own affair and stay as they are.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use neofn_api::{Standing, TooMany};
use std::sync::{Arc, OnceLock};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where whoever counts a request leaves what the headers say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted(Arc<OnceLock<(Standing, Option<u64>)>>);

impl Counted {
    pub(crate) fn left(&self, standing: Standing) {
        // the first one counts: a request is counted once
        let _ = self.0.set((standing, None));
    }
    pub(crate) fn refused(&self, too_many: &TooMany) {
        let limited = too_many.limited;
        let _ = self.0.set((limited.standing, Some(limited.retry_after_s)));
    }
}

/// Sites whose pages may call the API from a browser, as browsers write them: `https://app.example`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Arc<[String]>);

impl Origins {
    pub(crate) fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.0
            .iter()
            .any(|o| o.as_bytes() == origin.as_bytes())
            .then_some(origin)
    }
}

/// Whether a path is a function's own.
pub(crate) fn is_functions_own(path: &str) -> bool {
    path.starts_with("/f/")
}

/// The answer to a browser that asks whether a page may call; none when it does not ask.
pub(crate) fn preflight<B>(request: &Request<B>, origins: &Origins) -> Option<Response> {
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && !is_functions_own(request.uri().path());
    if !asks {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if origins.allowed(request.headers()).is_some() {
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"),
        );
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, idempotency-key, traceparent"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Some(response)
}

/// What is known of a request once it has been handed on.
pub(crate) struct Asked {
    origin: Option<HeaderValue>,
    own: bool,
    counted: Counted,
}

impl Asked {
    pub(crate) fn of<B>(request: &Request<B>, origins: &Origins, counted: Counted) -> Self {
        Self {
            origin: origins.allowed(request.headers()).cloned(),
            own: is_functions_own(request.uri().path()),
            counted,
        }
    }

    /// Adds the headers.
    pub(crate) fn finish(self, headers: &mut HeaderMap) {
        if let Some((standing, retry_after)) = self.counted.0.get() {
            let mut put = |name: &HeaderName, text: String| {
                if let Ok(value) = HeaderValue::try_from(text) {
                    headers.insert(name, value);
                }
            };
            put(&RATE_LIMIT, standing.header());
            put(&RATE_LIMIT_POLICY, standing.policy_header());
            if let Some(seconds) = retry_after {
                headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
        }
        if self.own {
            return;
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Some(origin) = self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(VARY, HeaderValue::from_static("origin"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("ratelimit, ratelimit-policy, retry-after, traceparent"),
            );
        }
    }
}
