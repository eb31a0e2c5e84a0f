//! Whose queued work is claimed next, while more waits than there are places: that of the project of which least is under way,
//! and within it of the function of which least is. Equals take turns; who never had one comes first, and who was named first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Turns that are remembered. What had its last one before them may as well have had none: it has waited longest.
const REMEMBERED: u64 = 8_192;

/// When projects and their functions had their last turn.
#[derive(Debug, Clone)]
pub struct Turns<P, F> {
    last: u64,
    projects: HashMap<P, (u64, HashMap<F, u64>)>,
}

impl<P, F> Default for Turns<P, F> {
    fn default() -> Self {
        Self {
            last: 0,
            projects: HashMap::new(),
        }
    }
}

impl<P: Hash + Eq + Clone, F: Hash + Eq + Clone> Turns<P, F> {
    /// Work of a function was claimed.
    pub fn took(&mut self, project: &P, function: &F) {
        self.last += 1;
        let last = self.last;
        let (of_project, functions) = self.projects.entry(project.clone()).or_default();
        *of_project = last;
        functions.insert(function.clone(), last);
        if last.is_multiple_of(REMEMBERED) {
            let recent = |turn: u64| turn + REMEMBERED > last;
            self.projects.retain(|_, (turn, functions)| {
                functions.retain(|_, turn| recent(*turn));
                recent(*turn)
            });
        }
    }
    /// The last turn of a project; 0: none is known.
    pub fn of_project(&self, project: &P) -> u64 {
        self.projects.get(project).map_or(0, |(turn, _)| *turn)
    }
    /// The last turn of a function; 0: none is known.
    pub fn of_function(&self, project: &P, function: &F) -> u64 {
        let of_project = self.projects.get(project);
        of_project
            .and_then(|(_, functions)| functions.get(function))
            .copied()
            .unwrap_or(0)
    }
}

/// What decides between two who wait: the lesser goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Standing {
    /// Claimed work under way.
    pub running: u32,
    /// The last turn.
    pub turn: u64,
}

impl Standing {
    fn after(self, turn: u64) -> Self {
        Self {
            running: self.running.saturating_add(1),
            turn,
        }
    }
}

/// A function with work that waits.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a, P> {
    /// Its project.
    pub project: &'a P,
    /// How it stands among the functions of its project.
    pub standing: Standing,
    /// How much of it may be claimed.
    pub room: u32,
}

/// A place among equals: by standing, then in the order of naming.
type Place = (Standing, usize);

/// Who is next, one after the other.
#[derive(Debug)]
pub struct Round {
    /// By project, its functions that have room, and how much.
    projects: BTreeMap<Place, BTreeMap<Place, u32>>,
    last: u64,
}

impl Round {
    /// Between functions, named in the order in which their work is due.
    pub fn new<'a, P: Hash + Eq + 'a>(
        candidates: impl Iterator<Item = Candidate<'a, P>>,
        standing: impl Fn(&P) -> Standing,
    ) -> Self {
        let mut projects: HashMap<&P, (usize, BTreeMap<Place, u32>)> = HashMap::new();
        for (at, candidate) in candidates.enumerate().filter(|(_, c)| c.room > 0) {
            let of_project = projects.entry(candidate.project);
            let (_, functions) = of_project.or_insert_with(|| (at, BTreeMap::new()));
            functions.insert((candidate.standing, at), candidate.room);
        }
        let mut last = 0;
        let placed = projects.into_iter().map(|(project, (named, functions))| {
            let standing = standing(project);
            last = last.max(standing.turn);
            ((standing, named), functions)
        });
        Self {
            projects: placed.collect(),
            last,
        }
    }
    /// Whose turn it is, by the number in the order of naming.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        let (_, functions) = self.projects.first_key_value()?;
        functions.first_key_value().map(|((_, at), _)| *at)
    }
    /// The first has had its turn; whether more of its work waits.
    pub fn took(&mut self, more: bool) {
        let Some(((of_project, named), mut functions)) = self.projects.pop_first() else {
            return;
        };
        self.last += 1;
        if let Some(((of_function, at), room)) = functions.pop_first()
            && more
            && room > 1
        {
            functions.insert((of_function.after(self.last), at), room - 1);
        }
        if !functions.is_empty() {
            self.projects
                .insert((of_project.after(self.last), named), functions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Waiting = (&'static str, &'static str, u32);

    /// The next `n` turns, while what was claimed before goes on.
    fn next(
        turns: &Turns<&'static str, &'static str>,
        running: &[Waiting],
        waiting: &[Waiting],
        n: usize,
    ) -> Vec<&'static str> {
        let under_way = |p: &str, f: Option<&str>| {
            let of = running.iter().filter(|r| r.0 == p && f.is_none_or(|f| r.1 == f));
            of.map(|r| r.2).sum()
        };
        let candidates = waiting.iter().map(|(p, f, room)| Candidate {
            project: p,
            standing: Standing {
                running: under_way(p, Some(f)),
                turn: turns.of_function(p, f),
            },
            room: *room,
        });
        let mut round = Round::new(candidates, |p| Standing {
            running: under_way(p, None),
            turn: turns.of_project(p),
        });
        let mut order = Vec::new();
        while order.len() < n
            && let Some(at) = round.first()
        {
            order.push(waiting[at].1);
            round.took(true);
        }
        order
    }

    #[test]
    fn projects_go_before_their_functions() {
        let waiting = [("loud", "a", 9), ("loud", "b", 9), ("quiet", "c", 2)];
        let order = next(&Turns::default(), &[], &waiting, 8);
        assert_eq!(order, ["a", "c", "b", "c", "a", "b", "a", "b"]);
    }

    #[test]
    fn who_runs_least_comes_first_however_long_others_wait() {
        let waiting = [("loud", "a", 9), ("loud", "b", 9), ("quiet", "c", 9)];
        let running = [("loud", "a", 3), ("loud", "b", 1)];
        let order = next(&Turns::default(), &running, &waiting, 7);
        assert_eq!(order, ["c", "c", "c", "c", "b", "c", "b"]);
    }

    #[test]
    fn equals_take_turns_and_who_is_new_does_not_wait() {
        let mut turns = Turns::default();
        let mut waiting = vec![("p", "a", 9), ("q", "b", 9)];
        let mut order = Vec::new();
        for n in 0..6 {
            if n == 3 {
                waiting.push(("r", "c", 9));
            }
            let f = next(&turns, &[], &waiting, 1)[0];
            let p = waiting.iter().find(|w| w.1 == f).unwrap().0;
            turns.took(&p, &f);
            order.push(f);
        }
        assert_eq!(order, ["a", "b", "a", "c", "b", "a"]);
    }

    #[test]
    fn nobody_is_claimed_beyond_his_room() {
        let waiting = [("p", "full", 0), ("p", "a", 1), ("q", "b", 2)];
        let order = next(&Turns::default(), &[], &waiting, 9);
        assert_eq!(order, ["a", "b", "b"]);
    }

    #[test]
    fn old_turns_are_forgotten() {
        let mut turns = Turns::default();
        turns.took(&"old", &0);
        for n in 1..3 * REMEMBERED {
            turns.took(&"p", &n);
            assert!(turns.projects.values().map(|(_, f)| f.len()).sum::<usize>() as u64 <= 2 * REMEMBERED);
        }
        assert_eq!(turns.of_project(&"old"), 0);
        assert_eq!(turns.of_function(&"p", &(3 * REMEMBERED - 1)), 3 * REMEMBERED);
    }
}
