//! Where the answer of one call arrives: filled by the reader of a child's socket, awaited by the call's own future.

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
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
    pub(super) given_up: AtomicBool,
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
    /// True exactly once: when the call waits for the first time, or ends.
    pub(super) fn stop_counting(&self) -> bool {
        self.counted.swap(false, Ordering::AcqRel)
    }
    /// It waits for host calls; false when it asks for more than is taken from it.
    #[must_use]
    pub(super) fn ask(&self, raw: Raw) -> bool {
        let mut s = self.state.lock();
        s.bytes += raw.bytes.len();
        if s.bytes > WAITING_BYTES_MAX {
            return false;
        }
        s.host_calls.push_back(raw);
        wake(s);
        true
    }
    /// It has ended so, if it had not before.
    pub(super) fn end(&self, event: Event) {
        let mut s = self.state.lock();
        s.end.get_or_insert(event);
        wake(s);
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

/// Wakes whoever waits for an event, once the slot is free again.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
