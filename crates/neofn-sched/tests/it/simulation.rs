//! Several schedulers on one queue, driven by a seed through crashes, lost claims, late ends, duplicates, jumps of
//! the clock and slow nodes, while instances come and go as the load asks for. What must hold, always: no cap is passed,
//! nothing ends twice, there are never fewer instances than the minimum wanted nor more than the maximum, and what was wanted
//! is given up only after a calm; and once the trouble stops, everything accepted has ended, and the minimum is left.
//!
//! `NEOFN_SIM_SEED=42 cargo test -p neofn-sched` repeats one seed, `NEOFN_SIM_SEEDS=100000` runs many.

use neofn_sched::{
    Backoff, BreakerRule, Caps, Go, Health, Load, Next, Scale, ScaleRule, Scheduler, Share, Wait,
};
use neofn_testkit::sim::Dice;
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
const CALM_MS: i64 = 60_000;

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
    began_at: i64,
    ends_at: i64,
    share: Share,
}

/// What makes instances: follows what is wanted, as an orchestrator of containers does.
struct Fleet {
    scale: Scale,
    rule: ScaleRule,
    /// Runs at once of an instance.
    each: u32,
    ended: u64,
    spent: Duration,
    wanted: u32,
    /// When it was last raised, or began anew; of the monotonic clock.
    raised_at: i64,
}

impl Fleet {
    fn new(dice: &mut Dice, each: u32) -> Self {
        let (min, more) = (1 + dice.below(2) as u32, dice.below(3) as u32);
        let rule = ScaleRule {
            min: min * each,
            max: (min + more) * each,
            calm: Duration::from_millis(CALM_MS as u64),
            ..ScaleRule::default()
        };
        Self {
            scale: Scale::new(rule),
            rule,
            each,
            ended: 0,
            spent: Duration::ZERO,
            wanted: rule.min,
            raised_at: 0,
        }
    }
    /// The one that looks died; its successor knows nothing.
    fn begin_anew(&mut self, mono: i64) {
        self.scale = Scale::new(self.rule);
        (self.wanted, self.raised_at) = (self.rule.min, mono);
        (self.ended, self.spent) = (0, Duration::ZERO);
    }
    /// How many instances there should be.
    fn look(&mut self, waiting: u64, running: u64, mono: i64) -> usize {
        let load = Load {
            waiting,
            running,
            ended: self.ended,
            spent: self.spent,
        };
        let now = Duration::from_millis(u64::try_from(mono).expect("it does not go back"));
        let wanted = self.scale.look(load, now);
        assert!(
            (self.rule.min..=self.rule.max).contains(&wanted),
            "{wanted} wanted"
        );
        if wanted > self.wanted {
            self.raised_at = mono;
        }
        if wanted < self.wanted {
            let calm = mono - self.raised_at;
            assert!(calm >= CALM_MS, "given up {calm} ms after it was wanted");
        }
        self.wanted = wanted;
        wanted.div_ceil(self.each) as usize
    }
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
    /// Goes on whatever happens to `now`.
    mono: i64,
    fleet: Fleet,
    caps: Caps,
    concurrency: BTreeMap<u64, u32>,
    rows: Vec<Row>,
    nodes: Vec<Option<Node>>,
    backoff: Backoff,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let caps = Caps {
            node: 1 + dice.below(8) as u32,
            project: 1 + dice.below(6) as u32,
            queue: 1 + dice.below(6) as u32,
        };
        let concurrency = (0..6).map(|f| (f, 1 + dice.below(4) as u32)).collect();
        let fleet = Fleet::new(&mut dice, caps.queue);
        let nodes = (0..fleet.rule.max / caps.queue).map(|_| None).collect();
        let mut world = Self {
            dice,
            now: 1_000_000,
            mono: 0,
            fleet,
            caps,
            concurrency,
            rows: Vec::new(),
            nodes,
            backoff: Backoff::default(),
        };
        world.follow();
        world
    }
    /// Time goes by.
    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.mono += ms;
    }
    fn instances(&self) -> usize {
        self.nodes.iter().flatten().count()
    }
    /// As many instances as are wanted: new ones begin, and those that are too many go in order.
    fn follow(&mut self) {
        let waiting = self
            .rows
            .iter()
            .filter(|r| matches!(r.state, State::Queued { .. }));
        let running: usize = self.nodes.iter().flatten().map(|node| node.runs.len()).sum();
        let wanted = self.fleet.look(waiting.count() as u64, running as u64, self.mono);
        for n in 0..self.nodes.len() {
            let there = self.instances();
            if there < wanted && self.nodes[n].is_none() {
                self.boot(n);
            } else if there > wanted && self.nodes[n].is_some() {
                self.drain(n);
                self.nodes[n] = None;
            }
        }
        assert_eq!(self.instances(), wanted);
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
                        began_at: self.mono,
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
                began_at: self.mono,
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
            let took =
                Duration::from_millis(u64::try_from(self.mono - run.began_at).expect("it does not go back"));
            self.fleet.ended += 1;
            self.fleet.spent += took;
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
        match self.dice.below(26) {
            0 => self.nodes[n] = None, // kill -9: claims and runs are gone, the rows know nothing of it
            1 | 2 => self.follow(),
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
            22 if self.dice.one_in(8) => self.fleet.begin_anew(self.mono),
            23 => self.pass(20_000),
            _ => {
                let ms = self.dice.below(3_000) as i64;
                self.pass(ms);
            }
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
    /// No more trouble: time passes, nodes work, and there are as many as are wanted.
    fn settle(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            node.stuck = false;
        }
        let mut most = 0;
        for _ in 0..4_000 {
            if self.rows.iter().all(|r| r.state == State::Ended) {
                break;
            }
            self.pass(5_000);
            self.follow();
            most = most.max(self.instances());
            for n in 0..self.nodes.len() {
                self.work(n);
                self.dispatch(n);
            }
            self.check();
        }
        for row in &self.rows {
            assert_eq!((row.state, row.ends), (State::Ended, 1), "lost: {row:?}");
        }
        // twice the calm: one to see that less would have done, one more for what ended last
        let min = (self.fleet.rule.min / self.fleet.each) as usize;
        for _ in 0..=2 * CALM_MS / 5_000 + 10 {
            self.pass(5_000);
            for n in 0..self.nodes.len() {
                self.work(n);
            }
            self.follow();
        }
        assert_eq!(self.instances(), min, "idle instances stay");
        assert!(most >= min);
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
    neofn_testkit::sim::simulate(SEEDS_IN_CI, simulate);
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
