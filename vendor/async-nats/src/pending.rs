//! Messages of a subscription that wait for its reader. Whoever publishes chooses how large they are, so
//! what they take up is bounded beside their number.

use crate::Message;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// What may wait for one reader.
const BYTES_MAX: usize = 64 << 20;
/// What a header takes up beside its bytes.
const HEADER_BYTES: usize = 128;

#[derive(Debug)]
pub(crate) struct Sender {
    messages: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    messages: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
}

pub(crate) fn channel(capacity: usize) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(capacity);
    let waiting = Arc::new(AtomicUsize::new(0));
    (
        Sender {
            messages: sender,
            waiting: waiting.clone(),
        },
        Receiver {
            messages: receiver,
            waiting,
        },
    )
}

fn bytes(message: &Message) -> usize {
    let headers = message.headers.as_ref().map_or(0, |headers| {
        headers.iter().map(|(_, values)| values.len()).sum()
    });
    message.length + headers * HEADER_BYTES
}

impl Sender {
    pub(crate) fn try_send(&self, message: Message) -> Result<(), TrySendError<Message>> {
        let bytes = bytes(&message);
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        // One is taken whatever its size, or it could never be had.
        let sent = if waiting > 0 && waiting + bytes > BYTES_MAX {
            Err(TrySendError::Full(message))
        } else {
            self.messages.try_send(message)
        };
        if sent.is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }
}

impl Receiver {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let received = self.messages.poll_recv(cx);
        if let Poll::Ready(Some(message)) = &received {
            self.waiting.fetch_sub(bytes(message), Ordering::Relaxed);
        }
        received
    }

    pub(crate) fn close(&mut self) {
        self.messages.close();
    }
}
