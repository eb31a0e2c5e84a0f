//! Requests and announcements over core NATS.

use crate::failure::{FailureLog, too_large, unavailable};
use crate::headers;
use async_nats::client::{PublishErrorKind, Request, RequestErrorKind};
use async_nats::{Client, Subscriber, connection::State};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use neofn_bus::port::{Incoming, Received, Reply, Rpc};
use neofn_bus::{BusError, Message};
use std::sync::Arc;
use std::time::Duration;

/// See [`Rpc`].
pub(crate) struct NatsRpc {
    client: Client,
    denied: Arc<FailureLog>,
}

impl NatsRpc {
    pub(crate) fn new(client: Client, denied: Arc<FailureLog>) -> Self {
        Self { client, denied }
    }
}

async fn publish(client: &Client, subject: String, message: Message) -> Result<(), BusError> {
    let headers = headers::to_nats(&message)?;
    let bytes = message.payload.len();
    let sent = match headers {
        Some(headers) => {
            client
                .publish_with_headers(subject, headers, message.payload)
                .await
        }
        None => client.publish(subject, message.payload).await,
    };
    sent.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large(bytes, client.max_payload()),
        _ => unavailable(error),
    })
}

#[async_trait]
impl Rpc for NatsRpc {
    async fn request(&self, subject: &str, message: Message, within: Duration) -> Result<Message, BusError> {
        let bytes = message.payload.len();
        let mut request = Request::new().timeout(Some(within));
        if let Some(headers) = headers::to_nats(&message)? {
            request = request.headers(headers);
        }
        let request = request.payload(message.payload);
        let mark = self.denied.mark();
        let answer = tokio::select! {
            biased;
            answer = self.client.send_request(subject.to_owned(), request) => answer,
            // it comes beside the request, which would merely run out of time
            error = self.denied.refused(mark, |refused| refused == subject) => return Err(error),
        };
        match answer {
            Ok(answer) => Ok(headers::received(&answer)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => BusError::NoResponders(subject.to_owned()),
                RequestErrorKind::TimedOut => self
                    .denied
                    .since(mark, subject)
                    .unwrap_or_else(|| BusError::TimedOut(subject.to_owned())),
                RequestErrorKind::MaxPayloadExceeded => too_large(bytes, self.client.max_payload()),
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => unavailable(error),
            }),
        }
    }
    async fn publish(&self, subject: &str, message: Message) -> Result<(), BusError> {
        publish(&self.client, subject.to_owned(), message).await
    }
    async fn serve(&self, subject: &str, group: Option<&str>) -> Result<Box<dyn Incoming>, BusError> {
        let subscribed = match group {
            Some(group) => {
                self.client
                    .queue_subscribe(subject.to_owned(), group.to_owned())
                    .await
            }
            None => self.client.subscribe(subject.to_owned()).await,
        };
        let subscriber = subscribed.map_err(unavailable)?;
        // what is sent from here on is received: the server has the subscription before this returns
        self.client.flush().await.map_err(unavailable)?;
        Ok(Box::new(Subscription {
            subscriber,
            client: self.client.clone(),
        }))
    }
    fn bytes_max(&self) -> usize {
        self.client.max_payload()
    }
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

struct Subscription {
    subscriber: Subscriber,
    client: Client,
}

#[async_trait]
impl Incoming for Subscription {
    async fn next(&mut self) -> Option<Received> {
        let message = self.subscriber.next().await?;
        let client = self.client.clone();
        Some(Received {
            subject: message.subject.to_string(),
            message: headers::received(&message),
            reply: message.reply.map(|subject| {
                let subject = subject.to_string();
                Box::new(Answer { client, subject }) as Box<dyn Reply>
            }),
        })
    }
    async fn stop(&mut self) {
        if let Err(error) = self.subscriber.drain().await {
            tracing::debug!(%error, "subscription not drained");
        }
    }
}

/// Where answers may go. Whoever asks names the place, and we may publish where he may not: to the queues of others, to
/// their results, into buckets. `_R_.` is how a server calls the inbox of another account.
fn is_inbox(subject: &str) -> bool {
    let inbox = ["_INBOX.", "neofn.inbox.", "_R_."]
        .iter()
        .any(|place| subject.starts_with(place));
    inbox && neofn_bus::subject::is_valid(subject)
}

struct Answer {
    client: Client,
    subject: String,
}

#[async_trait]
impl Reply for Answer {
    async fn send(self: Box<Self>, message: Message) -> Result<(), BusError> {
        if !is_inbox(&self.subject) {
            let text = format!("{:?} is no inbox: nothing is answered there", self.subject);
            return Err(BusError::Denied(text));
        }
        publish(&self.client, self.subject, message).await
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_go_to_inboxes_alone() {
        for (subject, expected) in [
            ("_INBOX.demo.x1", true),
            ("_INBOX.k2.1", true),
            ("_R_.pgpAbc.1", true),
            ("neofn.inbox.gateway.g1.x", true),
            ("function.result.shop.pay.order-7", false),
            ("jobs.js.shop.pay", false),
            ("$KV.leases.evil", false),
            ("$O.artifacts.M.x", false),
            ("neofn.beat.evil", false),
            ("neofn.inboxes.x", false),
            ("_INBOX", false),
            ("_INBOX.", false),
            ("_INBOX.>", false),
            ("_inbox.x", false),
        ] {
            assert_eq!(super::is_inbox(subject), expected, "{subject}");
        }
    }
}
