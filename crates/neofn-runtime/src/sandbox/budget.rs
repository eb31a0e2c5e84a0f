//! Memory of all runs of a process together. When there is no more, the largest run ends, whoever asked.
//!
//! Counts what runs are given, not what they touch: an answer must be there before the kernel has to find the pages.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What any run takes beside its heap: an instance, its stack, the pages of the engine that it writes.
const RUN_BYTES: u64 = 384 << 10;

/// Shared by all runs of a process. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    most: u64,
    state: Mutex<State>,
    /// Whether runs were told to end that have not ended yet.
    pending: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Without what the doomed hold: it comes back presently.
    used: u64,
    runs: HashMap<u64, Held>,
}

struct Held {
    bytes: u64,
    doomed: Arc<AtomicBool>,
}

/// One run's part. Dropping it gives it back.
pub struct Share {
    budget: Budget,
    id: u64,
    doomed: Arc<AtomicBool>,
}

/// This run has to end: it holds the most.
#[derive(Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// At most `most` bytes.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Shared {
            most,
            state: Mutex::default(),
            pending: AtomicBool::new(false),
        }))
    }
    /// Opens the part of run `id`.
    #[must_use]
    pub fn share(&self, id: u64) -> Share {
        let doomed = Arc::new(AtomicBool::new(false));
        let held = Held {
            bytes: 0,
            doomed: Arc::clone(&doomed),
        };
        self.0.state.lock().runs.insert(id, held);
        Share {
            budget: self.clone(),
            id,
            doomed,
        }
    }
    /// Runs that were told to end and have not. Those that wait have to be ended by who holds them.
    #[must_use]
    pub fn doomed(&self) -> Vec<u64> {
        if !self.0.pending.load(Ordering::Acquire) {
            return Vec::new();
        }
        let state = self.0.state.lock();
        let doomed = state
            .runs
            .iter()
            .filter(|(_, held)| held.doomed.load(Ordering::Relaxed));
        let doomed: Vec<u64> = doomed.map(|(id, _)| *id).collect();
        self.0.pending.store(!doomed.is_empty(), Ordering::Release);
        doomed
    }
}

impl Share {
    /// For the run's beginning, with `bytes` of its version's memory.
    pub fn begin(&self, bytes: u64) -> Result<(), Exhausted> {
        self.grow(RUN_BYTES.saturating_add(bytes))
    }
    /// Asks for more.
    pub fn grow(&self, bytes: u64) -> Result<(), Exhausted> {
        let mut state = self.budget.0.state.lock();
        let State { used, runs } = &mut *state;
        let Some(own) = runs.get_mut(&self.id) else {
            return Ok(());
        };
        own.bytes = own.bytes.saturating_add(bytes);
        if own.doomed.load(Ordering::Relaxed) {
            return Err(Exhausted);
        }
        *used = used.saturating_add(bytes);
        while *used > self.budget.0.most {
            let left = runs
                .iter()
                .filter(|(_, held)| !held.doomed.load(Ordering::Relaxed));
            // of equals the youngest
            let Some((id, largest)) = left.max_by_key(|(id, held)| (held.bytes, **id)) else {
                break;
            };
            *used = used.saturating_sub(largest.bytes);
            largest.doomed.store(true, Ordering::Relaxed);
            if *id == self.id {
                return Err(Exhausted);
            }
            self.budget.0.pending.store(true, Ordering::Release);
        }
        Ok(())
    }
    /// Whether this run was told to end.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Relaxed)
    }
    /// Gives everything back.
    pub fn release(&self) {
        let mut state = self.budget.0.state.lock();
        if let Some(held) = state.runs.remove(&self.id)
            && !held.doomed.load(Ordering::Relaxed)
        {
            state.used = state.used.saturating_sub(held.bytes);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ends_and_what_it_held_is_there_for_others() {
        let budget = Budget::new(100);
        let (small, large, other) = (budget.share(1), budget.share(2), budget.share(3));
        assert_eq!(
            (small.grow(10), large.grow(60), other.grow(30)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert!(budget.doomed().is_empty());
        assert_eq!(small.grow(10), Ok(()));
        assert_eq!(budget.doomed(), [2]);
        assert!(large.is_doomed() && !small.is_doomed());
        assert_eq!(large.grow(1), Err(Exhausted));
        assert_eq!(other.grow(50), Ok(()), "what the doomed one held is free");
        drop(large);
        assert!(budget.doomed().is_empty());
        // who asks may be the largest itself
        assert_eq!(other.grow(1), Err(Exhausted));
        assert!(other.is_doomed());
        other.release();
        other.release();
        drop((small, other));
        let state = budget.0.state.lock();
        assert_eq!((state.used, state.runs.len()), (0, 0));
    }

    #[test]
    fn one_that_asks_for_more_than_there_is_ends_alone() {
        let budget = Budget::new(100);
        let (a, b) = (budget.share(1), budget.share(2));
        assert_eq!(a.grow(90), Ok(()));
        assert_eq!(b.grow(1_000), Err(Exhausted));
        assert!(!a.is_doomed());
    }
}
