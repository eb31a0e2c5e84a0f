//! Reading bodies: bounded in size and in time.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt as _;
use neofn_api::json;
use neofn_types::{Code, Error};
use std::time::Duration;

/// A body has to be here within this time.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// A small body is copied out of the connection's read buffer: history keeps events for a while, and would keep the
/// whole buffer with it, so that the connection needs a new one for each request.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// Beyond a refusal so much is still read and dropped, for this long: a client that is still writing would see a
/// broken connection instead of the answer.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads a body of at most `most` bytes.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, most: usize) -> Result<Bytes, Error> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    if let Some(declared) = declared.filter(|n| *n > limit) {
        if declared <= DRAIN_BYTES_MAX && !headers.contains_key(EXPECT) {
            drain(body).await;
        }
        return Err(json::too_large(most));
    }
    match tokio::time::timeout(READ_TIME_MAX, collect(&mut body, most)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            drain(body).await;
            Err(json::too_large(most))
        }
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

async fn drain(mut body: Body) {
    let all = async {
        let mut dropped = 0u64;
        while let Ok(Some(piece)) = data(&mut body).await {
            dropped = dropped.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if dropped > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // whether it ended or not, the refusal stands
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, all).await;
}
