//! A future whose parts wake each other, polled on while they do.
//!
//! A connection is one task: its reader waits for a handler that wants the body, the handler for the reader. The scheduler takes
//! each such wake for new work, queues the task, and wakes another thread to share it: twice a request, for nothing. Here a wake
//! that comes while the future is polled means that it is polled again at once.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls in a row; beyond it other tasks of the thread get their turn.
const ROUNDS_MAX: usize = 8;

/// Nobody polls: a wake goes to the task.
const WAITING: u8 = 0;
const POLLED: u8 = 1;
/// Beside it: it was woken while it was polled.
const WOKEN: u8 = 2;

#[derive(Debug)]
struct Wakes {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // a write in every case: what the waker did before is seen by the poll that finds it
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) & POLLED == 0 {
            self.task.wake();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SelfWake<F> {
    inner: Pin<Box<F>>,
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl<F> SelfWake<F> {
    pub(crate) fn new(inner: F) -> Self {
        let wakes = Arc::new(Wakes {
            state: AtomicU8::new(WAITING),
            task: AtomicWaker::new(),
        });
        Self {
            inner: Box::pin(inner),
            waker: wakes.clone().into(),
            wakes,
        }
    }
}

impl<F: Future> Future for SelfWake<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.wakes.task.register(cx.waker());
        for _ in 0..ROUNDS_MAX {
            this.wakes.state.store(POLLED, Ordering::Release);
            let polled = this.inner.as_mut().poll(&mut Context::from_waker(&this.waker));
            let woken = this.wakes.state.swap(WAITING, Ordering::AcqRel) & WOKEN != 0;
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A future that wakes itself so many times before it is ready; how often it was polled, and its task woken.
    fn polled_once(wakes: usize) -> (Poll<()>, usize, usize) {
        let (mut polls, outer) = (0, Arc::new(Counting::default()));
        let waker = Waker::from(outer.clone());
        let mut future = SelfWake::new(poll_fn(|cx| {
            polls += 1;
            if polls > wakes {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        drop(future);
        (polled, polls, outer.0.load(Ordering::SeqCst))
    }

    #[test]
    fn who_wakes_itself_is_polled_on_without_its_task_being_woken() {
        assert_eq!(polled_once(0), (Poll::Ready(()), 1, 0));
        assert_eq!(polled_once(2), (Poll::Ready(()), 3, 0));
    }

    #[test]
    fn who_never_ends_lets_others_have_their_turn() {
        assert_eq!(polled_once(1_000), (Poll::Pending, ROUNDS_MAX, 1));
    }

    #[test]
    fn a_wake_from_elsewhere_reaches_the_task() {
        let mut inner = None;
        let outer = Arc::new(Counting::default());
        let waker = Waker::from(outer.clone());
        let mut future = SelfWake::new(poll_fn(|cx| {
            inner = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
        assert_eq!(outer.0.load(Ordering::SeqCst), 0);
        drop(future);
        inner.unwrap().wake();
        assert_eq!(outer.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost_between_threads() {
        for _ in 0..2_000 {
            let (tell, told) = tokio::sync::oneshot::channel();
            let waits = tokio::spawn(SelfWake::new(told));
            tokio::task::yield_now().await;
            tell.send(7).unwrap();
            assert_eq!(waits.await.unwrap(), Ok(7));
        }
    }
}
