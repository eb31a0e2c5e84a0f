//! A body while it is received: all of it within a time, and together with the others' within a number of bytes. Nobody has
//! looked at credentials yet, so neither depends on who sends.

use super::status;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use neofn_api::{Place, Room};
use neofn_types::{Code, Error};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};
use tonic::Status;

/// A body that is being received.
pub(super) struct Receiving<B> {
    inner: B,
    place: Place,
    ends: Pin<Box<Sleep>>,
}

impl<B> Receiving<B> {
    pub(super) fn new(inner: B, room: &Room, time_max: Duration) -> Self {
        Self {
            inner,
            place: room.place(),
            ends: Box::pin(sleep(time_max)),
        }
    }
}

impl<B> Body for Receiving<B>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // first of all: one who sends little and often always has a frame
        if self.ends.as_mut().poll(cx).is_ready() {
            return refused(Code::BodyTooSlow.into());
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(e)) => return Poll::Ready(Some(Err(Status::cancelled(e.to_string())))),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if !self.place.grow(bytes) {
            let message = "too many messages are being received at once";
            return refused(Error::new(Code::Overloaded, message));
        }
        Poll::Ready(Some(Ok(frame)))
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn refused<T>(error: Error) -> Poll<Option<Result<T, Status>>> {
    Poll::Ready(Some(Err(status::bare(error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use std::convert::Infallible;
    use tonic_types::StatusExt as _;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_sends_little_and_often_is_given_up() {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"."))), ()))
        });
        let trickle = StreamBody::new(Box::pin(drops));
        let body = Receiving::new(trickle, &Room::new(1 << 20), Duration::from_millis(100));
        let slow = tokio::time::timeout(LONG, body.collect()).await.expect("it ends");
        assert_eq!(slow.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn bodies_share_the_room_until_they_are_gone() {
        let room = Room::new(10);
        let body = |bytes: usize| Receiving::new(Full::new(Bytes::from(vec![0; bytes])), &room, LONG);
        let (mut first, mut second) = (body(6), body(6));
        assert!(first.frame().await.unwrap().is_ok());
        let full = second.frame().await.unwrap().unwrap_err();
        assert_eq!(full.code(), tonic::Code::Unavailable);
        assert!(full.get_error_details().retry_info().is_some(), "{full:?}");
        drop(first);
        assert!(body(10).frame().await.unwrap().is_ok());
    }
}
