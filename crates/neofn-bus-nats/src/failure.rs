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
    kept: VecDeque<Refusal>,
}

/// A moment: how many refusals there were before it.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

/// What the server said, and of what.
struct Refusal {
    text: String,
    of: Of,
}

#[derive(Debug, PartialEq, Eq)]
enum Of {
    Publication(String),
    Subscription,
    Other,
}

/// How the server begins; the subject follows in quotation marks.
const PUBLICATION: &str = "permissions violation for publish to ";
const SUBSCRIPTION: &str = "permissions violation for subscription to ";

impl Of {
    /// Reads what the server says. Clients choose subjects, quotation marks and all: what stands inside of one is no other.
    fn read(text: &str) -> Self {
        let text = text.strip_prefix("nats: ").unwrap_or(text);
        if after(text, SUBSCRIPTION).is_some() {
            return Self::Subscription;
        }
        match after(text, PUBLICATION).and_then(unquoted) {
            Some((subject, "")) => Self::Publication(subject),
            _ => Self::Other,
        }
    }
}

fn after<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(beginning.len())?;
    head.eq_ignore_ascii_case(beginning).then_some(rest)
}

/// What stands in quotation marks at the beginning, as Go writes it, and what follows. Whatever is escaped but a quotation
/// mark and a backslash is in no subject of ours.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut subject = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((subject, rest.as_str())),
            '\\' => match rest.next()? {
                c @ ('"' | '\\') => subject.push(c),
                _ => return None,
            },
            c => subject.push(c),
        }
    }
}

impl FailureLog {
    pub(crate) fn add(&self, text: &str) {
        let mut log = self.refusals.lock();
        if log.kept.len() >= KEPT {
            log.kept.pop_front();
        }
        log.count += 1;
        log.kept.push_back(Refusal {
            text: text.to_owned(),
            of: Of::read(text),
        });
        drop(log);
        self.told.notify_waiters();
    }
    /// To be taken before something is sent.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.refusals.lock().count)
    }
    /// The refusal of a publication to this subject since then, if there was one. What was refused earlier may have been
    /// allowed meanwhile: then a time-out is one.
    pub(crate) fn since(&self, mark: Mark, subject: &str) -> Option<BusError> {
        self.find(
            mark,
            |of| matches!(of, Of::Publication(found) if found == subject),
        )
    }
    /// The refusal of any subscription so far.
    pub(crate) fn of_subscription(&self) -> Option<BusError> {
        self.find(Mark(0), |of| *of == Of::Subscription)
    }
    fn find(&self, mark: Mark, is: impl Fn(&Of) -> bool) -> Option<BusError> {
        let log = self.refusals.lock();
        let new = usize::try_from(log.count.saturating_sub(mark.0)).unwrap_or(KEPT);
        let found = log.kept.iter().rev().take(new).find(|told| is(&told.of))?;
        Some(BusError::Denied(found.text.clone()))
    }
    /// Ready when a publication to such a subject was refused since then.
    pub(crate) async fn refused(&self, mark: Mark, is: impl Fn(&str) -> bool) -> BusError {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let found = self.find(mark, |of| matches!(of, Of::Publication(found) if is(found)));
            if let Some(error) = found {
                return error;
            }
            told.await;
        }
    }
    /// Does something, unless a publication to such a subject is refused meanwhile: what needs it would only run out of time.
    pub(crate) async fn unless_refused<T>(
        &self,
        is: impl Fn(&str) -> bool,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        let mark = self.mark();
        tokio::select! {
            biased;
            done = work => done,
            error = self.refused(mark, is) => Err(error),
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

/// Headers of a message that a stream takes, with what is around them.
const HEAD_BYTES_MAX: usize = (64 << 10) - 1;

/// A publication to a stream that was not taken; `head` are the bytes of its headers, `bytes` those of its content.
pub(crate) fn not_stored(
    error: &jetstream::context::PublishError,
    subject: &str,
    (head, bytes): (usize, usize),
    bytes_max: usize,
) -> BusError {
    use jetstream::context::PublishErrorKind as Kind;
    match (error.kind(), server_code(error)) {
        (Kind::MaxPayloadExceeded, _) => too_large(bytes, bytes_max),
        // no stream takes more headers than this
        (_, Some(jetstream::ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM)) => too_large(head, HEAD_BYTES_MAX),
        // the stream itself takes less than the server; by how much it does not say
        (_, Some(jetstream::ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)) => {
            too_large(bytes, bytes.saturating_sub(1).min(bytes_max))
        }
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
        assert!(log.since(before, "A.b").is_some());
        assert!(log.since(before, "A.c").is_none());
        let after = log.mark();
        log.add("permissions violation for publish to \"x\"");
        assert!(log.since(after, "A.b").is_none(), "that was an earlier one");
        assert!(log.since(after, "x").is_some());
        assert!(log.of_subscription().is_none());
        log.add("Permissions Violation for Subscription to \"y.*\"");
        assert!(log.of_subscription().is_some());
    }

    /// Whoever has somebody refused chooses the subject.
    #[test]
    fn a_subject_inside_of_another_is_not_refused() {
        let log = FailureLog::default();
        let before = log.mark();
        for hostile in [
            r#"nats: Permissions Violation for Publish to "evil\"neofn.worker.w1.run""#,
            r#"nats: Permissions Violation for Publish to "evil\\\"neofn.worker.w1.run""#,
            r#"nats: Permissions Violation for Publish to "x\"Permissions.Violation.for.Publish.to.\"neofn.worker.w1.run""#,
            r#"nats: Permissions Violation for Publish to "evil" "neofn.worker.w1.run""#,
            r#"nats: Permissions Violation for Publish to "neofn.worker.w1.run\x00""#,
            r#"nats: Permissions Violation for Publish to "neofn.worker.w1.run"#,
            r#"nats: Permissions Violation for Publish with Reply of "neofn.worker.w1.run""#,
            "\u{e9}",
        ] {
            log.add(hostile);
            assert_eq!(log.since(before, "neofn.worker.w1.run"), None, "{hostile}");
        }
        log.add(r#"nats: Permissions Violation for Publish to "evil\"a""#);
        assert!(log.since(before, "evil\"a").is_some(), "it is its own");
        log.add(r#"nats: Permissions Violation for Publish to "neofn.worker.w1.run""#);
        assert!(log.since(before, "neofn.worker.w1.run").is_some());
        assert_eq!(log.of_subscription(), None);
    }

    #[tokio::test]
    async fn who_waits_for_what_is_refused_hears_of_it_at_once() {
        let log = FailureLog::default();
        log.add("permissions violation for publish to \"mine\"");
        let work = log.unless_refused(
            |subject| subject == "Mine",
            std::future::pending::<Result<(), BusError>>(),
        );
        let refuse = async {
            tokio::task::yield_now().await;
            log.add("permissions violation for publish to \"others\"");
            tokio::task::yield_now().await;
            log.add("permissions violation for publish to \"Mine\"");
        };
        let (done, ()) = tokio::join!(work, refuse);
        assert!(matches!(done, Err(BusError::Denied(text)) if text.ends_with("\"Mine\"")));
        let done = log
            .unless_refused(|subject| subject == "Mine", async { Ok(7) })
            .await;
        assert_eq!(done, Ok(7), "an earlier one");
    }
}
