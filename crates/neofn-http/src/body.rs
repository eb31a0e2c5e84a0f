//! Reading bodies: bounded in size, in time and in the memory of all of them. What is left unread when this refuses is `unread`'s.

use crate::router::Edge;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use neofn_api::{Room, json};
use neofn_types::{Code, Error};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A body has to be here within this time.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// A small body is copied out of the connection's read buffer: history keeps events for a while, and would keep the
/// whole buffer with it, so that the connection needs a new one for each request.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// Bytes of all large bodies together, while they are received and for as long as anybody has them.
pub(crate) const ALL_BYTES_MAX: usize = 256 << 20;
/// So much of each needs no room among these: whatever others send, small requests are taken.
const FREE_BYTES: usize = 64 << 10;

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
async fn collect(bodies: &Room, body: &mut Body, most: usize) -> Result<Option<Bytes>, Error> {
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
    let (mut place, mut taken) = (bodies.place(), FREE_BYTES);
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        let length = all.len() + piece.len();
        if length > most {
            return Ok(None);
        }
        if length > taken && !place.grow(length - taken) {
            return Err(Error::new(
                Code::Overloaded,
                "the node is receiving as much as it may",
            ));
        }
        taken = taken.max(length);
        all.extend_from_slice(&piece);
        next = data(body).await?;
    }
    Ok(Some(place.around(all.freeze())))
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
        let bodies = Room::new(512 << 10);
        let collect = async |mut body: Body| collect(&bodies, &mut body, 1 << 20).await;
        let first = collect(pieces(8, 64 << 10)).await.unwrap().unwrap();
        let refused = collect(pieces(8, 64 << 10)).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        assert_eq!(bodies.free(), 64 << 10, "what was refused holds nothing");
        // small ones, and those that come at once, are taken all the same
        let full = collect(pieces(2, 64 << 10)).await.unwrap();
        assert_eq!(bodies.free(), 0);
        for (many, bytes) in [(16, 4 << 10), (1, 100), (1, 1 << 20)] {
            let body = collect(pieces(many, bytes)).await.unwrap().unwrap();
            assert_eq!(body.len(), many * bytes);
        }
        let part = first.slice(..10);
        drop((first, full));
        assert_eq!(bodies.free(), 64 << 10, "a part keeps all of it");
        drop(part);
        assert_eq!(bodies.free(), 512 << 10);
        assert!(collect(pieces(8, 64 << 10)).await.is_ok());
    }
}
