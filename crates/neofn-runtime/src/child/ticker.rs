//! The heartbeat of a child: moves the engine's epoch, adds threads beside long calls and lowers those.
//!
//! Sleeps without waking up while nothing runs, so that an idle child costs nothing.

use super::crew::{Crew, THREADS_MAX};
use super::worker::{self, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(1);
/// Ticks without an ended call, all threads busy, before another thread comes.
const STUCK_TICKS: u32 = 2;
/// Ticks of idleness before it sleeps: waking it up costs more than a few empty ticks.
const IDLE_TICKS: u32 = 50;
const LONG_US: u64 = 20_000;
const LONG_NICE: libc::c_int = 10;

pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("ticker".into())
        .spawn(move || run(&shared))
        .map(drop)
}

fn run(shared: &Arc<Shared>) {
    let crew = &shared.crew;
    let (mut idle, mut stuck, mut finished) = (0, 0, 0);
    loop {
        if crew.is_idle() {
            idle += 1;
        } else {
            idle = 0;
        }
        if idle > IDLE_TICKS {
            crew.park_ticker();
            idle = 0;
        }
        std::thread::sleep(TICK);
        shared.engine.tick();
        if let Some(wasm) = shared.wasm.get() {
            wasm.tick();
        }
        let now_finished = crew.finished.load(Ordering::Relaxed);
        let threads = crew.threads.load(Ordering::SeqCst);
        if crew.busy.load(Ordering::SeqCst) >= threads && now_finished == finished {
            stuck += 1;
        } else {
            stuck = 0;
        }
        finished = now_finished;
        if stuck >= STUCK_TICKS && threads < THREADS_MAX {
            // no thread to be had: the next tick tries again, calls wait in the socket meanwhile
            let _ = worker::spawn(shared);
        }
        lower_long_ones(crew);
        evict(shared);
    }
}

/// On a thread of its own: answering takes as long as the node lets it, and the clock must go on.
fn evict(shared: &Arc<Shared>) {
    let doomed = shared.budget.doomed();
    if doomed.is_empty() {
        return;
    }
    let own = Arc::clone(shared);
    // without a thread the next tick tries again
    let _ = std::thread::Builder::new()
        .name("evict".into())
        .spawn(move || worker::evict(&own, &doomed));
}

fn lower_long_ones(crew: &Crew) {
    let now = crew.now_us();
    for seat in crew.seats() {
        let since = seat.busy_since.load(Ordering::Relaxed);
        if since == 0 || now.saturating_sub(since) < LONG_US || seat.lowered.swap(true, Ordering::Relaxed) {
            continue;
        }
        let tid = libc::id_t::try_from(seat.tid.load(Ordering::Relaxed)).unwrap_or(0);
        // SAFETY: takes numbers only. A thread that has ended meanwhile is an error that changes nothing.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, tid, LONG_NICE);
        }
    }
}
