//! Bodies: a request's with values put in, an answer's within limits.

use crate::handles::{Handle, Place, fill, has_handle};
use crate::headers::Outgoing;
use crate::limits::EgressLimits;
use crate::room::Room;
use crate::target::Target;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use neofn_types::{Code, Error};

/// A request's body as it goes out.
pub(crate) fn outgoing(
    body: Option<&Bytes>,
    headers: &Outgoing,
    handles: &[Handle],
    target: &Target,
    limits: &EgressLimits,
) -> Result<Bytes, Error> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let large = || {
        Error::new(
            Code::EgressTooLarge,
            format!(
                "fetch: the body of a request has at most {} bytes",
                limits.request_bytes
            ),
        )
    };
    if body.len() > limits.request_bytes {
        return Err(large());
    }
    if !has_handle(body) {
        return Ok(body.clone());
    }
    let kind = headers
        .get("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let place = if kind.ends_with("json") {
        Place::Json
    } else if kind == "application/x-www-form-urlencoded" {
        Place::Percent
    } else {
        Place::Raw
    };
    let filled = fill(body, place, handles, target)?;
    if filled.len() > limits.request_bytes {
        return Err(large());
    }
    Ok(Bytes::from_owner(Wiped(filled)))
}

/// Wiped when the last part of it was sent.
struct Wiped(zeroize::Zeroizing<Vec<u8>>);
impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An answer's body, as it comes. One that says how long it is gets all of its room before any of it is read, so that two
/// large ones never wait for each other.
pub(crate) async fn incoming(
    mut body: Incoming,
    room: &mut Room<'_>,
    limits: &EgressLimits,
) -> Result<Vec<u8>, Error> {
    let large = || {
        Error::new(
            Code::EgressTooLarge,
            format!("fetch: the answer has more than {} bytes", limits.response_bytes),
        )
    };
    if let Some(declared) = body.size_hint().exact() {
        let declared = usize::try_from(declared).map_err(|_| large())?;
        if declared > limits.response_bytes {
            return Err(large());
        }
        room.hold(declared).await?;
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|e| Error::new(Code::EgressProtocol, "fetch: the answer ended early").because(e))?;
        let Ok(piece) = frame.into_data() else { continue };
        let length = whole.len().saturating_add(piece.len());
        if length > limits.response_bytes {
            return Err(large());
        }
        room.hold(length).await?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
