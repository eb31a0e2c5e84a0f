//! A work queue over a stream and its one pull consumer.

use crate::failure::{FailureLog, not_stored, unavailable};
use crate::headers;
use crate::streams::{ACK_WAIT, CONSUMER};
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::{self, AckKind, stream};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use neofn_bus::port::{Delivery, Depth, JobQueue, Pushed};
use neofn_bus::{BusError, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Messages asked for at once: those that wait here are nobody else's meanwhile.
const CREDIT: usize = 128;
/// And so many bytes of them, or a largest message if that is more: one that did not fit would never be delivered.
const CREDIT_BYTES: usize = 16 << 20;
/// A pull that hears nothing for so long is dead, whatever the connection says.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long one pull lasts.
const PULL: Duration = Duration::from_secs(30);

/// See [`JobQueue`].
pub(crate) struct NatsQueue {
    context: Context,
    stream: &'static str,
    denied: Arc<FailureLog>,
    /// One reader at a time; none until the first pull and after a failure.
    messages: Mutex<Option<pull::Stream>>,
}

impl NatsQueue {
    pub(crate) fn new(context: Context, stream: &'static str, denied: Arc<FailureLog>) -> Self {
        Self {
            context,
            stream,
            denied,
            messages: Mutex::new(None),
        }
    }

    async fn consumer(&self) -> Result<PullConsumer, BusError> {
        self.context
            .get_consumer_from_stream(CONSUMER, self.stream)
            .await
            .map_err(unavailable)
    }

    /// How long the first message of the stream has been there: what is done is gone from it.
    async fn oldest(&self) -> Result<Option<Duration>, BusError> {
        let subject = format!("STREAM.INFO.{}", self.stream);
        let mut answer: serde_json::Value = self.context.request(subject, &()).await.map_err(unavailable)?;
        // the server says what time it is beside its answer, and the client's type has no place for that but this one, which is
        // read in the same form: nobody else's clock then plays a part
        if let (Some(now), Some(answer)) = (answer.get("ts").cloned(), answer.as_object_mut()) {
            answer.insert("created".to_owned(), now);
        }
        let info: stream::Info = serde_json::from_value(answer).map_err(unavailable)?;
        if info.state.messages == 0 {
            return Ok(None);
        }
        Ok(Duration::try_from(info.created - info.state.first_timestamp).ok())
    }

    async fn open(&self) -> Result<pull::Stream, BusError> {
        let largest = self.context.client().max_payload().saturating_mul(2);
        self.consumer()
            .await?
            .stream()
            .max_messages_per_batch(CREDIT)
            .max_bytes_per_batch(CREDIT_BYTES.max(largest))
            .expires(PULL)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(unavailable)
    }
}

#[async_trait]
impl JobQueue for NatsQueue {
    async fn push(&self, subject: &str, id: &str, message: Message) -> Result<Pushed, BusError> {
        let bytes = (headers::bytes(&message), message.payload.len());
        let publish = headers::publication(message)?
            .message_id(id)
            .expected_stream(self.stream);
        let mark = self.denied.mark();
        let failed = |e| match not_stored(&e, self.stream, bytes, self.context.client().max_payload()) {
            // a refusal comes beside the publication, whose acknowledgement then merely does not come
            BusError::Unavailable(why) => self
                .denied
                .since(mark, subject)
                .unwrap_or(BusError::Unavailable(why)),
            error => error,
        };
        let stored = async {
            let sent = self.context.send_publish(subject.to_owned(), publish).await;
            sent.map_err(failed)?.await.map_err(failed)
        };
        let ack = self
            .denied
            .unless_refused(|refused| refused == subject, stored)
            .await?;
        Ok(Pushed {
            sequence: ack.sequence,
            duplicate: ack.duplicate,
        })
    }

    async fn pull(&self, most: usize, within: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        let mut place = self.messages.lock().await;
        let mut open = match place.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        let mut deliveries: Vec<Box<dyn Delivery>> = Vec::new();
        while deliveries.len() < most {
            let next = if deliveries.is_empty() {
                match tokio::time::timeout(within, open.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                }
            } else {
                match open.next().now_or_never() {
                    Some(next) => next,
                    None => break,
                }
            };
            match next {
                Some(Ok(message)) => deliveries.push(Box::new(Taken::new(message)?)),
                // the next pull opens it anew
                Some(Err(error)) if deliveries.is_empty() => return Err(unavailable(error)),
                Some(Err(_)) | None => return Ok(deliveries),
            }
        }
        *place = Some(open);
        Ok(deliveries)
    }

    async fn depth(&self) -> Result<Depth, BusError> {
        let consumer = self.consumer().await?;
        let info = consumer.cached_info();
        let (waiting, taken) = (info.num_pending, u64::try_from(info.num_ack_pending).unwrap_or(0));
        // what is done leaves the stream a moment after it leaves the consumer
        let oldest = match (waiting, taken) {
            (0, 0) => None,
            _ => self.oldest().await?,
        };
        Ok(Depth {
            waiting,
            taken,
            oldest,
        })
    }

    fn patience(&self) -> Duration {
        ACK_WAIT
    }
}

/// What nobody has settled comes again soon, and not only after its patience: a node that goes hands it over.
const DROPPED: Duration = Duration::from_millis(250);

struct Taken {
    inner: jetstream::Message,
    settled: bool,
    shown: Message,
    id: String,
    attempt: u64,
}

impl Taken {
    fn new(mut inner: jetstream::Message) -> Result<Self, BusError> {
        // cut loose from what the connection read at once, which holds others and goes with the last of them
        let payload = Bytes::copy_from_slice(&std::mem::take(&mut inner.message.payload));
        let shown = Message {
            payload,
            ..headers::received(&inner)
        };
        let info = inner.info().map_err(unavailable)?;
        let id = match shown.get("Nats-Msg-Id") {
            Some(id) => id.to_owned(),
            // a stream that was made anew counts from one again
            None => {
                let at = info.published.unix_timestamp_nanos();
                format!("{}-{}-{at}", info.stream, info.stream_sequence)
            }
        };
        let attempt = u64::try_from(info.delivered).unwrap_or(1);
        Ok(Self {
            inner,
            settled: false,
            shown,
            id,
            attempt,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (Some(reply), false) = (self.inner.reply.clone(), self.settled) else {
            return;
        };
        let client = self.inner.context.client();
        let nak = format!("-NAK {{\"delay\":{}}}", DROPPED.as_nanos());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { client.publish(reply, nak.into()).await });
        }
    }
}

#[async_trait]
impl Delivery for Taken {
    fn subject(&self) -> &str {
        &self.inner.subject
    }
    fn message(&self) -> &Message {
        &self.shown
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn attempt(&self) -> u64 {
        self.attempt
    }
    async fn done(mut self: Box<Self>) -> Result<(), BusError> {
        self.settled = true;
        self.inner.double_ack().await.map_err(unavailable)
    }
    async fn later(mut self: Box<Self>, delay: Duration) -> Result<(), BusError> {
        self.settled = true;
        // without a delay of its own a refusal comes back at once
        let delay = delay.max(Duration::from_millis(1));
        self.inner
            .double_ack_with(AckKind::Nak(Some(delay)))
            .await
            .map_err(unavailable)
    }
    async fn working(&self) -> Result<(), BusError> {
        self.inner.ack_with(AckKind::Progress).await.map_err(unavailable)
    }
    async fn give_up(mut self: Box<Self>, reason: &str) -> Result<(), BusError> {
        self.settled = true;
        // the client's own Term has no place for the reason, which the server's advisory carries
        let Some(reply) = self.inner.reply.clone() else {
            return Err(BusError::Unavailable(
                "a message of a queue without its reply".to_owned(),
            ));
        };
        let text = format!("+TERM {}", reason.replace(['\r', '\n'], " "));
        let client = &self.inner.context.client();
        let request = client.send_request(
            reply,
            async_nats::Request::new()
                .payload(text.into())
                .timeout(Some(Duration::from_secs(8))),
        );
        request.await.map(|_| ()).map_err(unavailable)
    }
}
