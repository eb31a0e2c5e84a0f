//! Where the answer of one call arrives: filled by the reader of a child's socket, awaited by the call's own future.

use super::link::Link;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

/// A message as it came: the reader copies, the call decodes.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    bytes: Bytes,
    head: usize,
}

impl Raw {
    pub(super) fn new(bytes: Bytes, head: usize) -> Self {
        Self {
            head: head.min(bytes.len()),
            bytes,
        }
    }
    pub(super) fn head(&self) -> &[u8] {
        self.bytes.get(..self.head).unwrap_or_default()
    }
    pub(super) fn body(&self) -> Bytes {
        self.bytes.slice(self.head..)
    }
}

/// Bytes of host calls that wait for their call's future: a child that sends more than its parent takes is not ours any more.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Whether a call holds another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Room {
    /// It does.
    Left,
    /// Its child sends without end.
    None,
}

/// What happened to a call.
#[derive(Debug)]
pub(super) enum Event {
    /// It waits for host calls.
    HostCalls(Raw),
    /// It has ended.
    Done(Raw),
    /// Its child has died.
    Lost,
    /// Its child did not answer in time and was killed for it.
    Stuck,
}

/// One call under way.
pub(super) struct Slot {
    /// On the monotonic clock.
    pub(super) deadline: Duration,
    /// Whether it counts as running, see [`Slot::stop_counting`].
    counted: AtomicBool,
    /// Whether the child has seen anything of it.
    pub(super) begun: AtomicBool,
    /// It is to end: nobody waits for it any more, or its time is over.
    given_up: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    host_calls: VecDeque<Raw>,
    /// Of the host calls.
    bytes: usize,
    end: Option<Event>,
    waker: Option<Waker>,
}

impl Slot {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            counted: AtomicBool::new(true),
            begun: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }
    pub(super) fn is_to_end(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
    /// True exactly once: when the call waits for the first time, or ends.
    pub(super) fn stop_counting(&self) -> bool {
        self.counted.swap(false, Ordering::AcqRel)
    }
    /// Asks for its end; the sweep asks again, for the socket may be full or its child just about to begin it.
    pub(super) fn cancel(&self, link: &Link, id: u64) {
        self.given_up.store(true, Ordering::Relaxed);
        link.cancel(id);
    }
    pub(super) fn push(&self, event: Event) -> Room {
        let waker = {
            let mut s = self.state.lock();
            match event {
                Event::HostCalls(raw) => {
                    s.bytes += raw.bytes.len();
                    if s.bytes > WAITING_BYTES_MAX {
                        return Room::None;
                    }
                    s.host_calls.push_back(raw);
                }
                end => {
                    s.end.get_or_insert(end);
                }
            }
            s.waker.take()
        };
        if let Some(w) = waker {
            w.wake();
        }
        Room::Left
    }
    /// The next event. The end comes first: nobody wants host calls done for a call that has ended.
    pub(super) async fn next(&self) -> Event {
        poll_fn(|cx| {
            let mut s = self.state.lock();
            if let Some(end) = s.end.take() {
                return Poll::Ready(end);
            }
            if let Some(raw) = s.host_calls.pop_front() {
                s.bytes = s.bytes.saturating_sub(raw.bytes.len());
                return Poll::Ready(Event::HostCalls(raw));
            }
            match &mut s.waker {
                Some(w) => w.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}
