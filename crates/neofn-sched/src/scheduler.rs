//! What runs next on one node: fair lanes of claimed work in front of the slots that bound it.
//!
//! Time comes in as an argument, work and its end as calls, and what to do goes out as values, so that a seeded
//! loop can drive it through whatever may happen; `tests/it/simulation.rs` does.

use crate::breaker::{BreakerRule, Breakers, Health};
use crate::lanes::Lanes;
use crate::slots::{Caps, Refused, Share, Slots};
use neofn_types::UnixMillis;
use std::hash::Hash;

/// Work that waits for a slot.
#[derive(Debug)]
struct Waiting<T> {
    function_max: u32,
    expires: UnixMillis,
    item: T,
}

/// What is to be done with work that waited.
#[derive(Debug, PartialEq, Eq)]
pub enum Go<T> {
    /// Run it; it has a slot of [`Share::Queue`], to be given back.
    Start(T),
    /// It is older than work may be: end it without running.
    Expired(T),
}

/// Why work of a function waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing holds it: it goes with the next look at the queue.
    Turn {
        /// Claimed work before it, of all functions.
        ahead: usize,
    },
    /// A limit does.
    Full {
        /// Which.
        refused: Refused,
        /// Runs that count towards it.
        running: u32,
        /// The limit.
        max: u32,
    },
    /// The function failed so often in a row that its queued work waits until then.
    Paused {
        /// When one run is tried.
        until: UnixMillis,
    },
    /// The node starts nothing any more.
    Draining,
}

/// Slots and lanes of one node.
#[derive(Debug)]
pub struct Scheduler<P, F, T> {
    slots: Slots<P, F>,
    lanes: Lanes<P, F, Waiting<T>>,
    breakers: Breakers<P, F>,
    draining: bool,
}

impl<P: Hash + Eq + Clone, F: Hash + Eq + Clone, T> Scheduler<P, F, T> {
    /// Nothing runs, nothing waits.
    #[must_use]
    pub fn new(caps: Caps, breaker: BreakerRule) -> Self {
        Self {
            slots: Slots::new(caps),
            lanes: Lanes::default(),
            breakers: Breakers::new(breaker),
            draining: false,
        }
    }
    /// A slot for a caller who waits; never queued: he is told at once that there is none.
    pub fn take(
        &mut self,
        project: &P,
        function: &F,
        function_max: u32,
        share: Share,
    ) -> Result<(), Refused> {
        self.slots.take(project, function, function_max, share)
    }
    /// Ends a run.
    pub fn give_back(&mut self, project: &P, function: &F, share: Share) {
        self.slots.give_back(project, function, share);
    }
    /// Claimed work, to run when there is a slot, or never after `expires`.
    pub fn offer(&mut self, project: &P, function: &F, function_max: u32, expires: UnixMillis, item: T) {
        let waiting = Waiting {
            function_max,
            expires,
            item,
        };
        self.lanes.push(project, function, waiting);
    }
    /// The next of the waiting work, by turns over projects and over their functions.
    pub fn next(&mut self, now: UnixMillis) -> Option<Go<T>> {
        if self.draining {
            return None;
        }
        let (slots, breakers, mut expired) = (&mut self.slots, &mut self.breakers, false);
        let next = self.lanes.pop(|p, f, waiting| {
            expired = waiting.expires <= now;
            if expired {
                return true;
            }
            let may = breakers.paused(p, f, now).is_none()
                && slots.take(p, f, waiting.function_max, Share::Queue).is_ok();
            if may {
                breakers.started(p, f, now);
            }
            may
        })?;
        Some(if expired {
            Go::Expired(next.item)
        } else {
            Go::Start(next.item)
        })
    }
    /// How work from the queue ended; its slot is given back beside this.
    pub fn ended(&mut self, project: &P, function: &F, health: Health, now: UnixMillis) {
        self.breakers.ended(project, function, health, now);
    }
    /// A function is new, or gone.
    pub fn forget(&mut self, project: &P, function: &F) {
        self.breakers.forget(project, function);
    }
    /// Functions whose queued work is held back because they fail, and until when.
    pub fn paused(&self, now: UnixMillis) -> impl Iterator<Item = (&P, &F, UnixMillis)> {
        self.breakers.all(now)
    }
    /// How much more of the queue is worth claiming now.
    #[must_use]
    pub fn appetite(&self) -> u32 {
        let caps = self.slots.caps();
        let of_queue = caps.queue.saturating_sub(self.slots.of_queue());
        let of_node = caps.node.saturating_sub(self.slots.of_node());
        if self.draining { 0 } else { of_queue.min(of_node) }
    }
    /// Starts nothing any more, and hands back what waits.
    pub fn drain(&mut self) -> Vec<T> {
        self.draining = true;
        self.lanes.drain().into_iter().map(|w| w.item).collect()
    }
    /// Why work of a function does not run.
    #[must_use]
    pub fn explain(&self, project: &P, function: &F, function_max: u32, now: UnixMillis) -> Wait {
        if self.draining {
            return Wait::Draining;
        }
        if let Some(until) = self.breakers.paused(project, function, now) {
            return Wait::Paused { until };
        }
        let caps = self.slots.caps();
        match self.slots.may_take(project, function, function_max, Share::Queue) {
            Ok(()) => Wait::Turn {
                ahead: self.lanes.len(),
            },
            Err(refused) => {
                let (running, max) = match refused {
                    Refused::Function => (self.slots.running(project, function), function_max),
                    Refused::Project => (self.slots.of_project(project), caps.project),
                    Refused::Node => (self.slots.of_node(), caps.node),
                    Refused::Queue => (self.slots.of_queue(), caps.queue),
                };
                Wait::Full {
                    refused,
                    running,
                    max,
                }
            }
        }
    }
    /// What runs.
    #[must_use]
    pub fn slots(&self) -> &Slots<P, F> {
        &self.slots
    }
    /// How much waits, by lane.
    pub fn lanes(&self) -> impl Iterator<Item = (&P, &F, usize)> {
        self.lanes.lanes()
    }
    /// What waits, in no order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.lanes.items().map(|waiting| &waiting.item)
    }
    /// How much waits.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.len()
    }
}
