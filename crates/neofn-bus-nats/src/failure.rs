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
pub(crate) struct FailureLog(Mutex<VecDeque<String>>);

impl FailureLog {
    pub(crate) fn add(&self, text: &str) {
        let mut log = self.0.lock();
        if log.len() >= KEPT {
            log.pop_front();
        }
        log.push_back(text.to_ascii_lowercase());
    }
    /// The refusal of a subject, if there was one.
    pub(crate) fn of(&self, subject: &str) -> Option<BusError> {
        let wanted = format!("\"{}\"", subject.to_ascii_lowercase());
        let log = self.0.lock();
        let found = log.iter().rev().find(|text| text.contains(&wanted))?;
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
