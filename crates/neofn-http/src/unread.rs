//! Bodies that nobody read: a refusal often comes before its request's body was looked at. What is left of it is read
//! and dropped, within bounds; else the connection would be closed on a client that is still writing, or that was
//! told that it may send its next request on it.

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// So much is read and dropped, for this long.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// The request, with a body that is drained when it is dropped before its end.
pub(crate) fn drained<B>(request: Request<B>) -> Request<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let waits = waits_for_leave(request.headers());
    request.map(|body| {
        if waits || body.is_end_stream() {
            Body::new(body)
        } else {
            Body::new(Drained(Some(body)))
        }
    })
}

/// Whether the client sends its body only when it is told to go on, which asking for the body does.
fn waits_for_leave(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT)
}

/// `None` once the end was seen.
struct Drained<B>(Option<B>)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static;

impl<B> HttpBody for Drained<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }
    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B> Drop for Drained<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(body) = self.0.take() else { return };
        if body.is_end_stream() || body.size_hint().lower() > DRAIN_BYTES_MAX {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(drain(body));
        }
    }
}

async fn drain<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) {
    let all = async {
        let mut dropped = 0u64;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            dropped = dropped.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if dropped > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // whether it ended or not, the answer stands
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, all).await;
}
