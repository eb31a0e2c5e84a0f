//! Messages that could never work, in a stream of their own: bounded for each project, and gone after two weeks.

use crate::failure::{not_stored, unavailable};
use crate::headers;
use crate::streams::DEAD;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_trait::async_trait;
use futures_util::StreamExt as _;
use neofn_bus::port::{DeadLetter, DeadLetters, LETTER_BYTES_MAX, LETTERS_MAX};
use neofn_bus::{BusError, Message};
use std::time::Duration;

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

/// See [`DeadLetters`].
pub(crate) struct NatsDead(Context);

impl NatsDead {
    pub(crate) fn new(context: Context) -> Self {
        Self(context)
    }
}

#[async_trait]
impl DeadLetters for NatsDead {
    async fn keep(&self, letter: DeadLetter) -> Result<(), BusError> {
        let queue = letter.subject.split('.').next().unwrap_or(NOBODY);
        let subject = format!("dead.{queue}.{}", letter.project.as_deref().unwrap_or(NOBODY));
        let reason: String = letter
            .reason
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(REASON_MAX)
            .collect();
        let mut message = letter.message;
        message.payload.truncate(LETTER_BYTES_MAX);
        // those of the server mean something for the stream that they are sent to
        message
            .headers
            .retain(|(name, _)| !name.to_ascii_lowercase().starts_with("nats-"));
        headers::cut(&mut message, HEAD_BYTES_MAX);
        let message = message
            .header(SUBJECT, &letter.subject)
            .header(REQUEST, &letter.id)
            .header(REASON, reason);
        let bytes = (headers::bytes(&message), message.payload.len());
        let publish = headers::publication(message)?
            .message_id(format!("{} {}", letter.subject, letter.id))
            .expected_stream(DEAD);
        let failed = |e| not_stored(&e, &subject, bytes, self.0.client().max_payload());
        let sent = self.0.send_publish(subject.clone(), publish).await;
        sent.map_err(failed)?.await.map_err(failed)?;
        Ok(())
    }

    async fn list(&self, project: &str, most: usize) -> Result<Vec<DeadLetter>, BusError> {
        let stream = self.0.get_stream_no_info(DEAD).await.map_err(unavailable)?;
        let config = pull::Config {
            filter_subject: format!("dead.*.{project}"),
            ack_policy: AckPolicy::None,
            // which there are, before any of them is read
            headers_only: true,
            memory_storage: true,
            inactive_threshold: READER,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
        let there = usize::try_from(consumer.cached_info().num_pending).unwrap_or(LETTERS_MAX);
        let mut places = Vec::new();
        if there > 0 {
            // of both queues
            let fetch = consumer
                .fetch()
                .max_messages(there.min(LETTERS_MAX * 2))
                .messages();
            let mut found = fetch.await.map_err(unavailable)?;
            while let Some(message) = found.next().await {
                let message = message.map_err(unavailable)?;
                places.push(message.info().map_err(unavailable)?.stream_sequence);
            }
        }
        let name = consumer.cached_info().name.clone();
        if let Err(error) = stream.delete_consumer(&name).await {
            tracing::debug!(%error, "a reader of dead letters ends by itself");
        }
        let mut letters = Vec::new();
        for place in places.into_iter().rev().take(most) {
            // of the leader: a follower may not have it yet
            match stream.get_raw_message(place).await {
                Ok(found) => {
                    let at_ms = found.time.unix_timestamp_nanos() / 1_000_000;
                    let message = headers::from_nats(Some(&found.headers), found.payload);
                    letters.push(read(message, project, i64::try_from(at_ms).unwrap_or(0)));
                }
                // pushed out meanwhile
                Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(e) => return Err(unavailable(e)),
            }
        }
        Ok(letters)
    }
}

fn read(mut message: Message, project: &str, at_ms: i64) -> DeadLetter {
    let own = |name: &str| message.get(name).unwrap_or_default().to_owned();
    let (subject, id, reason) = (own(SUBJECT), own(REQUEST), own(REASON));
    message.headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !name.starts_with("nats-")
            && ![SUBJECT, REQUEST, REASON]
                .iter()
                .any(|n| n.eq_ignore_ascii_case(&name))
    });
    DeadLetter {
        subject,
        id,
        reason,
        project: Some(project.to_owned()),
        at_ms,
        message,
    }
}
