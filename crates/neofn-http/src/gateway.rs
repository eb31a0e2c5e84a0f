//! Between HTTP and a function that serves it: the request as an event, the result as a response.
//!
//! What frames a message or names a hop is ours and never passes, in either direction.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use neofn_api::{ApiKey, RefreshToken};
use neofn_types::{Code, Digest, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most headers of a function's response.
const HEADERS_MAX: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    method: &'a str,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<&'a str, String>,
    body: String,
    is_base64_encoded: bool,
}

/// Which of the caller's credentials are the function's own business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Not when we took it ourselves: tenants' code must never hold a key to the node.
    pub(crate) authorization: bool,
    pub(crate) cookie: bool,
}

/// The event of a request. `rest` is the path below the function's name, decoded. What comes more than once is
/// joined by commas.
pub(crate) fn event(request: &Parts, rest: &str, body: &[u8], passed: Credentials) -> Bytes {
    let headers = &request.headers;
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    let named = connection_names(headers);
    for (name, value) in headers {
        let kept_back = (name == AUTHORIZATION && !passed.authorization)
            || (name == COOKIE && !passed.cookie)
            || holds_our_key(value);
        if per_hop(name) || named.contains(&name.as_str().to_owned()) || kept_back {
            continue;
        }
        join(
            seen.entry(name.as_str()).or_default(),
            &String::from_utf8_lossy(value.as_bytes()),
        );
    }
    let mut query: BTreeMap<String, String> = BTreeMap::new();
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&request.uri);
    for (name, value) in pairs.map(|q| q.0).unwrap_or_default() {
        match query.entry(name) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(value);
            }
            std::collections::btree_map::Entry::Occupied(mut taken) => {
                taken.get_mut().push(',');
                taken.get_mut().push_str(&value);
            }
        }
    }
    let text = std::str::from_utf8(body);
    let event = Event {
        method: request.method.as_str(),
        path: format!("/{rest}"),
        query,
        headers: seen,
        is_base64_encoded: text.is_err(),
        body: text.map_or_else(
            |_| base64::engine::general_purpose::STANDARD.encode(body),
            str::to_owned,
        ),
    };
    Bytes::from(serde_json::to_vec(&event).unwrap_or_default())
}

/// What makes two requests with one Idempotency-Key the same: their headers may differ.
pub(crate) fn fingerprint(request: &Parts, body: &[u8]) -> Digest {
    let uri = &request.uri;
    Digest::of_parts(&[
        request.method.as_str().as_bytes(),
        uri.path().as_bytes(),
        uri.query().unwrap_or_default().as_bytes(),
        body,
    ])
}

/// Whether an API key or a refresh token of ours is in a header, be it revoked, mistyped or sent under a name of the caller's own.
fn holds_our_key(value: &HeaderValue) -> bool {
    [ApiKey::PREFIX, RefreshToken::PREFIX].iter().any(|prefix| {
        let mut parts = value.as_bytes().windows(prefix.len());
        parts.any(|part| part.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

fn join(all: &mut String, value: &str) {
    if !all.is_empty() {
        all.push(',');
    }
    all.push_str(value);
}

fn connection_names(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn per_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "upgrade"
            | "expect"
    ) || *name == TRANSFER_ENCODING
        || *name == CONTENT_LENGTH
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reply {
    #[serde(default = "ok")]
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

fn ok() -> u16 {
    200
}

/// The response that a result describes.
pub(crate) fn response(result: &[u8]) -> Result<Response, Error> {
    if !matches!(result.iter().find(|b| !b.is_ascii_whitespace()), Some(b'{')) {
        return Err(wrong("the result is not an object"));
    }
    let reply: Reply = serde_json::from_slice(result).map_err(|e| wrong(format!("{e}")))?;
    // 1xx are not answers, and 101 would leave HTTP
    let status = (200..600)
        .contains(&reply.status_code)
        .then(|| StatusCode::from_u16(reply.status_code).ok())
        .flatten()
        .ok_or_else(|| {
            wrong(format!(
                "`statusCode` is {}, not between 200 and 599",
                reply.status_code
            ))
        })?;
    let text = reply.body.unwrap_or_default();
    let body = if reply.is_base64_encoded {
        let bytes = base64::engine::general_purpose::STANDARD.decode(&text);
        Bytes::from(bytes.map_err(|e| wrong(format!("`body` is not base64: {e}")))?)
    } else {
        Bytes::from(text)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        header(&mut headers, name, value)?;
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
    }
    let mut response = Response::new(if bodiless { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn header(headers: &mut HeaderMap, name: &str, value: &Value) -> Result<(), Error> {
    let shown: String = name.chars().take(40).collect();
    let name = HeaderName::try_from(name).map_err(|_| wrong(format!("{shown:?} is not a header's name")))?;
    let values: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(_) | Value::Bool(_) => vec![value.to_string()],
        Value::Array(many) if many.iter().all(Value::is_string) => many
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect(),
        _ => return Err(wrong(format!("header {shown:?} is not a string"))),
    };
    if per_hop(&name) {
        return Ok(());
    }
    for text in values {
        if headers.len() >= HEADERS_MAX {
            return Err(wrong(format!("there are more than {HEADERS_MAX} headers")));
        }
        let value = HeaderValue::try_from(text).map_err(|_| {
            wrong(format!(
                "header {shown:?} has a line break or a control character"
            ))
        })?;
        headers.append(name.clone(), value);
    }
    Ok(())
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(
        Code::HttpReplyInvalid,
        format!("the function's result is not an HTTP response: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: &Bytes) -> Value {
        serde_json::from_slice(event).unwrap()
    }

    #[test]
    fn a_request_becomes_an_event() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let uri = "/f/p/f/a%20b?q=1&q=2&e=%C3%A4";
        let (mut parts, ()) = http::Request::put(uri).body(()).unwrap().into_parts();
        parts.headers = headers;
        let passed = |public| Credentials {
            authorization: public,
            cookie: public,
        };
        let of = |body: &[u8], public| read(&event(&parts, "a b", body, passed(public)));
        assert_eq!(
            of(b"x\"y", false),
            json!({"method": "PUT", "path": "/a b", "query": {"q": "1,2", "e": "ä"}, "headers": {"x-a": "1,2"}, "body": "x\"y", "isBase64Encoded": false})
        );
        let public = of(&[0xff, 0x00], true);
        assert_eq!(
            (&public["body"], &public["isBase64Encoded"]),
            (&json!("/wA="), &json!(true))
        );
        assert_eq!(
            public["headers"],
            json!({"x-a": "1,2", "authorization": "Bearer x", "cookie": "a=1"})
        );
    }

    #[test]
    fn a_key_of_ours_is_nobodys_event() {
        let (mut parts, ()) = http::Request::get("/f/p/f").body(()).unwrap().into_parts();
        for (name, value) in [
            ("authorization", "Basic x"),
            ("authorization", "BEARER nfk_0101_02_03"),
            ("x-api-key", "NFK_0101"),
            ("cookie", "key=nfk_0101"),
            ("x-a", "nfx_"),
        ] {
            parts.headers.append(name, HeaderValue::from_static(value));
        }
        let all = Credentials {
            authorization: true,
            cookie: true,
        };
        assert_eq!(
            read(&event(&parts, "", b"", all))["headers"],
            json!({"authorization": "Basic x", "x-a": "nfx_"})
        );
        let ours = Credentials {
            authorization: false,
            cookie: true,
        };
        assert_eq!(
            read(&event(&parts, "", b"", ours))["headers"],
            json!({"x-a": "nfx_"})
        );
    }

    #[test]
    fn a_result_becomes_a_response() {
        let r = response(json!({"statusCode": 201, "headers": {"X-A": 1, "set-cookie": ["a=1", "b=2"], "Content-Length": "999", "Connection": "upgrade"}, "body": "hi"}).to_string().as_bytes()).unwrap();
        assert_eq!(r.status(), 201);
        assert_eq!(r.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(r.headers()["content-type"], "text/plain; charset=utf-8");
        assert!(!r.headers().contains_key("content-length") && !r.headers().contains_key("connection"));
        assert_eq!(response(b"{}").unwrap().status(), 200);
    }

    #[test]
    fn a_result_that_is_no_response_is_said_to_be_none() {
        let lines: Vec<String> = [
            json!(null),
            json!("hi"),
            json!({"greeting": "hi"}),
            json!({"statusCode": 101}),
            json!({"statusCode": 99_999}),
            json!({"statusCode": "200"}),
            json!({"body": {"a": 1}}),
            json!({"body": "*", "isBase64Encoded": true}),
            json!({"headers": {"bad name": "x"}}),
            json!({"headers": {"x": "a\r\nset-cookie: b"}}),
            json!({"headers": {"x": {"y": 1}}}),
            json!({"headers": {"x": vec!["a"; 101]}}),
        ]
        .iter()
        .map(|result| response(result.to_string().as_bytes()).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
