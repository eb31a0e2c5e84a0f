//! A body that gives up on a sender who does not send. Calls with a deadline end by it; this is for the others.

use super::status;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use neofn_types::{Code, Error};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

/// A body whose parts have to come within a time of each other.
pub(super) struct Impatient {
    inner: Incoming,
    patience: Duration,
    waiting: Pin<Box<Sleep>>,
}

impl Impatient {
    pub(super) fn new(inner: Incoming, patience: Duration) -> Self {
        Self {
            inner,
            patience,
            waiting: Box::pin(sleep(patience)),
        }
    }
}

impl Body for Impatient {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            let next = Instant::now() + self.patience;
            self.waiting.as_mut().reset(next);
            return Poll::Ready(frame.map(|f| f.map_err(|e| Status::cancelled(e.to_string()))));
        }
        ready!(self.waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(status::bare(&Error::from(Code::BodyTooSlow)))))
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
