//! Answers as messages: the same documents as over HTTP, with what a status line would say in headers.

use bytes::Bytes;
use neofn_api::{ApiError, Invoked};
use neofn_bus::Message;
use neofn_types::TraceContext;
use serde::Serialize;

/// Headers that every client of NATS services understands.
const ERROR: &str = "Nats-Service-Error";
const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// Longest text in a header.
const TEXT_MAX: usize = 200;

/// A document of a known shape.
pub(crate) fn json<T: Serialize>(value: &T) -> Message {
    // these types have string keys and finite numbers: serialising them cannot fail
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Message::new(bytes).header("Content-Type", "application/json")
}

/// The end of a run: what [`neofn_wire::InvokeAnswer`] serialises to, its result copied as it is.
pub(crate) fn run(run: &Invoked, trace: &TraceContext) -> Message {
    let result: &[u8] = run.outcome.as_deref().unwrap_or(b"null");
    let mut out = Vec::with_capacity(result.len() + 320);
    out.extend_from_slice(br#"{"success":true,"result":"#);
    out.extend_from_slice(result);
    member(&mut out, "duration", &neofn_api::millis(run.duration));
    member(&mut out, "logs", &run.logs);
    member(&mut out, "invocationId", &run.id.to_string());
    member(&mut out, "version", &run.version.0);
    member(&mut out, "units", &neofn_api::units(&run.units));
    out.push(b'}');
    let mut message = Message::new(Bytes::from(out))
        .header("Content-Type", "application/json")
        .header("traceparent", trace.to_string());
    if run.replayed {
        message = message.header("Idempotency-Replayed", "true");
    }
    message
}

fn member<T: Serialize>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    let _ = serde_json::to_writer(out, value);
}

/// A refusal or a failed run, as a problem document.
pub(crate) fn problem(error: &ApiError, trace: Option<&TraceContext>) -> Message {
    let mut problem = error.problem();
    problem.trace_id = trace.map(TraceContext::trace_id_hex);
    let text = format!("{}: {}", problem.code, problem.message);
    let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    let mut message = Message::new(bytes)
        .header("Content-Type", "application/problem+json")
        .header(ERROR_CODE, problem.status.to_string())
        .header(ERROR, text);
    if let Some(seconds) = error.retry_after_s() {
        message = message.header("Retry-After", seconds.to_string());
    }
    if let Some(trace) = trace {
        message = message.header("traceparent", trace.to_string());
    }
    message
}
