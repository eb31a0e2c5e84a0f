//! From the vendor's errors to the bus's own.

use async_nats::error::Error;
use async_nats::jetstream;
use neofn_bus::BusError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt::{Debug, Display};
use tokio::sync::Notify;

/// Refusals remembered.
const KEPT: usize = 32;

/// What the server has refused lately. It tells so beside the request, which itself only times out.
#[derive(Default)]
pub(crate) struct FailureLog {
    refusals: Mutex<Refusals>,
    /// There is another one.
    told: Notify,
}

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
        let mut log = self.refusals.lock();
        if log.kept.len() >= KEPT {
            log.kept.pop_front();
        }
        log.count += 1;
        log.kept.push_back(text.to_ascii_lowercase());
        drop(log);
        self.told.notify_waiters();
    }
    /// To be taken before something is sent.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.refusals.lock().count)
    }
    /// The refusal of a subject since then, if there was one. What was refused earlier may have been allowed meanwhile: then
    /// a time-out is one.
    pub(crate) fn since(&self, mark: Mark, subject: &str) -> Option<BusError> {
        let wanted = format!("\"{}\"", subject.to_ascii_lowercase());
        self.find(mark, |text| text.contains(&wanted))
    }
    /// The refusal of any subscription so far.
    pub(crate) fn of_subscription(&self) -> Option<BusError> {
        self.find(Mark(0), |text| text.contains("for subscription"))
    }
    fn find(&self, mark: Mark, is: impl Fn(&str) -> bool) -> Option<BusError> {
        let log = self.refusals.lock();
        let new = usize::try_from(log.count.saturating_sub(mark.0)).unwrap_or(KEPT);
        let found = log.kept.iter().rev().take(new).find(|text| is(text))?;
        Some(BusError::Denied(found.clone()))
    }
    /// Ready when a subject that has `part` in it was refused since then.
    pub(crate) async fn refused(&self, mark: Mark, part: &str) -> BusError {
        let part = part.to_ascii_lowercase();
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(error) = self.find(mark, |text| text.contains(&part)) {
                return error;
            }
            told.await;
        }
    }
    /// Does something, unless a subject that has `part` in it is refused meanwhile: what needs it would only run out of time.
    pub(crate) async fn unless_refused<T>(
        &self,
        part: &str,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        let mark = self.mark();
        tokio::select! {
            biased;
            done = work => done,
            error = self.refused(mark, part) => Err(error),
        }
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
        assert!(log.of_subscription().is_none());
        log.add("Permissions Violation for Subscription to \"y.*\"");
        assert!(log.of_subscription().is_some());
    }

    #[tokio::test]
    async fn who_waits_for_what_is_refused_hears_of_it_at_once() {
        let log = FailureLog::default();
        log.add("permissions violation for publish to \"mine\"");
        let work = log.unless_refused("\"mine\"", std::future::pending::<Result<(), BusError>>());
        let refuse = async {
            tokio::task::yield_now().await;
            log.add("permissions violation for publish to \"others\"");
            tokio::task::yield_now().await;
            log.add("permissions violation for publish to \"Mine\"");
        };
        let (done, ()) = tokio::join!(work, refuse);
        assert!(matches!(done, Err(BusError::Denied(text)) if text.ends_with("\"mine\"")));
        let done = log.unless_refused("\"mine\"", async { Ok(7) }).await;
        assert_eq!(done, Ok(7), "an earlier one");
    }
}
