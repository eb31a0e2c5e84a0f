//! Several schedulers on one queue, driven by a seed through crashes, lost claims, late ends, duplicates, jumps of
//! the clock and slow nodes. What must hold, always: no cap is passed, nothing ends twice, and once the trouble
//! stops, everything accepted has ended.
//!
//! `NEOFN_SIM_SEED=42 cargo test -p neofn-sched` repeats one seed, `NEOFN_SIM_SEEDS=100000` runs many.

use neofn_sched::{Backoff, BreakerRule, Caps, Go, Health, Next, Scheduler, Share, Wait};
use neofn_types::{Attempt, Retry, UnixMillis};
use std::collections::BTreeMap;
use std::time::Duration;

const BREAKER: BreakerRule = BreakerRule {
    failures: 3,
    pause: Duration::from_secs(5),
    pause_max: Duration::from_secs(60),
};
const SEEDS_IN_CI: u64 = 300;
const LEASE_MS: i64 = 30_000;
const AGE_MAX_MS: i64 = 3_600_000;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Queued { due: i64 },
    Claimed { until: i64 },
    Ended,
}

/// A row of the queue, as a store keeps it.
#[derive(Debug)]
struct Row {
    project: u64,
    function: u64,
    created: i64,
    state: State,
    fence: u64,
    attempt: u32,
    /// Ends that the store took.
    ends: u32,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    id: usize,
    fence: u64,
    attempt: u32,
}

struct Run {
    claim: Claim,
    project: u64,
    function: u64,
    ends_at: i64,
    share: Share,
}

struct Node {
    scheduler: Scheduler<u64, u64, Claim>,
    runs: Vec<Run>,
    /// Renews no leases: its claims are taken from it while it works on.
    stuck: bool,
}

struct World {
    dice: Dice,
    now: i64,
    caps: Caps,
    concurrency: BTreeMap<u64, u32>,
    rows: Vec<Row>,
    nodes: Vec<Option<Node>>,
    backoff: Backoff,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let caps = Caps {
            node: 1 + dice.below(8) as u32,
            project: 1 + dice.below(6) as u32,
            queue: 1 + dice.below(6) as u32,
        };
        let concurrency = (0..6).map(|f| (f, 1 + dice.below(4) as u32)).collect();
        let nodes = (0..1 + dice.below(3)).map(|_| None).collect();
        let mut world = Self {
            dice,
            now: 1_000_000,
            caps,
            concurrency,
            rows: Vec::new(),
            nodes,
            backoff: Backoff::default(),
        };
        for n in 0..world.nodes.len() {
            world.boot(n);
        }
        world
    }
    fn boot(&mut self, n: usize) {
        self.nodes[n] = Some(Node {
            scheduler: Scheduler::new(self.caps, BREAKER),
            runs: Vec::new(),
            stuck: false,
        });
    }
    fn submit(&mut self) {
        let function = self.dice.below(6);
        self.rows.push(Row {
            project: function % 3,
            function,
            created: self.now,
            state: State::Queued { due: self.now },
            fence: 0,
            attempt: 0,
            ends: 0,
        });
    }
    /// A node looks at the queue; what is due comes in any order.
    fn dispatch(&mut self, n: usize) {
        let Some(node) = self.nodes[n].as_mut() else {
            return;
        };
        let mut due: Vec<usize> = (0..self.rows.len())
            .filter(|i| match self.rows[*i].state {
                State::Queued { due } => due <= self.now,
                State::Claimed { until } => until <= self.now,
                State::Ended => false,
            })
            .collect();
        for i in (1..due.len()).rev() {
            due.swap(i, self.dice.below(i as u64 + 1) as usize);
        }
        for id in due.into_iter().take(node.scheduler.appetite() as usize) {
            let row = &mut self.rows[id];
            row.fence += 1;
            row.attempt += 1;
            row.state = State::Claimed {
                until: self.now + LEASE_MS,
            };
            let claim = Claim {
                id,
                fence: row.fence,
                attempt: row.attempt,
            };
            let max = self.concurrency[&row.function];
            let expires = UnixMillis(row.created + AGE_MAX_MS);
            node.scheduler
                .offer(&row.project, &row.function, max, expires, claim);
        }
        let mut late = Vec::new();
        let now = UnixMillis(self.now);
        loop {
            let paused: Vec<u64> = node.scheduler.paused(now).map(|(_, f, _)| *f).collect();
            let Some(go) = node.scheduler.next(now) else { break };
            match go {
                Go::Start(claim) => {
                    let row = &self.rows[claim.id];
                    assert!(!paused.contains(&row.function), "started while held back");
                    node.runs.push(Run {
                        claim,
                        project: row.project,
                        function: row.function,
                        ends_at: self.now + self.dice.below(40_000) as i64,
                        share: Share::Queue,
                    });
                }
                Go::Expired(claim) => late.push(claim),
            }
        }
        for claim in late {
            assert!(
                self.rows[claim.id].created + AGE_MAX_MS <= self.now,
                "expired too early"
            );
            let _ = self.end(claim, true);
        }
    }
    /// A caller who waits takes a slot or is refused.
    fn call(&mut self, n: usize) {
        let function = self.dice.below(6);
        let share = if self.dice.one_in(3) {
            Share::Callers
        } else {
            Share::Own
        };
        let Some(node) = self.nodes[n].as_mut() else {
            return;
        };
        let (project, max) = (function % 3, self.concurrency[&function]);
        if node.scheduler.take(&project, &function, max, share).is_ok() {
            node.runs.push(Run {
                claim: Claim {
                    id: usize::MAX,
                    fence: 0,
                    attempt: 0,
                },
                project,
                function,
                ends_at: self.now + self.dice.below(5_000) as i64,
                share,
            });
        }
    }
    /// Writes an end; refused when another claim came after this one. Sent twice at times, as after a lost answer.
    fn end(&mut self, claim: Claim, for_good: bool) -> Health {
        let mut health = Health::Unknown;
        for _ in 0..1 + u32::from(self.dice.one_in(8)) {
            let row = &mut self.rows[claim.id];
            if row.fence != claim.fence || !matches!(row.state, State::Claimed { .. }) {
                continue;
            }
            let retry = if for_good || !self.dice.one_in(3) {
                Retry::Never
            } else {
                Retry::Later
            };
            health = match retry {
                Retry::Never => Health::Good,
                Retry::Later => Health::Bad,
            };
            match self.backoff.next(retry, Attempt(claim.attempt), self.dice.roll()) {
                Next::After(delay) => {
                    let due = self.now + i64::try_from(delay.as_millis()).unwrap();
                    row.state = State::Queued { due };
                }
                Next::Fail | Next::Dead => {
                    row.state = State::Ended;
                    row.ends += 1;
                }
            }
        }
        health
    }
    /// Runs that are over end, slots come back, leases of those that go on are renewed.
    fn work(&mut self, n: usize) {
        let Some(mut node) = self.nodes[n].take() else {
            return;
        };
        let (over, on): (Vec<Run>, Vec<Run>) = node.runs.into_iter().partition(|r| r.ends_at <= self.now);
        node.runs = on;
        for run in over {
            node.scheduler.give_back(&run.project, &run.function, run.share);
            if run.share == Share::Queue {
                let health = self.end(run.claim, false);
                let now = UnixMillis(self.now);
                node.scheduler.ended(&run.project, &run.function, health, now);
            }
        }
        if !node.stuck {
            for run in node.runs.iter().filter(|r| r.share == Share::Queue) {
                let row = &mut self.rows[run.claim.id];
                if row.fence == run.claim.fence
                    && let State::Claimed { until } = &mut row.state
                {
                    *until = self.now + LEASE_MS;
                }
            }
        }
        self.nodes[n] = Some(node);
    }
    fn drain(&mut self, n: usize) {
        let Some(mut node) = self.nodes[n].take() else {
            return;
        };
        for claim in node.scheduler.drain() {
            let row = &mut self.rows[claim.id];
            if row.fence == claim.fence && matches!(row.state, State::Claimed { .. }) {
                row.state = State::Queued { due: self.now };
                row.attempt -= 1;
            }
        }
        assert!(node.scheduler.next(UnixMillis(self.now)).is_none());
        assert_eq!(
            node.scheduler.explain(&0, &0, 1, UnixMillis(self.now)),
            Wait::Draining
        );
        self.nodes[n] = Some(node);
    }
    fn trouble(&mut self) {
        let n = self.dice.below(self.nodes.len() as u64) as usize;
        match self.dice.below(24) {
            0 => self.nodes[n] = None, // kill -9: claims and runs are gone, the rows know nothing of it
            1 | 2 if self.nodes[n].is_none() => self.boot(n),
            3 => {
                if let Some(node) = &mut self.nodes[n] {
                    node.stuck = !node.stuck;
                }
            }
            4 => self.now += 600_000,
            5 => self.now -= 20_000,
            6 if self.dice.one_in(4) => {
                self.drain(n);
                self.nodes[n] = None;
            }
            7..=11 => self.submit(),
            12..=14 => self.call(n),
            15..=18 => self.dispatch(n),
            19..=21 => self.work(n),
            _ => self.now += self.dice.below(3_000) as i64,
        }
    }
    fn check(&self) {
        for row in &self.rows {
            assert!(row.ends <= 1, "ended twice: {row:?}");
        }
        for node in self.nodes.iter().flatten() {
            let count = |of: &dyn Fn(&Run) -> bool| node.runs.iter().filter(|r| of(r)).count() as u32;
            let own = |r: &Run| r.share != Share::Callers;
            assert!(count(&own) <= self.caps.node, "node");
            assert!(count(&|r| r.share == Share::Queue) <= self.caps.queue, "queue");
            for project in 0..3 {
                assert!(
                    count(&|r| own(r) && r.project == project) <= self.caps.project,
                    "project"
                );
            }
            for (function, max) in &self.concurrency {
                assert!(count(&|r| r.function == *function) <= *max, "function");
                let running = node.scheduler.slots().running(&(function % 3), function);
                assert_eq!(running, count(&|r| r.function == *function), "slots kept in mind");
            }
        }
    }
    /// No more trouble: time passes and nodes work.
    fn settle(&mut self) {
        for n in 0..self.nodes.len() {
            self.boot(n);
        }
        for _ in 0..4_000 {
            if self.rows.iter().all(|r| r.state == State::Ended) {
                break;
            }
            self.now += 5_000;
            for n in 0..self.nodes.len() {
                self.work(n);
                self.dispatch(n);
            }
            self.check();
        }
        for row in &self.rows {
            assert_eq!((row.state, row.ends), (State::Ended, 1), "lost: {row:?}");
        }
        for node in self.nodes.iter_mut().flatten() {
            node.runs.clear();
        }
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..300 {
        world.trouble();
        world.check();
    }
    world.settle();
}

#[test]
fn whatever_happens_each_ends_once_and_no_cap_is_passed() {
    if let Ok(seed) = std::env::var("NEOFN_SIM_SEED") {
        return simulate(seed.parse().expect("a number"));
    }
    let seeds = std::env::var("NEOFN_SIM_SEEDS").map_or(SEEDS_IN_CI, |n| n.parse().expect("a number"));
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "repeat with NEOFN_SIM_SEED={seed}");
    }
}

#[test]
fn a_flood_of_one_project_delays_another_by_one_turn_only() {
    let caps = Caps {
        node: 1,
        project: 1,
        queue: 1,
    };
    let mut scheduler = Scheduler::new(caps, BreakerRule::default());
    let never = UnixMillis(i64::MAX);
    for n in 0..1_000 {
        scheduler.offer(&"loud", &"f", 9, never, n);
    }
    scheduler.offer(&"quiet", &"g", 9, never, 1_000);
    let mut order = Vec::new();
    for _ in 0..3 {
        let Some(Go::Start(n)) = scheduler.next(UnixMillis(0)) else {
            panic!("nothing starts")
        };
        let project = if n == 1_000 { "quiet" } else { "loud" };
        assert!(matches!(
            scheduler.explain(&"loud", &"f", 9, UnixMillis(0)),
            Wait::Full { max: 1, .. }
        ));
        scheduler.give_back(&project, if n == 1_000 { &"g" } else { &"f" }, Share::Queue);
        order.push(n);
    }
    assert_eq!(order, [0, 1_000, 1]);
    assert!(Backoff::default().cap(Attempt(1)) <= Duration::from_secs(1));
}
