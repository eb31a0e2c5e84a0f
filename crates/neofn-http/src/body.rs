//! Reading bodies: bounded in size and in time. What is left unread when this refuses is `unread`'s.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use neofn_api::json;
use neofn_types::{Code, Error};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A body has to be here within this time.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// A small body is copied out of the connection's read buffer: history keeps events for a while, and would keep the
/// whole buffer with it, so that the connection needs a new one for each request.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Reads a JSON body of at most `most` bytes.
pub(crate) async fn request<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Error> {
    json::request(&read(headers, body, most).await?)
}

/// As [`request`]; an empty body is the default.
pub(crate) async fn request_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Error> {
    json::request_or_default(&read(headers, body, most).await?)
}

/// Reads a body of at most `most` bytes.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, most: usize) -> Result<Bytes, Error> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    if declared.is_some_and(|n| n > limit) {
        return Err(json::too_large(most));
    }
    match tokio::time::timeout(READ_TIME_MAX, collect(&mut body, most)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(json::too_large(most)),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(Code::BodyTooSlow.into()),
    }
}

/// `None` when there is more than `most`.
async fn collect(body: &mut Body, most: usize) -> Result<Option<Bytes>, Error> {
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
    let mut all = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if all.len() + piece.len() > most {
            return Ok(None);
        }
        all.extend_from_slice(&piece);
        next = data(body).await?;
    }
    Ok(Some(all.freeze()))
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
