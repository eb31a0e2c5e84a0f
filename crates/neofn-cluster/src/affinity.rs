//! Where runs go, driven by a seed: workers that die, come back under their names, go in order, fall silent and speak late, in
//! another order or twice. What must hold with every run: it goes to the first in its function's order that has a core for it, or
//! no more than a quarter beyond its share of all runs; one's own runs are counted exactly; and where others live is no worker's affair.
//!
//! `NEOFN_SIM_SEED=42 cargo test -p neofn-cluster affinity` repeats one seed, `NEOFN_SIM_SEEDS=100000` runs many.
#![allow(
    clippy::cast_possible_truncation,
    reason = "all numbers of the simulation are small"
)]

use crate::beat::{Beat, Role, Seat};
use crate::members::{Members, weight};
use crate::wire::PROTOCOL;
use neofn_runtime::port::RuntimeStatus;
use neofn_testkit::sim::Dice;
use neofn_types::{Digest, RuntimeKind, UnixMillis};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SEEDS_IN_CI: u64 = 200;
const FUNCTIONS: u64 = 12;

/// A run of ours.
struct Run {
    worker: String,
    gone: CancellationToken,
}

struct World {
    dice: Dice,
    now: Duration,
    members: Members,
    /// Each as it is; none: it is down.
    workers: Vec<(Beat, bool)>,
    /// What they said, and is still on its way.
    late: Vec<Beat>,
    runs: Vec<Run>,
}

fn engine(n: u64) -> Digest {
    Digest::of(&n.to_le_bytes())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let workers = (0..2 + dice.below(4))
            .map(|n| {
                let engines = 1 + dice.below(2);
                let cores = 1 + dice.below(4) as u32;
                let seat = Seat {
                    id: format!("w{n}"),
                    role: Role::Worker,
                    host: String::new(),
                    pid: 1,
                    version: String::new(),
                    protocol: if dice.one_in(8) { PROTOCOL + 1 } else { PROTOCOL },
                    started_at: UnixMillis(0),
                    jail: String::new(),
                    insecure: false,
                    enclave: None,
                    engines: (0..engines).map(|n| (RuntimeKind::Js, engine(n))).collect(),
                    cores,
                    memory_bytes: 0,
                    runs_max: cores * (1 + dice.below(4) as u32),
                };
                let beat = Beat {
                    seat,
                    running: 0,
                    runs: 0,
                    draining: false,
                    sandboxes: RuntimeStatus {
                        children: 1,
                        ..RuntimeStatus::default()
                    },
                    warm: Vec::new(),
                };
                (beat, true)
            })
            .collect();
        Self {
            dice,
            now: Duration::ZERO,
            members: Members::default(),
            workers,
            late: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Runs that are over for us: their worker is gone, and whoever waited was told.
    fn drop_lost(&mut self) {
        let (lost, there): (Vec<Run>, Vec<Run>) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition(|run| run.gone.is_cancelled());
        self.runs = there;
        // told a moment later than it is lost, when the same name may be there again
        for run in lost {
            self.members.ended(&run.worker, &run.gone);
        }
    }

    fn trouble(&mut self) {
        let n = self.dice.below(self.workers.len() as u64) as usize;
        match self.dice.below(20) {
            0 => self.workers[n].1 = false,
            1 => {
                // another process under the same name
                let (beat, up) = &mut self.workers[n];
                beat.seat.started_at = UnixMillis(beat.seat.started_at.0 + 1);
                (beat.draining, beat.running, *up) = (false, 0, true);
            }
            2 => self.workers[n].0.draining = true,
            3 => self.now += Duration::from_millis(self.dice.below(5_000)),
            4 => {
                for id in self.members.sweep(self.now).silent {
                    assert!(!self.members.lose(&id), "{id} was gone");
                }
                if self.dice.one_in(2) {
                    self.drop_lost();
                }
            }
            5 => {
                let id = self.workers[n].0.seat.id.clone();
                self.members.lose(&id);
            }
            // others' runs
            6 => {
                let beat = &mut self.workers[n].0;
                beat.running = self.dice.below(u64::from(beat.seat.runs_max) + 1) as u32;
            }
            7..=10 if self.workers[n].1 => {
                let beat = self.workers[n].0.clone();
                if self.dice.one_in(3) {
                    self.late.push(beat);
                } else {
                    self.members.hear(beat, self.now);
                }
            }
            11 if !self.late.is_empty() => {
                let which = self.dice.below(self.late.len() as u64) as usize;
                let beat = if self.dice.one_in(2) {
                    self.late.swap_remove(which)
                } else {
                    self.late[which].clone()
                };
                self.members.hear(beat, self.now);
            }
            12..=16 => self.run(),
            17 | 18 if !self.runs.is_empty() => {
                let which = self.dice.below(self.runs.len() as u64) as usize;
                let run = self.runs.swap_remove(which);
                self.members.ended(&run.worker, &run.gone);
            }
            _ => self.drop_lost(),
        }
    }

    fn run(&mut self) {
        let function = format!("p/f{}", self.dice.below(FUNCTIONS));
        let engine = engine(self.dice.below(2));
        let without: Vec<String> = (0..self.dice.below(2))
            .map(|_| format!("w{}", self.dice.below(6)))
            .collect();
        let load = |m: &crate::members::Member| m.beat.running.max(m.ours);
        let before = self.members.list();
        let able: Vec<_> = before
            .iter()
            .filter(|m| {
                let seat = &m.beat.seat;
                let fits = seat.protocol == PROTOCOL && seat.engines.iter().any(|(_, e)| *e == engine);
                fits && !m.beat.draining && load(m) < seat.runs_max && !without.contains(&seat.id)
            })
            .collect();
        let Some((id, gone)) = self.members.choose(&function, &engine, &without) else {
            assert!(able.is_empty(), "nobody was found, though {able:?} could");
            return;
        };
        let chosen = able.iter().find(|m| m.beat.seat.id == id).expect("it is able to");
        let runs: u32 = able.iter().map(|m| load(m)).sum::<u32>() + 1;
        let cores: u32 = able.iter().map(|m| m.beat.seat.cores).sum();
        // a core that is free, or a quarter more than its share of all runs
        let has_room = |m: &crate::members::Member| {
            let share = f64::from(runs) * f64::from(m.beat.seat.cores) / f64::from(cores);
            load(m) < m.beat.seat.cores || f64::from(load(m)) < 1.25 * share
        };
        assert!(has_room(chosen), "{id} does more than its share");
        let before = |m: &crate::members::Member| weight(&function, &m.beat.seat.id) > weight(&function, &id);
        for passed in able.iter().filter(|m| before(m)) {
            assert!(
                !has_room(passed),
                "{} comes first and has room",
                passed.beat.seat.id
            );
        }
        self.runs.push(Run { worker: id, gone });
    }

    fn check(&self) {
        let mut ours: BTreeMap<&str, u32> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| !run.gone.is_cancelled()) {
            *ours.entry(&run.worker).or_default() += 1;
        }
        let all = self.members.list();
        for member in &all {
            let id = &*member.beat.seat.id;
            assert_eq!(member.ours, ours.remove(id).unwrap_or(0), "{id} is counted wrong");
        }
        assert!(ours.is_empty(), "runs on workers that are not there: {ours:?}");
        // each function's home is the one that says so among those who could ever take it, whoever else comes or goes
        for n in 0..FUNCTIONS {
            let (function, engine) = (format!("p/f{n}"), engine(n % 2));
            let could = all.iter().filter(|m| {
                let seat = &m.beat.seat;
                let fits = seat.protocol == PROTOCOL && seat.engines.iter().any(|(_, e)| *e == engine);
                fits && !m.beat.draining
            });
            let home = could.max_by_key(|m| weight(&function, &m.beat.seat.id));
            assert_eq!(
                self.members.home(&function, &engine),
                home.map(|m| m.beat.seat.id.clone())
            );
        }
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..400 {
        world.trouble();
        world.check();
    }
}

#[test]
fn runs_go_home_while_there_is_room_and_overflow_in_their_order() {
    neofn_testkit::sim::simulate(SEEDS_IN_CI, simulate);
}
