//! Messages that could never work, in a stream of their own: bounded for each project, and gone after two weeks. Nobody but
//! gateways knows its subjects, see [`streams::letters_root`].

use crate::failure::{not_stored, unavailable};
use crate::headers;
use crate::streams::{self, LETTERS};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use neofn_bus::port::{DeadLetter, DeadLetters, LETTER_BYTES_MAX, LETTERS_MAX};
use neofn_bus::{BusError, Message};
use parking_lot::Mutex;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

const SUBJECT: &str = "Neofn-Subject";
const REQUEST: &str = "Neofn-Request-Id";
const REASON: &str = "Neofn-Reason";
/// Stands for the project of a subject that names none.
const NOBODY: &str = "_";
/// Of a message's headers so much is kept, and of the reason: a stream takes 64 KiB of headers, ours and the sender's
/// together, and what no stream takes would come back for ever.
const HEAD_BYTES_MAX: usize = 16 << 10;
const REASON_MAX: usize = 1_024;
/// A reader that died is forgotten after this.
const READER: Duration = Duration::from_secs(30);
/// And one that was just made may be known to one server of a cluster and not yet to another: for so long it is asked again.
const READER_KNOWN: Duration = Duration::from_secs(5);
const ONCE_MORE: Duration = Duration::from_millis(20);

/// Longest acknowledgement of JetStream.
const ACK_BYTES_MAX: usize = 1_024;
/// What stands in one.
const ACK_MEMBERS: [&str; 7] = ["stream", "seq", "domain", "duplicate", "val", "type", "error"];

/// See [`DeadLetters`].
pub(crate) struct NatsDead {
    context: Context,
    /// Below which subject letters are kept, once it is known. It is another one when the stream was made anew.
    root: Mutex<Option<String>>,
}

impl NatsDead {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            root: Mutex::new(None),
        }
    }

    async fn stream(&self) -> Result<(Stream, String), BusError> {
        let stream = self.context.get_stream(LETTERS).await.map_err(unavailable)?;
        let root = streams::letters_root(&stream.cached_info().config)
            .ok_or_else(|| BusError::Unavailable(format!("the stream {LETTERS} is another one")))?
            .to_owned();
        *self.root.lock() = Some(root.clone());
        Ok((stream, root))
    }

    async fn put(&self, root: &str, place: &str, id: &str, message: Message) -> Result<(), BusError> {
        let bytes = (headers::bytes(&message), message.payload.len());
        let publish = headers::publication(message)?
            .message_id(id)
            .expected_stream(LETTERS);
        let failed = |e| not_stored(&e, LETTERS, bytes, self.context.client().max_payload());
        let sent = self
            .context
            .send_publish(format!("{root}.{place}"), publish)
            .await;
        sent.map_err(failed)?.await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl DeadLetters for NatsDead {
    async fn keep(&self, letter: DeadLetter) -> Result<(), BusError> {
        if is_acknowledgement(&letter.message) {
            tracing::debug!(subject = letter.subject, "an acknowledgement is no letter");
            return Ok(());
        }
        let queue = letter.subject.split('.').next().unwrap_or(NOBODY);
        let place = format!("{queue}.{}", letter.project.as_deref().unwrap_or(NOBODY));
        let reason: String = letter
            .reason
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(REASON_MAX)
            .collect();
        let mut message = letter.message;
        message.payload.truncate(LETTER_BYTES_MAX);
        // those of the server mean something for the stream that they are sent to, and ours are what is read
        message.headers.retain(|(name, _)| is_senders(name));
        headers::cut(&mut message, HEAD_BYTES_MAX);
        let message = message
            .header(SUBJECT, &letter.subject)
            .header(REQUEST, &letter.id)
            .header(REASON, reason);
        let id = format!("{} {}", letter.subject, letter.id);
        let known = self.root.lock().clone();
        if let Some(root) = known {
            match self.put(&root, &place, &id, message.clone()).await {
                // somebody may have deleted the stream, and a gateway made it anew
                Err(BusError::Unavailable(error)) => tracing::debug!(error, "once more"),
                put => return put,
            }
        }
        let (_, root) = self.stream().await?;
        self.put(&root, &place, &id, message).await
    }

    async fn list(&self, project: &str, most: usize) -> Result<Vec<DeadLetter>, BusError> {
        let (stream, root) = self.stream().await?;
        let config = pull::Config {
            filter_subject: format!("{root}.*.{project}"),
            ack_policy: AckPolicy::None,
            // which there are, before any of them is read
            headers_only: true,
            memory_storage: true,
            inactive_threshold: READER,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
        let places = places(&consumer).await;
        let name = consumer.cached_info().name.clone();
        if let Err(error) = stream.delete_consumer(&name).await {
            tracing::debug!(%error, "a reader of dead letters ends by itself");
        }
        let mut letters = Vec::new();
        for place in places?.into_iter().rev() {
            if letters.len() >= most {
                break;
            }
            // of the leader: a follower may not have it yet
            match stream.get_raw_message(place).await {
                Ok(found) => {
                    let at_ms = found.time.unix_timestamp_nanos() / 1_000_000;
                    let message = headers::from_nats(Some(&found.headers), found.payload);
                    letters.extend(read(message, project, i64::try_from(at_ms).unwrap_or(0)));
                }
                // pushed out meanwhile
                Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(e) => return Err(unavailable(e)),
            }
        }
        Ok(letters)
    }
}

/// Where in the stream the letters are that a new reader finds.
async fn places(reader: &PullConsumer) -> Result<Vec<u64>, BusError> {
    let there = usize::try_from(reader.cached_info().num_pending).unwrap_or(LETTERS_MAX);
    // of both queues
    let there = there.min(LETTERS_MAX * 2);
    let mut places = Vec::new();
    let until = Instant::now() + READER_KNOWN;
    while places.len() < there {
        match fetch(reader, there - places.len(), &mut places).await {
            // some were pushed out meanwhile
            Ok(()) => break,
            Err(error) if Instant::now() < until => {
                tracing::debug!(%error, "the letters are asked for once more");
                tokio::time::sleep(ONCE_MORE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(places)
}

async fn fetch(reader: &PullConsumer, most: usize, places: &mut Vec<u64>) -> Result<(), BusError> {
    let fetch = reader.fetch().max_messages(most).messages();
    let mut found = fetch.await.map_err(unavailable)?;
    while let Some(message) = found.next().await {
        let message = message.map_err(unavailable)?;
        places.push(message.info().map_err(unavailable)?.stream_sequence);
    }
    Ok(())
}

/// Whether it is what JetStream says of a publication, without headers. Its sender chooses where that goes, and had he one
/// kept for each of them, he would push out letters of a project that he may not write to.
fn is_acknowledgement(message: &Message) -> bool {
    if !message.headers.is_empty() || message.payload.len() > ACK_BYTES_MAX {
        return false;
    }
    let Ok(Value::Object(said)) = serde_json::from_slice(&message.payload) else {
        return false;
    };
    let is_of_a_stream =
        said.get("stream").is_some_and(Value::is_string) && said.get("seq").is_some_and(Value::is_u64);
    let is_an_error = said
        .get("error")
        .is_some_and(|error| error.get("err_code").is_some());
    (is_of_a_stream || is_an_error) && said.keys().all(|name| ACK_MEMBERS.contains(&name.as_str()))
}

/// Whether a header is of whoever sent the message, and neither the server's nor ours.
fn is_senders(name: &str) -> bool {
    let ours = [SUBJECT, REQUEST, REASON];
    !name.to_ascii_lowercase().starts_with("nats-") && !ours.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// None when it is no letter of ours.
fn read(mut message: Message, project: &str, at_ms: i64) -> Option<DeadLetter> {
    let own = |name: &str| message.get(name).map(str::to_owned);
    let (subject, id, reason) = (own(SUBJECT)?, own(REQUEST)?, own(REASON)?);
    message.headers.retain(|(name, _)| is_senders(name));
    Some(DeadLetter {
        subject,
        id,
        reason,
        project: Some(project.to_owned()),
        at_ms,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jetstream_says_of_a_publication_is_no_letter() {
        for (is, payload) in [
            (true, r#"{"stream":"JOBS", "seq":59}"#),
            (
                true,
                r#"{"stream":"JOBS", "domain":"d", "seq":59,"duplicate":true}"#,
            ),
            (
                true,
                r#"{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"},"stream":"JOBS","seq":0}"#,
            ),
            (
                true,
                r#"{"error":{"code":503,"err_code":10077,"description":"x"}}"#,
            ),
            (false, r#"{"stream":"JOBS","seq":59,"name":"Neo"}"#),
            (false, r#"{"stream":"JOBS","seq":"59"}"#),
            (false, r#"{"error":"none"}"#),
            (false, "{}"),
            (false, "no JSON"),
        ] {
            let message = Message::new(payload);
            assert_eq!(is_acknowledgement(&message), is, "{payload}");
            assert!(!is_acknowledgement(&message.header("A", "1")), "{payload}");
        }
    }
}
