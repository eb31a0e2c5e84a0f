//! The threads that serve calls, and who of them is busy.
//!
//! Why threads and not fuel slices on fibres: each thread receives a call, runs it and answers it itself, so the hot
//! path has no hand-off and no fibre switch; a call that runs long keeps its thread, the ticker puts another one beside
//! it and lowers the long one's priority, and the kernel, which preempts anyway, does the slicing.

use crate::sandbox::{Interrupt, THREAD_STACK_BYTES};
use neofn_types::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;

/// Threads that wait for calls when nothing runs.
pub(crate) const THREADS_BASE: u32 = 2;
/// Most threads: the node hands out fewer calls than this, so that one is left for what goes on after a wait.
pub(crate) const THREADS_MAX: u32 = 96;

/// One serving thread.
pub(crate) struct Seat {
    pub(crate) tid: AtomicI32,
    /// Microseconds of the child's clock, 0 while it waits.
    pub(crate) busy_since: AtomicU64,
    /// Its priority was lowered; it cannot rise again without privilege, so the thread ends after this call.
    pub(crate) lowered: AtomicBool,
    call: Mutex<Option<(u64, Interrupt)>>,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            tid: AtomicI32::new(0),
            busy_since: AtomicU64::new(0),
            lowered: AtomicBool::new(false),
            call: Mutex::new(None),
        }
    }
    pub(crate) fn set_call(&self, id: u64, interrupt: &Interrupt) {
        *self.call.lock() = Some((id, interrupt.clone()));
    }
}

/// All serving threads.
pub(crate) struct Crew {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) threads: AtomicU32,
    pub(crate) busy: AtomicU32,
    pub(crate) finished: AtomicU64,
    /// Other work that needs the ticker: preparations.
    holds: AtomicU32,
    seats: Mutex<Vec<Arc<Seat>>>,
    ticker_parked: AtomicBool,
    ticker: Mutex<Option<Thread>>,
}

/// Whether a thread goes on after a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Leave,
    /// Leave, and put a fresh thread in its place.
    Replace,
}

impl Crew {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            threads: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            finished: AtomicU64::new(0),
            holds: AtomicU32::new(0),
            seats: Mutex::new(Vec::new()),
            ticker_parked: AtomicBool::new(false),
            ticker: Mutex::new(None),
        }
    }
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
    /// Starts a thread that runs `body` with its seat.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        body: impl FnOnce(&Arc<Seat>) + Send + 'static,
    ) -> std::io::Result<()> {
        let seat = Arc::new(Seat::new());
        let crew = Arc::clone(self);
        self.threads.fetch_add(1, Ordering::SeqCst);
        self.seats.lock().push(Arc::clone(&seat));
        let for_thread = Arc::clone(&seat);
        let started = std::thread::Builder::new()
            .name("sandbox".into())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || {
                // SAFETY: gettid takes nothing and cannot fail.
                for_thread.tid.store(unsafe { libc::gettid() }, Ordering::Relaxed);
                body(&for_thread);
                crew.seats.lock().retain(|s| !Arc::ptr_eq(s, &for_thread));
            });
        if started.is_err() {
            self.threads.fetch_sub(1, Ordering::SeqCst);
            self.seats.lock().retain(|s| !Arc::ptr_eq(s, &seat));
        }
        started.map(drop)
    }
    pub(crate) fn enter(&self, seat: &Seat) {
        seat.busy_since.store(self.now_us().max(1), Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::SeqCst);
        self.wake_ticker();
    }
    pub(crate) fn leave(&self, seat: &Seat) -> After {
        seat.busy_since.store(0, Ordering::Relaxed);
        *seat.call.lock() = None;
        self.finished.fetch_add(1, Ordering::Relaxed);
        let busy = self.busy.fetch_sub(1, Ordering::SeqCst) - 1;
        if seat.lowered.load(Ordering::Relaxed) {
            let left = self.threads.fetch_sub(1, Ordering::SeqCst) - 1;
            return if left < busy + THREADS_BASE {
                After::Replace
            } else {
                After::Leave
            };
        }
        let surplus = self
            .threads
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |t| {
                (t > busy + THREADS_BASE).then(|| t - 1)
            });
        if surplus.is_ok() {
            After::Leave
        } else {
            After::Stay
        }
    }
    /// Stops a call that runs right now. Answers whether there was one.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        self.seats.lock().iter().any(|seat| match &*seat.call.lock() {
            Some((of, interrupt)) if *of == id => {
                interrupt.cancel();
                true
            }
            _ => false,
        })
    }
    pub(crate) fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().clone()
    }
    /// Keeps the ticker awake for work that no seat does.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.holds.fetch_add(1, Ordering::SeqCst);
        self.wake_ticker();
        Hold(self)
    }
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0 && self.holds.load(Ordering::SeqCst) == 0
    }
    fn wake_ticker(&self) {
        if self.ticker_parked.load(Ordering::SeqCst)
            && self.ticker_parked.swap(false, Ordering::SeqCst)
            && let Some(t) = &*self.ticker.lock()
        {
            t.unpark();
        }
    }
    /// Waits until there is work. Only the ticker calls it.
    pub(crate) fn park_ticker(&self) {
        self.ticker.lock().get_or_insert_with(std::thread::current);
        self.ticker_parked.store(true, Ordering::SeqCst);
        while self.ticker_parked.load(Ordering::SeqCst) && self.is_idle() {
            std::thread::park();
        }
        self.ticker_parked.store(false, Ordering::SeqCst);
    }
}

/// See [`Crew::hold`].
pub(crate) struct Hold<'a>(&'a Crew);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::MonotonicClock;
    use super::*;

    #[test]
    fn surplus_threads_leave_and_lowered_ones_are_replaced() {
        let crew = Crew::new(Arc::new(MonotonicClock::new()));
        crew.threads.store(4, Ordering::SeqCst);
        let (a, b) = (Seat::new(), Seat::new());
        crew.enter(&a);
        crew.enter(&b);
        // four threads, one still busy: one more than needed
        assert_eq!(crew.leave(&a), After::Leave);
        crew.enter(&a);
        a.lowered.store(true, Ordering::Relaxed);
        assert_eq!(crew.leave(&a), After::Replace);
        crew.threads.store(2, Ordering::SeqCst);
        assert_eq!(crew.leave(&b), After::Stay);
        assert!(crew.is_idle());
    }
}
