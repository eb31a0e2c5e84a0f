//! Which nodes are there, and which worker gets a run. Does no I/O and reads no clock.

use crate::beat::{Beat, Role, SILENCE_MAX};
use crate::wire::PROTOCOL;
use neofn_types::{Digest, RuntimeKind, UnixMillis};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most nodes remembered; beyond it those that come are not seen.
const NODES_MAX: usize = 4_096;
/// A node that moves to another NATS server listens to nobody for a moment. Beyond this it is gone.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(2);
/// Runs in a row that came to nothing at a worker, after which it gets none for a while; then one more decides.
const FAULTS_MAX: u32 = 5;
const REST: Duration = Duration::from_secs(10);

/// Which process: when it started, and its number.
type Start = (UnixMillis, u32);

fn start(beat: &Beat) -> Start {
    (beat.seat.started_at, beat.seat.pid)
}

/// A process that has the name of an older one. It is not listened to.
#[derive(Debug, Clone)]
struct Rival {
    start: Start,
    host: String,
    heard: Duration,
}

impl Rival {
    fn of(beat: &Beat, heard: Duration) -> Self {
        Self {
            start: start(beat),
            host: beat.seat.host.clone(),
            heard,
        }
    }
}

/// What a node's word changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It was not known before.
    pub(crate) came: bool,
    /// There is a place for work that there was not before.
    pub(crate) room: bool,
    /// Two processes were found to have its name.
    pub(crate) doubled: Option<String>,
}

/// What a look at the time changed.
pub(crate) struct Swept {
    /// Those that are gone.
    pub(crate) silent: Vec<String>,
    /// Somebody may be tried again.
    pub(crate) rested: bool,
}

/// A node as this one sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it said last.
    pub beat: Beat,
    /// Our own runs there at the moment.
    pub ours: u32,
    pub(crate) heard: Duration,
    /// Since when nobody listens to what it is sent.
    unheeded: Option<Duration>,
    /// Runs in a row of which no answer came, or none that could be.
    faults: u32,
    /// It gets no runs until then.
    rests: Option<Duration>,
    /// The process that had its name before.
    before: Option<Start>,
    /// Another process that has its name now.
    rival: Option<Rival>,
    /// Cancelled when it is gone.
    pub(crate) gone: CancellationToken,
}

impl Member {
    /// Runs there as far as is known: its own word is up to a second old, ours is not.
    fn load(&self) -> u32 {
        self.beat.running.max(self.ours)
    }
    fn cores(&self) -> u64 {
        self.beat.seat.cores.max(1).into()
    }
    /// A worker with which we work together, and that has one of these engines.
    fn suits<'a>(&self, engines: impl IntoIterator<Item = &'a Digest>) -> bool {
        let seat = &self.beat.seat;
        seat.role == Role::Worker
            && seat.protocol == PROTOCOL
            && engines.into_iter().any(|engine| self.has(engine))
    }
    fn takes(&self, engine: &Digest) -> bool {
        self.suits([engine]) && !self.is_full() && self.idle().is_none()
    }
    /// Why it gets no runs for the moment, though it has room; none when it does.
    #[must_use]
    pub fn idle(&self) -> Option<&'static str> {
        match self {
            _ if self.beat.seat.role != Role::Worker => None,
            _ if self.beat.sandboxes.children == 0 => Some("no sandbox process is there"),
            Self {
                unheeded: Some(_), ..
            } => Some("nobody listens for it"),
            Self { rests: Some(_), .. } => Some("its last runs came to nothing"),
            _ => None,
        }
    }
    /// Whether it does as much as it may, or goes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.beat.draining || self.load() >= self.beat.seat.runs_max
    }
    /// What to tell an operator when two processes have its name.
    #[must_use]
    pub fn doubled(&self) -> Option<String> {
        let (seat, rival) = (&self.beat.seat, self.rival.as_ref()?);
        Some(format!(
            "two nodes are called {}: {} pid {} and, started later, {} pid {}: end the later one, or give it a name of its own \
             (`neofn worker --name`)",
            seat.id, seat.host, seat.pid, rival.host, rival.start.1
        ))
    }
    fn has(&self, engine: &Digest) -> bool {
        self.beat.seat.engines.iter().any(|(_, e)| e == engine)
    }

    /// Whether a gateway with these engines gives it runs at all.
    #[must_use]
    pub fn fits(&self, engines: &[(RuntimeKind, Digest)]) -> bool {
        self.suits(engines.iter().map(|(_, engine)| engine))
    }

    /// Why a gateway with these engines never gives it a run, however long it waits; none when it does.
    #[must_use]
    pub fn misfit(&self, engines: &[(RuntimeKind, Digest)]) -> Option<String> {
        let seat = &self.beat.seat;
        if seat.role != Role::Worker || self.fits(engines) {
            return None;
        }
        if seat.protocol != PROTOCOL {
            return Some(format!(
                "it speaks protocol {} (neofn {}), this gateway {PROTOCOL}",
                seat.protocol, seat.version
            ));
        }
        let kinds: Vec<String> = engines.iter().map(|(kind, _)| kind.to_string()).collect();
        Some(format!(
            "it has another engine for {} (neofn {})",
            kinds.join(" and "),
            seat.version
        ))
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Members(BTreeMap<String, Member>);

impl Members {
    /// A node said that it is there.
    pub(crate) fn hear(&mut self, beat: Beat, now: Duration) -> Heard {
        let id = beat.seat.id.clone();
        let came = !self.0.contains_key(&id);
        let (start, mut before, mut rival) = (start(&beat), None, None);
        if let Some(member) = self.0.get_mut(&id) {
            let there = self::start(&member.beat);
            if there == start {
                let room = member.beat.draining && !beat.draining
                    || member.beat.running > beat.running
                    || member.beat.sandboxes.children < beat.sandboxes.children
                    || member.unheeded.is_some();
                member.beat = beat;
                member.heard = now;
                member.unheeded = None;
                return Heard {
                    room,
                    ..Heard::default()
                };
            }
            if let Some(known) = member.rival.as_mut().filter(|rival| rival.start == start) {
                known.heard = now;
                return Heard::default();
            }
            if member.before == Some(start) {
                // who was taken for gone is there still: two have the name, and the older one keeps it
                if there < start {
                    member.rival = Some(Rival::of(&beat, now));
                    let doubled = member.doubled();
                    return Heard {
                        doubled,
                        ..Heard::default()
                    };
                }
                rival = Some(Rival::of(&member.beat, now));
            } else {
                before = Some(there);
            }
            // started anew under its name: what the one before had in hand is lost
            self.lose(&id);
        }
        if self.0.len() >= NODES_MAX {
            return Heard::default();
        }
        let member = Member {
            beat,
            ours: 0,
            heard: now,
            unheeded: None,
            faults: 0,
            rests: None,
            before,
            rival,
            gone: CancellationToken::new(),
        };
        let doubled = member.doubled();
        self.0.insert(id, member);
        Heard {
            came,
            room: true,
            doubled,
        }
    }

    /// This node hears again: the silence before was its own, as were the answers that did not come.
    pub(crate) fn listen(&mut self, now: Duration) {
        for member in self.0.values_mut() {
            member.heard = now;
            (member.faults, member.rests) = (0, None);
            if let Some(rival) = &mut member.rival {
                rival.heard = now;
            }
        }
    }

    /// How a run ended at a worker: with an answer, or with none that could be. Whether the worker gets no more for a while.
    pub(crate) fn ran(&mut self, id: &str, answered: bool, now: Duration) -> bool {
        let Some(member) = self.0.get_mut(id) else {
            return false;
        };
        if answered {
            (member.faults, member.rests) = (0, None);
            return false;
        }
        member.faults = member.faults.saturating_add(1);
        if member.faults < FAULTS_MAX {
            return false;
        }
        member.rests.replace(now.saturating_add(REST)).is_none()
    }

    /// Takes out those that are silent. Those that have rested are tried again.
    pub(crate) fn sweep(&mut self, now: Duration) -> Swept {
        let silent = |m: &Member| now.saturating_sub(m.heard) > SILENCE_MAX;
        let mut swept = Swept {
            silent: self
                .0
                .iter()
                .filter(|(_, m)| silent(m))
                .map(|(id, _)| id.clone())
                .collect(),
            rested: false,
        };
        for id in &swept.silent {
            self.lose(id);
        }
        for member in self.0.values_mut() {
            member
                .rival
                .take_if(|rival| now.saturating_sub(rival.heard) > SILENCE_MAX);
            swept.rested |= member.rests.take_if(|until| *until <= now).is_some();
        }
        swept
    }

    /// Nobody listened to what a node was sent: whether it is gone by now.
    pub(crate) fn unheeded(&mut self, id: &str, now: Duration) -> bool {
        let Some(member) = self.0.get_mut(id) else {
            return false;
        };
        let since = *member.unheeded.get_or_insert(now);
        now.saturating_sub(since) >= GONE_AFTER && self.lose(id)
    }

    /// A node answered: whether it had not before.
    pub(crate) fn answered(&mut self, id: &str) -> bool {
        let member = self.0.get_mut(id);
        member.is_some_and(|member| member.unheeded.take().is_some())
    }

    /// A node is gone for certain.
    pub(crate) fn lose(&mut self, id: &str) -> bool {
        let lost = self.0.remove(id);
        if let Some(member) = &lost {
            member.gone.cancel();
        }
        lost.is_some()
    }

    /// The worker for a run of `function`: the first in the function's order that has a free core, or no more to do than a
    /// quarter beyond its share of everything (consistent hashing with bounded loads), so that the function stays warm where
    /// it was. The run is counted there until [`Members::ended`].
    pub(crate) fn choose(
        &mut self,
        function: &str,
        engine: &Digest,
        without: &[String],
    ) -> Option<(String, CancellationToken)> {
        let fit = || {
            self.0
                .iter()
                .filter(|(id, m)| m.takes(engine) && !without.contains(id))
        };
        let (mut runs, mut cores) = (1, 0);
        for (_, m) in fit() {
            runs += u64::from(m.load());
            cores += m.cores();
        }
        // of all shares together there is always one that is not used up
        let bound = |m: &Member| m.cores().max((5 * runs * m.cores()).div_ceil(4 * cores));
        let id = fit()
            .filter(|(_, m)| u64::from(m.load()) < bound(m))
            .max_by_key(|(id, _)| weight(function, id))?
            .0
            .clone();
        let member = self.0.get_mut(&id)?;
        member.ours = member.ours.saturating_add(1);
        Some((id, member.gone.clone()))
    }

    /// A run that was counted at `id` is over. One whose worker was lost counts no more, whoever has the name by now.
    pub(crate) fn ended(&mut self, id: &str, gone: &CancellationToken) {
        if let Some(member) = self.0.get_mut(id).filter(|_| !gone.is_cancelled()) {
            member.ours = member.ours.saturating_sub(1);
        }
    }

    /// Where runs of `function` go first, as long as it has a core for them.
    pub(crate) fn home(&self, function: &str, engine: &Digest) -> Option<String> {
        let able = self
            .0
            .iter()
            .filter(|(_, m)| m.suits([engine]) && !m.beat.draining);
        let home = able.max_by_key(|(id, _)| weight(function, id))?;
        Some(home.0.clone())
    }

    /// Why no worker could ever run what needs `engine`, although there are some; none when one could.
    pub(crate) fn misfits(&self, engine: (RuntimeKind, Digest)) -> Option<String> {
        let mut why = None;
        for (id, member) in self.0.iter().filter(|(_, m)| m.beat.seat.role == Role::Worker) {
            why = Some(format!("{id}: {}", member.misfit(&[engine])?));
        }
        why
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Member> {
        self.0.get(id)
    }

    pub(crate) fn any(&self, is: impl FnMut(&Member) -> bool) -> bool {
        self.0.values().any(is)
    }

    pub(crate) fn list(&self) -> Vec<Member> {
        self.0.values().cloned().collect()
    }

    /// Those that run something for us, or that nobody listened for.
    pub(crate) fn in_use(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, m)| m.ours > 0 || m.unheeded.is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }
}

/// Rendezvous hashing: each function has an order of workers of its own, which others' coming and going leaves alone.
pub(crate) fn weight(function: &str, node: &str) -> u64 {
    // FNV-1a, then a finaliser: neighbouring names must not have neighbouring weights
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in function.bytes().chain([0]).chain(node.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
