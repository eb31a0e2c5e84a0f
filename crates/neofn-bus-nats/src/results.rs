//! Answers that are said once: one message a subject, and a second one is refused by the server itself.

use crate::failure::{not_stored, unavailable};
use crate::headers;
use crate::streams::RESULTS;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_trait::async_trait;
use neofn_bus::port::Results;
use neofn_bus::{BusError, Message};

/// See [`Results`].
pub(crate) struct NatsResults(Context);

impl NatsResults {
    pub(crate) fn new(context: Context) -> Self {
        Self(context)
    }
}

#[async_trait]
impl Results for NatsResults {
    async fn settle(&self, subject: &str, message: Message) -> Result<bool, BusError> {
        let bytes = (headers::bytes(&message), message.payload.len());
        let publish = headers::publication(message)?.expected_stream(RESULTS);
        let failed = |e| not_stored(&e, RESULTS, bytes, self.0.client().max_payload());
        let sent = self
            .0
            .send_publish(subject.to_owned(), publish)
            .await
            .map_err(failed)?;
        match sent.await.map_err(failed) {
            Ok(_) => Ok(true),
            // the server says the same of a subject that is taken and of a stream that takes no more
            Err(full @ BusError::Full(_)) => match self.settled(subject).await? {
                Some(_) => Ok(false),
                None => Err(full),
            },
            Err(error) => Err(error),
        }
    }
    async fn settled(&self, subject: &str) -> Result<Option<Message>, BusError> {
        let stream = self.0.get_stream_no_info(RESULTS).await.map_err(unavailable)?;
        // of the leader: a follower may not have it yet
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(found) => Ok(Some(headers::from_nats(Some(&found.headers), found.payload))),
            Err(e) if e.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(e) => Err(unavailable(e)),
        }
    }
}
