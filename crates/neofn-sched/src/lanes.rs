//! Fair order between projects, and within a project between functions: round robin over both.
//!
//! Each turn of a project, and in it of a function, gives one item: with items of equal cost, which claims are,
//! deficit round robin is just that.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items waiting in one lane per project and function.
#[derive(Debug)]
pub struct Lanes<P, F, T> {
    projects: HashMap<P, Project<F, T>>,
    turn: VecDeque<P>,
    len: usize,
}

#[derive(Debug)]
struct Project<F, T> {
    functions: HashMap<F, VecDeque<T>>,
    turn: VecDeque<F>,
}

impl<P, F, T> Default for Lanes<P, F, T> {
    fn default() -> Self {
        Self {
            projects: HashMap::new(),
            turn: VecDeque::new(),
            len: 0,
        }
    }
}

impl<P: Hash + Eq + Clone, F: Hash + Eq + Clone, T> Lanes<P, F, T> {
    /// Adds an item to the end of its lane.
    pub fn push(&mut self, project: &P, function: &F, item: T) {
        let p = self.projects.entry(project.clone()).or_insert_with(|| {
            self.turn.push_back(project.clone());
            Project {
                functions: HashMap::new(),
                turn: VecDeque::new(),
            }
        });
        p.functions
            .entry(function.clone())
            .or_insert_with(|| {
                p.turn.push_back(function.clone());
                VecDeque::new()
            })
            .push_back(item);
        self.len += 1;
    }
    /// The next item, by turns, of a lane whose first item `may_go`; that lane and its project then wait for
    /// another turn.
    pub fn pop(&mut self, mut may_go: impl FnMut(&P, &F, &T) -> bool) -> Option<T> {
        for _ in 0..self.turn.len() {
            let project = self.turn.pop_front()?;
            let Some(p) = self.projects.get_mut(&project) else {
                continue;
            };
            let item = p.pop(|f, first| may_go(&project, f, first));
            if p.functions.is_empty() {
                self.projects.remove(&project);
            } else {
                self.turn.push_back(project);
            }
            if item.is_some() {
                self.len -= 1;
                return item;
            }
        }
        None
    }
    /// Lanes that hold something, and how much.
    pub fn lanes(&self) -> impl Iterator<Item = (&P, &F, usize)> {
        self.projects
            .iter()
            .flat_map(|(p, project)| project.functions.iter().map(move |(f, lane)| (p, f, lane.len())))
    }
    /// Everything that waits, in no order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.projects
            .values()
            .flat_map(|project| project.functions.values().flatten())
    }
    /// Everything that waits, in no order; the lanes are empty then.
    pub fn drain(&mut self) -> Vec<T> {
        self.turn.clear();
        self.len = 0;
        self.projects
            .drain()
            .flat_map(|(_, p)| p.functions.into_values().flatten())
            .collect()
    }
    /// Items in all lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<F: Hash + Eq + Clone, T> Project<F, T> {
    fn pop(&mut self, mut may_go: impl FnMut(&F, &T) -> bool) -> Option<T> {
        for _ in 0..self.turn.len() {
            let function = self.turn.pop_front()?;
            let lane = self.functions.get_mut(&function)?;
            if !lane.front().is_some_and(|first| may_go(&function, first)) {
                self.turn.push_back(function);
                continue;
            }
            let item = lane.pop_front();
            if lane.is_empty() {
                self.functions.remove(&function);
            } else {
                self.turn.push_back(function);
            }
            return item;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_does_not_starve_others() {
        let mut lanes = Lanes::default();
        for i in 0..100 {
            lanes.push(&"loud", &"f", ("loud", i));
        }
        lanes.push(&"quiet", &"g", ("quiet", 0));
        lanes.push(&"loud", &"h", ("loud-h", 0));
        let first: Vec<_> = (0..4).filter_map(|_| lanes.pop(|_, _, _| true)).collect();
        assert_eq!(first, [("loud", 0), ("quiet", 0), ("loud-h", 0), ("loud", 1)]);
        assert_eq!(lanes.len(), 98);
    }

    #[test]
    fn lanes_that_may_not_go_keep_their_items_in_order() {
        let mut lanes = Lanes::default();
        lanes.push(&1, &"busy", 10);
        lanes.push(&1, &"busy", 11);
        lanes.push(&1, &"free", 20);
        assert_eq!(lanes.pop(|_, f, _| *f != "busy"), Some(20));
        assert_eq!(lanes.pop(|_, f, _| *f != "busy"), None);
        assert_eq!(lanes.pop(|_, _, _| true), Some(10));
        assert_eq!(lanes.pop(|_, _, _| true), Some(11));
        assert!(lanes.is_empty() && lanes.lanes().next().is_none());
    }
}
