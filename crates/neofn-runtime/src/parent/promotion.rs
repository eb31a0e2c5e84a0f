//! Which versions are worth live instances.
//!
//! A live instance answers faster, but making one costs more than several calls, and memory: so a version earns it by
//! repeated use, and nobody is driven out while in use. Pure: time comes in, decisions go out.

use std::collections::HashMap;

const WINDOW_MS: u64 = 1_000;
/// Calls within the window that earn promotion.
const CALLS: u32 = 3;
/// Above this, copying a version's pages in for each call is slow; the second call earns promotion.
const LARGE_BYTES: u64 = 512 << 10;
/// A hot version used this lately is not driven out.
const BUSY_MS: u64 = 1_000;
/// How often use of a hot version is noted, and how soon a refused one asks again.
const NOTE_MS: u64 = 100;
/// What live instances of any version take at least: the pages of the engine that a run dirties.
const BASE_COST_BYTES: u64 = 2 << 20;

/// How much one version is called.
#[derive(Debug, Default)]
pub(super) struct Heat {
    since_ms: u64,
    calls: u32,
    total: u64,
    quiet_until_ms: u64,
}

impl Heat {
    /// Notes a call. True: ask [`HotSet::call`].
    pub(super) fn call(&mut self, bytes: u64, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) > WINDOW_MS {
            self.since_ms = now_ms;
            self.calls = 0;
        }
        self.calls = self.calls.saturating_add(1);
        self.total += 1;
        let earned = self.calls >= CALLS || (bytes > LARGE_BYTES && self.total >= 2);
        if !earned || now_ms < self.quiet_until_ms {
            return false;
        }
        self.quiet_until_ms = now_ms + NOTE_MS;
        true
    }
}

#[derive(Debug)]
struct Hot {
    used_ms: u64,
    cost: u64,
}

/// The versions that have live instances.
#[derive(Debug)]
pub(super) struct HotSet {
    hot: HashMap<u32, Hot>,
    cost: u64,
    cost_max: u64,
}

/// What to do for a version that earned it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is hot already, or there is no room.
    Nothing,
    /// Promote it, after these were demoted.
    Promote { demote: Vec<u32> },
}

impl HotSet {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            hot: HashMap::new(),
            cost: 0,
            cost_max: bytes_max,
        }
    }
    pub(super) fn call(&mut self, version: u32, bytes: u64, now_ms: u64) -> Decision {
        if let Some(hot) = self.hot.get_mut(&version) {
            hot.used_ms = now_ms;
            return Decision::Nothing;
        }
        let cost = BASE_COST_BYTES + bytes.saturating_mul(2);
        let mut idle: Vec<(u64, u32, u64)> = self
            .hot
            .iter()
            .filter(|(_, h)| now_ms.saturating_sub(h.used_ms) >= BUSY_MS)
            .map(|(v, h)| (h.used_ms, *v, h.cost))
            .collect();
        idle.sort_unstable();
        let (mut left, mut demote) = (self.cost, Vec::new());
        for (_, v, freed) in idle {
            if left + cost <= self.cost_max {
                break;
            }
            left -= freed;
            demote.push(v);
        }
        if left + cost > self.cost_max {
            return Decision::Nothing;
        }
        for v in &demote {
            self.forget(*v);
        }
        self.cost += cost;
        self.hot.insert(
            version,
            Hot {
                used_ms: now_ms,
                cost,
            },
        );
        Decision::Promote { demote }
    }
    pub(super) fn forget(&mut self, version: u32) {
        if let Some(h) = self.hot.remove(&version) {
            self.cost -= h.cost;
        }
    }
    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_use_earns_promotion_and_a_single_miss_does_not() {
        let mut small = Heat::default();
        assert!(!small.call(1_000, 0));
        assert!(!small.call(1_000, 1));
        assert!(small.call(1_000, 2));
        assert!(!small.call(1_000, 3), "asks at most every {NOTE_MS} ms");
        let mut slow = Heat::default();
        assert!(
            (0..50).all(|i| !slow.call(1_000, i * 2_000)),
            "one call in two seconds"
        );
        let mut large = Heat::default();
        assert!(!large.call(LARGE_BYTES + 1, 0));
        assert!(large.call(LARGE_BYTES + 1, 60_000));
    }
    #[test]
    fn room_is_made_by_the_longest_idle_and_never_by_one_in_use() {
        let mut hot = HotSet::new(2 * BASE_COST_BYTES);
        assert_eq!(hot.call(1, 0, 0), Decision::Promote { demote: vec![] });
        assert_eq!(hot.call(2, 0, 10), Decision::Promote { demote: vec![] });
        assert_eq!(hot.call(3, 0, 500), Decision::Nothing, "both are in use");
        assert_eq!(hot.call(1, 0, 900), Decision::Nothing);
        assert_eq!(hot.call(3, 0, 1_100), Decision::Promote { demote: vec![2] });
        assert_eq!(hot.len(), 2);
        assert_eq!(
            hot.call(4, u64::from(u32::MAX), 99_000),
            Decision::Nothing,
            "never fits"
        );
        assert_eq!(hot.len(), 2, "nothing was demoted for it");
    }
}
