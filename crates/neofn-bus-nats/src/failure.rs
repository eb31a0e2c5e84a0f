//! From the vendor's errors to the bus's own.

use async_nats::error::Error;
use async_nats::jetstream;
use neofn_bus::BusError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt::{Debug, Display};

/// Refusals remembered.
const KEPT: usize = 32;

/// What the server has refused lately. It tells so beside the request, which itself only times out.
#[derive(Default)]
pub(crate) struct FailureLog(Mutex<Refusals>);

#[derive(Default)]
struct Refusals {
    count: u64,
    kept: VecDeque<String>,
}

/// A moment: how many refusals there were before it.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

impl FailureLog {
    pub(crate) fn add(&self, text: &str) {
        let mut log = self.0.lock();
        if log.kept.len() >= KEPT {
            log.kept.pop_front();
        }
        log.count += 1;
        log.kept.push_back(text.to_ascii_lowercase());
    }
    /// To be taken before something is sent.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.lock().count)
    }
    /// The refusal of a subject since then, if there was one. What was refused earlier may have been allowed meanwhile: then
    /// a time-out is one.
    pub(crate) fn since(&self, mark: Mark, subject: &str) -> Option<BusError> {
        let wanted = format!("\"{}\"", subject.to_ascii_lowercase());
        let log = self.0.lock();
        let new = usize::try_from(log.count.saturating_sub(mark.0)).unwrap_or(KEPT);
        let found = log
            .kept
            .iter()
            .rev()
            .take(new)
            .find(|text| text.contains(&wanted))?;
        Some(BusError::Denied(found.clone()))
    }
}

/// Anything that is neither refused nor the caller's fault.
pub(crate) fn unavailable(error: impl Display) -> BusError {
    BusError::Unavailable(error.to_string())
}

/// The server's own error, if there is one somewhere in the chain.
pub(crate) fn server_code<K>(error: &Error<K>) -> Option<jetstream::ErrorCode>
where
    K: Clone + Debug + Display + PartialEq + Send + Sync + 'static,
{
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<jetstream::Error>() {
            return Some(error.error_code());
        }
        next = cause.source();
    }
    None
}

/// A message that was too large to be sent.
pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> BusError {
    BusError::TooLarge { bytes, bytes_max }
}

/// A publication to a stream that was not taken.
pub(crate) fn not_stored(
    error: &jetstream::context::PublishError,
    subject: &str,
    bytes: usize,
    bytes_max: usize,
) -> BusError {
    use jetstream::context::PublishErrorKind as Kind;
    match (error.kind(), server_code(error)) {
        (Kind::MaxPayloadExceeded, _) => too_large(bytes, bytes_max),
        // the stream itself takes less than the server; by how much it does not say
        (
            _,
            Some(
                jetstream::ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                | jetstream::ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
            ),
        ) => too_large(bytes, bytes.saturating_sub(1).min(bytes_max)),
        (_, Some(jetstream::ErrorCode::STREAM_STORE_FAILED)) => BusError::Full(subject.to_owned()),
        (Kind::WrongLastSequence, _) => BusError::Conflict(subject.to_owned()),
        _ => unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_what_was_sent_before_it() {
        let log = FailureLog::default();
        let before = log.mark();
        log.add("permissions violation for publish to \"A.b\"");
        assert!(log.since(before, "a.B").is_some());
        assert!(log.since(before, "a.c").is_none());
        let after = log.mark();
        log.add("permissions violation for publish to \"x\"");
        assert!(log.since(after, "a.b").is_none(), "that was an earlier one");
        assert!(log.since(after, "x").is_some());
    }
}
