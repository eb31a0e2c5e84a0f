//! Refusals as statuses with the details of google.rpc, in one place.
//!
//! The internal chain goes to the log; a status carries the public text alone.

use neofn_api::ApiError;
use neofn_types::{Code, Error, TraceContext};
use std::time::Duration;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Whose codes these are.
const DOMAIN: &str = "neofn";

/// The status of a use case that was not done.
pub(super) fn refuse(error: &ApiError, trace: &TraceContext) -> Status {
    log(error, trace);
    let (code, problem) = (error.code(), error.problem());
    let mut details = ErrorDetails::new();
    let metadata = [("hint", problem.hint.clone()), ("traceId", trace.trace_id_hex())];
    let mut metadata: std::collections::HashMap<String, String> =
        metadata.map(|(name, value)| (name.to_owned(), value)).into();
    if let Some(stage) = problem.stage {
        metadata.insert("stage".to_owned(), stage);
    }
    details.set_error_info(code.as_str(), DOMAIN, metadata);
    let grpc = grpc_code(code);
    if grpc == tonic::Code::InvalidArgument {
        let findings = problem.diagnostics.unwrap_or_default();
        let mut violations: Vec<FieldViolation> = findings
            .iter()
            .map(|d| FieldViolation::new(format!("{}:{}:{}", d.file, d.line, d.column), &d.message))
            .collect();
        if violations.is_empty() {
            violations.push(FieldViolation::new(field(&problem.message), &problem.message));
        }
        details.set_bad_request(violations);
    }
    set_retry(&mut details, error);
    Status::with_error_details(grpc, format!("{code}: {}", problem.message), details)
}

fn set_retry(details: &mut ErrorDetails, error: &ApiError) {
    if let Some(seconds) = error.retry_after_s() {
        details.set_retry_info(Some(Duration::from_secs(u64::from(seconds))));
    }
}

/// Names of the HTTP API that requests for pages have others for.
pub(super) const PAGES: &[(&str, &str)] = &[
    ("`limit`", "`page_size`"),
    ("`cursor`", "`page_token`"),
    ("`next`", "`next_page_token`"),
];
/// The attribute that the message of an event has another name for.
pub(super) const EVENT: &[(&str, &str)] = &[("`specversion`", "`spec_version`")];

/// The error in the words of the request: use cases name parameters as the HTTP API does.
pub(super) fn renamed(error: impl Into<ApiError>, names: &[(&str, &str)]) -> ApiError {
    let mut error = error.into();
    if let ApiError::Plain(plain) = &mut error
        && matches!(plain.code, Code::BadParameter | Code::EventInvalid)
    {
        for (http, ours) in names {
            plain.message = plain.message.replace(http, ours);
        }
    }
    error
}

/// The status of a plain error.
pub(super) fn plain(error: Error, trace: &TraceContext) -> Status {
    refuse(&ApiError::from(error), trace)
}

/// The status of an error that no use case met.
pub(super) fn bare(error: Error) -> Status {
    let mut details = ErrorDetails::new();
    let hint = ("hint".to_owned(), error.cure().to_owned());
    details.set_error_info(error.code.as_str(), DOMAIN, [hint]);
    let (code, message) = (error.code, format!("{}: {}", error.code, error.message));
    set_retry(&mut details, &ApiError::from(error));
    Status::with_error_details(grpc_code(code), message, details)
}

/// Texts name what they are about first, in backquotes.
fn field(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or_default()
}

fn grpc_code(code: Code) -> tonic::Code {
    if code == Code::IdempotencyBusy {
        return tonic::Code::Aborted;
    }
    match code.info().status {
        400 | 405 | 415 | 422 => tonic::Code::InvalidArgument,
        401 => tonic::Code::Unauthenticated,
        402 | 413 | 429 => tonic::Code::ResourceExhausted,
        403 => tonic::Code::PermissionDenied,
        404 => tonic::Code::NotFound,
        408 | 504 => tonic::Code::DeadlineExceeded,
        409 | 410 => tonic::Code::FailedPrecondition,
        502 | 503 => tonic::Code::Unavailable,
        _ => tonic::Code::Internal,
    }
}

fn log(error: &ApiError, trace: &TraceContext) {
    let (code, trace_id) = (error.code(), trace.trace_id_hex());
    match code.info().status {
        500.. => tracing::error!(%code, trace_id, chain = error.chain(), "call failed"),
        _ => tracing::debug!(%code, trace_id, chain = error.chain(), "call refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: TraceContext = TraceContext {
        trace_id: [1; 16],
        span_id: [2; 8],
        flags: 1,
    };

    #[test]
    fn a_status_carries_code_cure_and_when_to_come_back() {
        let status = plain(Code::Overloaded.into(), &TRACE);
        assert_eq!(status.code(), tonic::Code::Unavailable);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("NF0305", "neofn"));
        assert_eq!(info.metadata["traceId"], TRACE.trace_id_hex());
        assert!(details.retry_info().unwrap().retry_delay.is_some());
        let status = plain(Error::new(Code::EventInvalid, "`source` is missing"), &TRACE);
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "source");
    }

    #[test]
    fn errors_name_the_fields_of_the_request() {
        let wrong = |message: &str| Error::new(Code::BadParameter, message);
        let refused = |error: Error, names| {
            let status = refuse(&renamed(error, names), &TRACE);
            let field = status.get_error_details().bad_request().unwrap().field_violations[0]
                .field
                .clone();
            (status.message().to_owned(), field)
        };
        let (message, field) = refused(wrong("`limit` is 0, but must be between 1 and 1000"), PAGES);
        assert_eq!(
            message,
            "NF0317: `page_size` is 0, but must be between 1 and 1000"
        );
        assert_eq!(field, "page_size");
        let (message, field) = refused(wrong("`cursor` is not one that an answer gave as `next`"), PAGES);
        assert_eq!(
            message,
            "NF0317: `page_token` is not one that an answer gave as `next_page_token`"
        );
        assert_eq!(field, "page_token");
        let missing = Error::new(Code::EventInvalid, "`specversion` is missing");
        assert_eq!(refused(missing, EVENT).1, "spec_version");
        // texts of functions and people are theirs
        let theirs = Error::new(Code::FunctionNotFound, "`limit`");
        let ApiError::Plain(theirs) = renamed(theirs, PAGES) else {
            unreachable!("it was plain");
        };
        assert_eq!(theirs.message, "`limit`");
    }

    #[test]
    fn no_code_is_ok_or_unknown() {
        for code in Code::ALL {
            let grpc = grpc_code(*code);
            assert!(grpc != tonic::Code::Ok && grpc != tonic::Code::Unknown, "{code}");
        }
    }
}
