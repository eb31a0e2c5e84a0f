//! Headers of NATS and ours.

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use neofn_bus::{BusError, Message};

/// None when there are none: a message without headers is shorter on the wire.
pub(crate) fn to_nats(message: &Message) -> Result<Option<HeaderMap>, BusError> {
    if message.headers.is_empty() {
        return Ok(None);
    }
    let mut map = HeaderMap::new();
    for (name, value) in &message.headers {
        let unfit = || BusError::Unavailable(format!("the header {name:?} cannot be sent"));
        let key: HeaderName = name.parse().map_err(|_| unfit())?;
        let value: HeaderValue = value.parse().map_err(|_| unfit())?;
        map.append(key, value);
    }
    Ok(Some(map))
}

/// A message for a stream.
pub(crate) fn publication(message: Message) -> Result<PublishMessage, BusError> {
    let publication = PublishMessage::build();
    let publication = match to_nats(&message)? {
        Some(headers) => publication.headers(headers),
        None => publication,
    };
    Ok(publication.payload(message.payload))
}

/// Bytes of all headers, as they are on the wire.
pub(crate) fn bytes(message: &Message) -> usize {
    let around = ": \r\n".len();
    message
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + around)
        .sum()
}

/// Leaves out what cannot be sent, and what does not fit into so many bytes.
pub(crate) fn cut(message: &mut Message, bytes_max: usize) {
    let mut left = bytes_max;
    message.headers.retain(|(name, value)| {
        let sendable = name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok();
        let rest = left.checked_sub(name.len() + value.len());
        match rest {
            Some(rest) if sendable => {
                left = rest;
                true
            }
            _ => false,
        }
    });
}

/// A message that came. Whose headers cannot be read has a description without a status: that is how our client library says
/// it, see "A library with a change of ours" in ARCHITECTURE.md.
pub(crate) fn received(message: &async_nats::Message) -> Message {
    let shown = from_nats(message.headers.as_ref(), message.payload.clone());
    match (message.status, &message.description) {
        (None, Some(why)) => Message {
            unreadable: Some(why.clone()),
            ..shown
        },
        _ => shown,
    }
}

pub(crate) fn from_nats(headers: Option<&HeaderMap>, payload: Bytes) -> Message {
    let mut message = Message::new(payload);
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        for value in values {
            message
                .headers
                .push((name.to_string(), value.as_str().to_owned()));
        }
    }
    message
}
