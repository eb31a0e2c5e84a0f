//! Holds the queued work of a function back while it fails every time, so that a broken function does not burn its
//! attempts, the node's places and its owner's money all at once. Callers who wait are not held back: they see the error.

use neofn_types::UnixMillis;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// When work is held back, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// Failures in a row after which it is.
    pub failures: u32,
    /// How long at first; twice as long whenever the next try fails as well.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: 20,
            pause: Duration::from_secs(5),
            pause_max: Duration::from_secs(300),
        }
    }
}

/// How a run of queued work ended, as far as that says something about the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It worked, or failed in a way that has nothing to do with the moment: its input was at fault.
    Good,
    /// It failed in a way that may pass.
    Bad,
    /// It did not come to run.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Work goes; so many failed in a row.
    Closed(u32),
    /// Nothing goes until then.
    Open { until: UnixMillis, trips: u32 },
    /// One went, to see. If nothing is heard of it by then, another may go.
    Trying { until: UnixMillis, trips: u32 },
}

/// Clocks of nodes differ by less. A pause that is further away began before the clock was set back, and is over.
const LEAP: Duration = Duration::from_secs(60);

/// The breakers of functions whose last runs failed.
#[derive(Debug)]
pub struct Breakers<P, F> {
    rule: BreakerRule,
    projects: HashMap<P, HashMap<F, State>>,
}

impl<P: Hash + Eq + Clone, F: Hash + Eq + Clone> Breakers<P, F> {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            projects: HashMap::new(),
        }
    }
    fn state(&self, project: &P, function: &F) -> Option<State> {
        self.projects.get(project)?.get(function).copied()
    }
    /// Until when work of a function is held back.
    #[must_use]
    pub fn paused(&self, project: &P, function: &F, now: UnixMillis) -> Option<UnixMillis> {
        match self.state(project, function) {
            Some(State::Open { until, .. } | State::Trying { until, .. }) if self.holds(until, now) => {
                Some(until)
            }
            _ => None,
        }
    }
    fn holds(&self, until: UnixMillis, now: UnixMillis) -> bool {
        until > now && until <= now.plus(self.rule.pause_max.saturating_add(LEAP))
    }
    /// Work of a function goes, which was not [`Self::paused`].
    pub fn started(&mut self, project: &P, function: &F, now: UnixMillis) {
        let states = self.projects.get_mut(project);
        let Some(state) = states.and_then(|functions| functions.get_mut(function)) else {
            return;
        };
        if let State::Open { trips, .. } | State::Trying { trips, .. } = *state {
            let until = now.plus(self.rule.pause_max);
            *state = State::Trying { until, trips };
        }
    }
    /// Work of a function ended.
    pub fn ended(&mut self, project: &P, function: &F, health: Health, now: UnixMillis) {
        let state = self.state(project, function);
        let next = match (health, state) {
            (Health::Good, _) => None,
            (Health::Unknown, Some(State::Trying { trips, .. })) => Some(State::Open { until: now, trips }),
            (Health::Unknown, other) => other,
            (Health::Bad, Some(State::Trying { trips, .. })) => Some(self.open(trips.saturating_add(1), now)),
            // it began before the pause did
            (Health::Bad, Some(open @ State::Open { .. })) => Some(open),
            (Health::Bad, closed) => {
                let failed = match closed {
                    Some(State::Closed(failed)) => failed.saturating_add(1),
                    _ => 1,
                };
                Some(if failed >= self.rule.failures {
                    self.open(0, now)
                } else {
                    State::Closed(failed)
                })
            }
        };
        match next {
            Some(state) => {
                let functions = self.projects.entry(project.clone()).or_default();
                functions.insert(function.clone(), state);
            }
            None if state.is_some() => self.forget(project, function),
            None => {}
        }
    }
    fn open(&self, trips: u32, now: UnixMillis) -> State {
        let pause = self.rule.pause.saturating_mul(1u32 << trips.min(31));
        State::Open {
            until: now.plus(pause.min(self.rule.pause_max)),
            trips,
        }
    }
    /// A function is new, or gone: what it did before says nothing any more.
    pub fn forget(&mut self, project: &P, function: &F) {
        if let Some(functions) = self.projects.get_mut(project) {
            functions.remove(function);
            if functions.is_empty() {
                self.projects.remove(project);
            }
        }
    }
    /// The functions whose work is held back, and until when.
    pub fn all(&self, now: UnixMillis) -> impl Iterator<Item = (&P, &F, UnixMillis)> {
        self.projects.iter().flat_map(move |(project, functions)| {
            functions.iter().filter_map(move |(function, state)| match state {
                State::Open { until, .. } | State::Trying { until, .. } if self.holds(*until, now) => {
                    Some((project, function, *until))
                }
                _ => None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * SECOND)
    }
    fn broken() -> Breakers<u8, u8> {
        let mut breakers = Breakers::new(BreakerRule {
            failures: 3,
            ..BreakerRule::default()
        });
        for _ in 0..3 {
            assert_eq!(breakers.paused(&1, &1, at(0)), None);
            breakers.started(&1, &1, at(0));
            breakers.ended(&1, &1, Health::Bad, at(0));
        }
        breakers
    }

    #[test]
    fn failures_in_a_row_hold_work_back_and_one_try_decides() {
        let mut b = broken();
        assert_eq!(b.paused(&1, &1, at(1)), Some(at(5)));
        assert_eq!(b.paused(&1, &2, at(1)), None);
        // what ran already says nothing new
        b.ended(&1, &1, Health::Bad, at(2));
        assert_eq!(b.all(at(2)).collect::<Vec<_>>(), [(&1, &1, at(5))]);
        assert_eq!(b.paused(&1, &1, at(5)), None);
        b.started(&1, &1, at(5));
        assert!(b.paused(&1, &1, at(6)).is_some(), "one goes at a time");
        b.ended(&1, &1, Health::Bad, at(7));
        assert_eq!(b.paused(&1, &1, at(8)), Some(at(17)), "twice as long");
        b.started(&1, &1, at(17));
        b.ended(&1, &1, Health::Good, at(18));
        assert_eq!(b.paused(&1, &1, at(18)), None);
        b.ended(&1, &1, Health::Bad, at(18));
        assert_eq!(b.paused(&1, &1, at(18)), None, "it counts anew");
    }

    #[test]
    fn a_success_between_failures_closes_it_and_leaves_nothing() {
        let mut b = Breakers::new(BreakerRule::default());
        for _ in 0..100 {
            b.ended(&1, &1, Health::Bad, at(0));
            b.ended(&1, &1, Health::Good, at(0));
        }
        assert_eq!(b.paused(&1, &1, at(0)), None);
        assert!(b.projects.is_empty());
    }

    #[test]
    fn a_try_that_is_lost_or_never_ran_does_not_close_the_way_for_good() {
        let mut b = broken();
        b.started(&1, &1, at(5));
        b.ended(&1, &1, Health::Unknown, at(6));
        assert_eq!(b.paused(&1, &1, at(6)), None);
        b.started(&1, &1, at(6));
        assert_eq!(b.paused(&1, &1, at(6)), Some(at(306)));
        assert_eq!(b.paused(&1, &1, at(306)), None);
        b.forget(&1, &1);
        assert!(b.projects.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_back_for_longer() {
        let b = broken();
        assert_eq!(b.paused(&1, &1, at(-20)), Some(at(5)));
        assert_eq!(b.paused(&1, &1, at(-3_600)), None);
        assert_eq!(b.all(at(-3_600)).next(), None);
    }
}
