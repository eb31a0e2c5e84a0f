//! A node in simulation: seeded arrivals, failures and durations, checked for the promises of this crate.

use neofn_sched::{Backoff, Lanes, Next, Share, Slots};
use neofn_types::{Attempt, Retry};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// splitmix64, see Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, Copy)]
struct Item {
    id: u64,
    attempt: u32,
}

const PROJECTS: u64 = 4;
const FUNCTIONS: u64 = 3;
const FUNCTION_MAX: u32 = 3;
const NODE_MAX: u32 = 7;

#[test]
fn every_invocation_ends_once_and_no_limit_is_passed() {
    for seed in 0..200 {
        simulate(seed);
    }
}

fn simulate(seed: u64) {
    let mut rng = Rng(seed);
    let backoff = Backoff {
        attempts_max: 4,
        ..Backoff::default()
    };
    let mut lanes: Lanes<u64, u64, Item> = Lanes::default();
    let mut slots: Slots<(u64, u64)> = Slots::new(NODE_MAX);
    let mut running: BTreeMap<(u64, u64), (u64, u64, Item)> = BTreeMap::new();
    let mut later: BTreeMap<(u64, u64), (u64, u64, Item)> = BTreeMap::new();
    let mut ends: HashMap<u64, u32> = HashMap::new();
    let total = 300;
    let (mut now, mut serial, mut arrived) = (0u64, 0u64, 0u64);
    while ends.len() < total {
        assert!(now < 100_000_000, "seed {seed}: no progress");
        while arrived < total as u64 && rng.below(3) > 0 {
            // one project is much louder than the others
            let p = if rng.below(2) == 0 { 0 } else { rng.below(PROJECTS) };
            lanes.push(
                &p,
                &rng.below(FUNCTIONS),
                Item {
                    id: arrived,
                    attempt: 1,
                },
            );
            arrived += 1;
        }
        while let Some((&at, _)) = later.first_key_value().filter(|((due, _), _)| *due <= now) {
            let (p, f, item) = later.remove(&at).unwrap();
            lanes.push(&p, &f, item);
        }
        let mut taken = None;
        while let Some(item) = lanes.pop(|p, f, _| {
            taken = slots
                .take(&(*p, *f), FUNCTION_MAX, Share::Own)
                .ok()
                .map(|()| (*p, *f));
            taken.is_some()
        }) {
            let (p, f) = taken.unwrap();
            assert!(slots.running(&(p, f)) <= FUNCTION_MAX, "seed {seed}");
            serial += 1;
            running.insert((now + 1 + rng.below(50), serial), (p, f, item));
        }
        assert!(slots.total() <= u64::from(NODE_MAX), "seed {seed}");
        assert_eq!(slots.total(), running.len() as u64, "seed {seed}");
        // work conserving: what waits, waits for a slot
        if !lanes.is_empty() && slots.node_free() > 0 {
            let full: Vec<_> = slots
                .all()
                .filter(|(_, n)| *n >= FUNCTION_MAX)
                .map(|(k, _)| *k)
                .collect();
            assert!(
                lanes.lanes().all(|(p, f)| full.contains(&(*p, *f))),
                "seed {seed}"
            );
        }
        now = match (running.first_key_value(), later.first_key_value()) {
            (Some(((a, _), _)), Some(((b, _), _))) => *a.min(b),
            (Some(((a, _), _)), None) | (None, Some(((a, _), _))) => *a,
            (None, None) => now + 1,
        }
        .max(now);
        while let Some((&at, _)) = running.first_key_value().filter(|((end, _), _)| *end <= now) {
            let (p, f, item) = running.remove(&at).unwrap();
            slots.give_back(&(p, f), Share::Own);
            let retry = match rng.below(10) {
                0 => Some(Retry::Never),
                1..4 => Some(Retry::Later),
                _ => None,
            };
            let next = retry.map_or(Next::Fail, |r| backoff.next(r, Attempt(item.attempt), rng.next()));
            match next {
                Next::After(delay) => {
                    assert!(
                        delay <= Duration::from_secs(300) && item.attempt < 4,
                        "seed {seed}"
                    );
                    serial += 1;
                    let due = now + u64::try_from(delay.as_millis()).unwrap();
                    let again = Item {
                        attempt: item.attempt + 1,
                        ..item
                    };
                    later.insert((due, serial), (p, f, again));
                }
                Next::Fail | Next::Dead => *ends.entry(item.id).or_default() += 1,
            }
        }
    }
    assert!(ends.values().all(|n| *n == 1), "seed {seed}");
    assert!(
        lanes.is_empty() && running.is_empty() && later.is_empty(),
        "seed {seed}"
    );
}
