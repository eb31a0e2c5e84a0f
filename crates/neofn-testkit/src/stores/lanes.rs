//! The limit of a key: of an ordered lane one delivery is under way at a time, in the order in which they came. Driven by a seed
//! through crashes, lost claims, duplicates, retries, jumps of the clock and nodes that look at the same moment.
//!
//! `NEOFN_SIM_SEED=42 cargo nextest run --workspace -E 'test(a_lane_runs_one_at_a_time)'` repeats one seed, `NEOFN_SIM_SEEDS=500`
//! runs many.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use super::Harness;
use super::triggers::{deliver, held, ready, rows};
use crate::sim::{Dice, seeds};
use crate::stores::support::*;
use neofn_engine::port::{Claimed, InvocationStore as _, Outcome, Rooms, Status};
use neofn_engine::triggers::port::TriggerStore as _;
use neofn_event::TriggerId;
use neofn_types::{FunctionKey, InvocationId, UnixMillis};
use std::collections::BTreeMap;
use std::time::Duration;

const LANES: [&str; 3] = ["a", "b", "c"];
const LEASE: Duration = Duration::from_secs(30);
const STEPS: u32 = 60;

pub async fn a_lane_runs_one_at_a_time_under_any_schedule<H: Harness + 'static>() {
    // what places stand on is there once for all cases
    let _stays = H::new();
    for seed in seeds(u64::from(H::cases(12))) {
        let run = tokio::spawn(simulate::<H>(seed)).await;
        assert!(run.is_ok(), "repeat with NEOFN_SIM_SEED={seed}");
    }
}

struct World<H: Harness> {
    harness: H,
    store: H::Store,
    f: FunctionKey,
    trigger: TriggerId,
    dice: Dice,
    now: i64,
    /// The lane of each invocation.
    ids: BTreeMap<InvocationId, &'static str>,
    /// What came, by lane.
    came: BTreeMap<&'static str, Vec<String>>,
    /// What ended for good, by lane.
    ended: BTreeMap<String, Vec<String>>,
    /// Claims that somebody works on, also after they were lost.
    held: Vec<Claimed>,
}

fn event_of(claim: &Claimed) -> (String, String) {
    let event: serde_json::Value = serde_json::from_slice(&claim.event).unwrap();
    let id = event["id"].as_str().unwrap().to_owned();
    (id.split('-').next().unwrap().to_owned(), id)
}

impl<H: Harness> World<H> {
    async fn deliver(&mut self) {
        let lane = LANES[usize::try_from(self.dice.below(3)).unwrap()];
        let seen = self.came.entry(lane).or_default();
        let again = !seen.is_empty() && self.dice.below(4) == 0;
        let event = if again {
            seen[usize::try_from(self.dice.below(u64::try_from(seen.len()).unwrap())).unwrap()].clone()
        } else {
            seen.push(format!("{lane}-{}", seen.len()));
            seen.last().unwrap().clone()
        };
        let mut all = deliver(vec![held(&self.trigger, &event, lane)]);
        all.at = UnixMillis(self.now);
        for delivered in self.store.deliver(all).await.unwrap() {
            self.ids.insert(delivered.id, lane);
        }
    }
    /// Two nodes at the same moment.
    async fn release(&mut self) {
        let now = UnixMillis(self.now);
        let both = tokio::join!(self.store.release_due(now, 10), self.store.release_due(now, 10));
        let _ = (both.0.unwrap(), both.1.unwrap());
    }
    async fn claim(&mut self) {
        let now = UnixMillis(self.now);
        let claims = self.store.claim(now, LEASE, 8, &Rooms::default()).await.unwrap();
        self.held.extend(claims);
    }
    /// Ends a claim, which may be another's by now; some ends are sent twice.
    async fn finish(&mut self, well: bool) {
        let Some(claim) = self.dice.pick(&mut self.held) else {
            return;
        };
        let outcome = match self.dice.below(4) {
            0 if !well => Outcome::Retry {
                at: UnixMillis(self.now + 1_000),
                failure: failure(),
            },
            1 if !well => Outcome::Dead(failure()),
            _ => ok(),
        };
        let last = !matches!(outcome, Outcome::Retry { .. });
        for _ in 0..1 + self.dice.below(2) {
            let end = finish(claim.id, claim.fence, outcome.clone(), self.now);
            if self.store.finish(end).await.is_ok() && last {
                let (lane, event) = event_of(&claim);
                self.ended.entry(lane).or_default().push(event);
            }
        }
    }
    async fn check(&self) {
        let mut under_way: BTreeMap<&str, Vec<InvocationId>> = BTreeMap::new();
        let all = rows(&self.store, &self.f).await;
        for row in all
            .iter()
            .filter(|r| matches!(r.status, Status::Queued | Status::Running))
        {
            under_way.entry(self.ids[&row.id]).or_default().push(row.id);
        }
        for (lane, rows) in under_way {
            assert!(
                rows.len() <= 1,
                "of lane {lane} these are under way at once: {rows:?}"
            );
        }
        for (lane, ended) in &self.ended {
            let came = &self.came[&**lane];
            assert_eq!(
                ended[..],
                came[..ended.len()],
                "lane {lane} is out of order, or repeated"
            );
        }
    }
    async fn trouble(mut self) -> Self {
        match self.dice.below(16) {
            0..=3 => self.deliver().await,
            4..=6 => self.release().await,
            7..=9 => self.claim().await,
            10..=12 => self.finish(false).await,
            13 => {
                // those who had them go on all the same
                let later = UnixMillis(self.now).plus(LEASE);
                self.store.requeue_expired(later).await.unwrap();
            }
            14 => {
                self.harness.stop(self.store).await;
                self.store = self.harness.open().await;
            }
            _ => self.now += [3_600_000, -20_000, 1_000][usize::try_from(self.dice.below(3)).unwrap()],
        }
        self
    }
    /// Nothing goes wrong any more: everything that came ends, each once and in its order.
    async fn settle(mut self) {
        for _ in 0..400 {
            self.now += 40_000;
            self.store.requeue_expired(UnixMillis(self.now)).await.unwrap();
            self.release().await;
            self.held.clear();
            self.claim().await;
            while !self.held.is_empty() {
                self.finish(true).await;
            }
            self.check().await;
            let ended: usize = self.ended.values().map(Vec::len).sum();
            if ended == self.came.values().map(Vec::len).sum::<usize>() {
                break;
            }
        }
        for (lane, came) in &self.came {
            assert_eq!(self.ended.get(*lane), Some(came), "lane {lane} stands still");
        }
        self.harness.stop(self.store).await;
    }
}

async fn simulate<H: Harness + 'static>(seed: u64) {
    let (harness, store, f, trigger) = ready::<H>().await;
    let mut world = World {
        harness,
        store,
        f,
        trigger,
        dice: Dice::new(seed),
        now: 10_000_000,
        ids: BTreeMap::new(),
        came: BTreeMap::new(),
        ended: BTreeMap::new(),
        held: Vec::new(),
    };
    for _ in 0..STEPS {
        world = world.trouble().await;
        world.check().await;
    }
    world.settle().await;
}
