//! Leaves a host alone after failures in a row: by function and host, so that nobody breaks a host for others.
//!
//! Sans-io: time comes in from outside.

use crate::limits::EgressLimits;
use neofn_types::FunctionKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// Pairs that are remembered; beyond it those that are well are forgotten, then the oldest.
const PAIRS_MAX: usize = 16 << 10;

type Pair = (FunctionKey, String);

#[derive(Debug, Clone, Copy)]
struct State {
    failures: u32,
    /// How long the last pause was.
    pause: Duration,
    /// Until then nothing is sent.
    until: Duration,
    /// One request is trying whether it is well again.
    probing: bool,
    touched: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<HashMap<Pair, State>>);

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Go,
    /// Not before so long.
    Wait(Duration),
}

impl Breaker {
    pub(crate) fn ask(&self, function: &FunctionKey, host: &str, now: Duration) -> Leave {
        let mut pairs = self.0.lock();
        let Some(state) = pairs.get_mut(&(function.clone(), host.to_owned())) else {
            return Leave::Go;
        };
        if state.pause.is_zero() {
            return Leave::Go;
        }
        if now < state.until {
            return Leave::Wait(state.until.saturating_sub(now));
        }
        // a probe that never came back (its run was stopped) must not keep the host closed
        if state.probing && now < state.until.saturating_add(state.pause) {
            return Leave::Wait(state.until.saturating_add(state.pause).saturating_sub(now));
        }
        state.probing = true;
        state.until = now;
        Leave::Go
    }
    pub(crate) fn tell(
        &self,
        function: &FunctionKey,
        host: &str,
        well: bool,
        now: Duration,
        limits: &EgressLimits,
    ) {
        let mut pairs = self.0.lock();
        let pair = (function.clone(), host.to_owned());
        if well {
            pairs.remove(&pair);
            return;
        }
        if pairs.len() >= PAIRS_MAX && !pairs.contains_key(&pair) {
            make_room(&mut pairs, now);
        }
        let state = pairs.entry(pair).or_insert(State {
            failures: 0,
            pause: Duration::ZERO,
            until: now,
            probing: false,
            touched: now,
        });
        state.failures = state.failures.saturating_add(1);
        state.touched = now;
        if state.probing || (state.pause.is_zero() && state.failures >= limits.failures) {
            state.pause = if state.pause.is_zero() {
                limits.pause
            } else {
                state.pause.saturating_mul(2).min(limits.pause_max)
            };
            state.until = now.saturating_add(state.pause);
            state.probing = false;
        }
    }
}

fn make_room(pairs: &mut HashMap<Pair, State>, now: Duration) {
    pairs.retain(|_, s| now < s.until.saturating_add(s.pause) || s.probing);
    while pairs.len() >= PAIRS_MAX {
        let oldest = pairs
            .iter()
            .min_by_key(|(_, s)| s.touched)
            .map(|(p, _)| p.clone());
        match oldest {
            Some(pair) => pairs.remove(&pair),
            None => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(name: &str) -> FunctionKey {
        FunctionKey::new("p".parse().unwrap(), name.parse().unwrap())
    }
    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_try() {
        let (b, limits) = (Breaker::default(), EgressLimits::default());
        for _ in 0..4 {
            b.tell(&f("a"), "h", false, s(0), &limits);
        }
        b.tell(&f("a"), "h", true, s(0), &limits);
        for _ in 0..4 {
            b.tell(&f("a"), "h", false, s(1), &limits);
            assert_eq!(b.ask(&f("a"), "h", s(1)), Leave::Go);
        }
        b.tell(&f("a"), "h", false, s(1), &limits);
        assert_eq!(b.ask(&f("a"), "h", s(2)), Leave::Wait(s(4)));
        assert_eq!(b.ask(&f("b"), "h", s(2)), Leave::Go);
        assert_eq!(b.ask(&f("a"), "other", s(2)), Leave::Go);
        assert_eq!(b.ask(&f("a"), "h", s(6)), Leave::Go);
        assert_eq!(b.ask(&f("a"), "h", s(6)), Leave::Wait(s(5)));
        b.tell(&f("a"), "h", false, s(7), &limits);
        assert_eq!(b.ask(&f("a"), "h", s(8)), Leave::Wait(s(9)));
        assert_eq!(b.ask(&f("a"), "h", s(17)), Leave::Go);
        b.tell(&f("a"), "h", true, s(17), &limits);
        assert_eq!(b.ask(&f("a"), "h", s(17)), Leave::Go);
        assert_eq!(b.ask(&f("a"), "h", s(17)), Leave::Go);
    }

    #[test]
    fn a_lost_probe_closes_nothing_for_good_and_memory_is_bounded() {
        let (b, limits) = (
            Breaker::default(),
            EgressLimits {
                failures: 1,
                ..EgressLimits::default()
            },
        );
        b.tell(&f("a"), "h", false, s(0), &limits);
        assert_eq!(b.ask(&f("a"), "h", s(5)), Leave::Go);
        assert_eq!(b.ask(&f("a"), "h", s(9)), Leave::Wait(s(1)));
        assert_eq!(b.ask(&f("a"), "h", s(10)), Leave::Go);
        for n in 0..PAIRS_MAX + 10 {
            b.tell(&f("a"), &format!("h{n}"), false, s(20), &limits);
        }
        assert!(b.0.lock().len() <= PAIRS_MAX);
    }
}
