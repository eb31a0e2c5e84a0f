//! Reading bodies: bounded in size, in time and in the memory of all of them. What is left unread when this refuses is `unread`'s.

use crate::router::Edge;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use neofn_api::json;
use neofn_types::{Code, Error};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body has to be here within this time.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// A small body is copied out of the connection's read buffer: history keeps events for a while, and would keep the
/// whole buffer with it, so that the connection needs a new one for each request.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// Bytes of all large bodies together, while they are received and for as long as anybody has them.
const ALL_BYTES_MAX: usize = 256 << 20;
/// So much of each needs no room among these: whatever others send, small requests are taken.
const FREE_BYTES: usize = 64 << 10;

/// Room for large bodies. It is taken as bytes come, not as they are announced.
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL_BYTES_MAX)))
    }
}

/// What of the room a body has.
struct Room<'b> {
    bodies: &'b Bodies,
    bytes: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl<'b> Room<'b> {
    fn new(bodies: &'b Bodies) -> Self {
        Self {
            bodies,
            bytes: FREE_BYTES,
            held: None,
        }
    }

    /// Room for so many bytes in all.
    fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let full = || Error::new(Code::Overloaded, "the node is receiving as much as it may");
        let many = u32::try_from(more).map_err(|_| full())?;
        let room = Arc::clone(&self.bodies.0).try_acquire_many_owned(many);
        let room = room.map_err(|_| full())?;
        match &mut self.held {
            Some(held) => held.merge(room),
            None => self.held = Some(room),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The body, which keeps its room.
    fn around(self, body: Bytes) -> Bytes {
        match self.held {
            None => body,
            Some(held) => Bytes::from_owner(Roomy { body, _held: held }),
        }
    }
}

struct Roomy {
    body: Bytes,
    _held: OwnedSemaphorePermit,
}
impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Reads a JSON body of at most `most` bytes.
pub(crate) async fn request<T: DeserializeOwned>(
    edge: &Edge,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Error> {
    json::request(&read(edge, headers, body, most).await?)
}

/// As [`request`]; an empty body is the default.
pub(crate) async fn request_or_default<T: DeserializeOwned + Default>(
    edge: &Edge,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Error> {
    json::request_or_default(&read(edge, headers, body, most).await?)
}

/// Reads a body of at most `most` bytes.
pub(crate) async fn read(
    edge: &Edge,
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
) -> Result<Bytes, Error> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    if declared.is_some_and(|n| n > limit) {
        return Err(json::too_large(most));
    }
    match tokio::time::timeout(READ_TIME_MAX, collect(edge.bodies(), &mut body, most)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(json::too_large(most)),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(Code::BodyTooSlow.into()),
    }
}

/// `None` when there is more than `most`.
async fn collect(bodies: &Bodies, body: &mut Body, most: usize) -> Result<Option<Bytes>, Error> {
    let Some(first) = data(body).await? else {
        return Ok(Some(Bytes::new()));
    };
    if first.len() > most {
        return Ok(None);
    }
    // nearly every event comes in one piece
    let Some(second) = data(body).await? else {
        return Ok(Some(if first.len() <= COPIED_BYTES_MAX {
            Bytes::copy_from_slice(&first)
        } else {
            first
        }));
    };
    let mut room = Room::new(bodies);
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        let length = all.len() + piece.len();
        if length > most {
            return Ok(None);
        }
        room.hold(length)?;
        all.extend_from_slice(&piece);
        next = data(body).await?;
    }
    Ok(Some(room.around(all.freeze())))
}

async fn data(body: &mut Body) -> Result<Option<Bytes>, Error> {
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| Error::new(Code::BadParameter, "the body ended before its end").because(e))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(many: usize, bytes: usize) -> Body {
        let pieces = (0..many).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes])));
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn large_bodies_share_what_there_is() {
        let bodies = Bodies(Arc::new(Semaphore::new(512 << 10)));
        let collect = async |mut body: Body| collect(&bodies, &mut body, 1 << 20).await;
        let first = collect(pieces(8, 64 << 10)).await.unwrap().unwrap();
        let refused = collect(pieces(8, 64 << 10)).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        assert_eq!(
            bodies.0.available_permits(),
            64 << 10,
            "what was refused holds nothing"
        );
        // small ones, and those that come at once, are taken all the same
        let full = collect(pieces(2, 64 << 10)).await.unwrap();
        assert_eq!(bodies.0.available_permits(), 0);
        for (many, bytes) in [(16, 4 << 10), (1, 100), (1, 1 << 20)] {
            let body = collect(pieces(many, bytes)).await.unwrap().unwrap();
            assert_eq!(body.len(), many * bytes);
        }
        let part = first.slice(..10);
        drop((first, full));
        assert_eq!(bodies.0.available_permits(), 64 << 10, "a part keeps all of it");
        drop(part);
        assert_eq!(bodies.0.available_permits(), 512 << 10);
        assert!(collect(pieces(8, 64 << 10)).await.is_ok());
    }
}
