//! Answers as bytes. The result of a run is copied as it is, never parsed.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use neofn_api::Invoked;
use serde::Serialize;

/// An answer of a known shape.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    // these types have string keys and finite numbers: serialising them cannot fail
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes_answer(status, "application/json", Bytes::from(bytes))
}

/// Bytes with their type.
pub(crate) fn bytes_answer(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer of a run: what [`neofn_wire::InvokeAnswer`] serialises to.
pub(crate) fn run(run: &Invoked, result: &[u8]) -> Response {
    let mut out = Vec::with_capacity(result.len() + 320);
    out.extend_from_slice(br#"{"success":true,"result":"#);
    out.extend_from_slice(result);
    member(&mut out, r#","duration":"#, &neofn_api::millis(run.duration));
    member(&mut out, r#","logs":"#, &run.logs);
    out.extend_from_slice(br#","invocationId":""#);
    // writing to a Vec cannot fail
    let _ = std::io::Write::write_fmt(&mut out, format_args!("{}", run.id));
    member(&mut out, r#"","version":"#, &run.version.0);
    member(&mut out, r#","units":"#, &neofn_api::units(&run.units));
    out.push(b'}');
    bytes_answer(StatusCode::OK, "application/json", Bytes::from(out))
}

fn member<T: Serialize>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.extend_from_slice(name.as_bytes());
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use neofn_types::{InvocationId, UnitsBill, Version};
    use std::time::Duration;

    #[tokio::test]
    async fn a_run_is_written_as_its_wire_type_reads() {
        let invoked = Invoked {
            id: InvocationId::from_bytes([7; 16]),
            version: Version(3),
            outcome: Ok(Bytes::from_static(br#"{"a":[1.50,null]}"#)),
            logs: vec!["[LOG] \"x\"\n".to_owned()],
            units: UnitsBill {
                total: 10_007,
                base: 10_000,
                compute: 7,
                memory: 0,
                host: 0,
                schedule: 1,
            },
            duration: Duration::from_micros(1_234),
            replayed: false,
        };
        let response = run(&invoked, br#"{"a":[1.50,null]}"#);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let read: neofn_wire::InvokeAnswer = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json::to_vec(&read).unwrap(), bytes);
        assert_eq!(read.result.get(), r#"{"a":[1.50,null]}"#);
        assert_eq!(read.duration.to_string(), "1.234");
    }
}
