//! How many runs go on at once: of each function, of each project, of the node, and from the queue.

use std::collections::HashMap;
use std::hash::Hash;

/// Most runs at the same time. A function's own limit comes with each question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Of all projects together.
    pub node: u32,
    /// Of each project.
    pub project: u32,
    /// Of those from the queue, so that they leave places to waiting callers.
    pub queue: u32,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The function's own limit.
    #[error("the function runs as often as its limit allows")]
    Function,
    /// The project's limit.
    #[error("the project runs as much as it may")]
    Project,
    /// The node's limit.
    #[error("the node runs as much as it can")]
    Node,
    /// The part of the node that runs queued work.
    #[error("the node runs as much queued work as it can")]
    Queue,
}

/// Whose place on the node a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// One of the node's.
    Own,
    /// One of the node's, and of those that queued work may take.
    Queue,
    /// Its caller's, who waits meanwhile: a chain of calls can then never block itself.
    Callers,
}

/// Runs of a function.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    all: u32,
    queue: u32,
}

/// Counts of running invocations.
#[derive(Debug)]
pub struct Slots<P, F> {
    caps: Caps,
    node: u32,
    queue: u32,
    /// Places that each project's runs take, and its runs by function.
    projects: HashMap<P, (u32, HashMap<F, Runs>)>,
}

impl<P: Hash + Eq + Clone, F: Hash + Eq + Clone> Slots<P, F> {
    /// None running.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            node: 0,
            queue: 0,
            projects: HashMap::new(),
        }
    }
    /// Whether a run could begin now.
    pub fn may_take(
        &self,
        project: &P,
        function: &F,
        function_max: u32,
        share: Share,
    ) -> Result<(), Refused> {
        if self.running(project, function) >= function_max {
            return Err(Refused::Function);
        }
        if share == Share::Callers {
            return Ok(());
        }
        if self.is_full(project) {
            return Err(Refused::Project);
        }
        if self.node >= self.caps.node {
            return Err(Refused::Node);
        }
        if share == Share::Queue && self.queue >= self.caps.queue {
            return Err(Refused::Queue);
        }
        Ok(())
    }
    /// Takes a slot; each success must be met by one [`Self::give_back`] with the same arguments.
    pub fn take(
        &mut self,
        project: &P,
        function: &F,
        function_max: u32,
        share: Share,
    ) -> Result<(), Refused> {
        self.may_take(project, function, function_max, share)?;
        let places = u32::from(share != Share::Callers);
        self.node += places;
        self.queue += u32::from(share == Share::Queue);
        let (taken, functions) = self.projects.entry(project.clone()).or_default();
        *taken += places;
        let runs = functions.entry(function.clone()).or_default();
        runs.all += 1;
        runs.queue += u32::from(share == Share::Queue);
        Ok(())
    }
    /// Gives a slot back.
    pub fn give_back(&mut self, project: &P, function: &F, share: Share) {
        let Some((taken, functions)) = self.projects.get_mut(project) else {
            return;
        };
        let Some(runs) = functions.get_mut(function) else {
            return;
        };
        runs.all -= 1;
        if share == Share::Queue {
            runs.queue = runs.queue.saturating_sub(1);
            self.queue = self.queue.saturating_sub(1);
        }
        if runs.all == 0 {
            functions.remove(function);
        }
        if share != Share::Callers {
            *taken = taken.saturating_sub(1);
            self.node = self.node.saturating_sub(1);
        }
        if functions.is_empty() {
            self.projects.remove(project);
        }
    }
    /// Runs of a function.
    #[must_use]
    pub fn running(&self, project: &P, function: &F) -> u32 {
        let of_project = self.projects.get(project);
        of_project
            .and_then(|(_, functions)| functions.get(function))
            .map_or(0, |runs| runs.all)
    }
    /// Places that a project's runs take.
    #[must_use]
    pub fn of_project(&self, project: &P) -> u32 {
        self.projects.get(project).map_or(0, |(taken, _)| *taken)
    }
    /// Whether a project's runs take as many as they may.
    #[must_use]
    pub fn is_full(&self, project: &P) -> bool {
        self.of_project(project) >= self.caps.project
    }
    /// Places taken on the node.
    #[must_use]
    pub fn of_node(&self) -> u32 {
        self.node
    }
    /// Runs from the queue.
    #[must_use]
    pub fn of_queue(&self) -> u32 {
        self.queue
    }
    /// What may run at once.
    #[must_use]
    pub fn caps(&self) -> Caps {
        self.caps
    }
    /// All runs, those on their caller's place too.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.all().map(|(_, _, n)| u64::from(n)).sum()
    }
    /// Functions that run, and how often.
    pub fn all(&self) -> impl Iterator<Item = (&P, &F, u32)> {
        self.runs().map(|(p, f, runs)| (p, f, runs.all))
    }
    /// Functions that run from the queue, and how often.
    pub fn queued(&self) -> impl Iterator<Item = (&P, &F, u32)> {
        self.runs()
            .filter(|(_, _, runs)| runs.queue > 0)
            .map(|(p, f, runs)| (p, f, runs.queue))
    }
    fn runs(&self) -> impl Iterator<Item = (&P, &F, Runs)> {
        self.projects
            .iter()
            .flat_map(|(p, (_, functions))| functions.iter().map(move |(f, runs)| (p, f, *runs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(node: u32, project: u32, queue: u32) -> Slots<&'static str, &'static str> {
        Slots::new(Caps { node, project, queue })
    }

    #[test]
    fn the_functions_limit_comes_before_the_projects_and_that_before_the_nodes() {
        let mut s = slots(3, 2, 3);
        s.take(&"p", &"a", 1, Share::Own).unwrap();
        assert_eq!(s.take(&"p", &"a", 1, Share::Own), Err(Refused::Function));
        s.take(&"p", &"b", 5, Share::Own).unwrap();
        assert_eq!(s.take(&"p", &"c", 5, Share::Own), Err(Refused::Project));
        assert_eq!(s.take(&"p", &"c", 5, Share::Callers), Ok(()));
        s.take(&"q", &"a", 5, Share::Own).unwrap();
        assert_eq!(s.take(&"q", &"a", 5, Share::Own), Err(Refused::Node));
        assert_eq!((s.total(), s.of_node(), s.of_project(&"p")), (4, 3, 2));
        s.give_back(&"p", &"c", Share::Callers);
        assert_eq!((s.of_node(), s.of_project(&"p")), (3, 2));
        s.give_back(&"p", &"b", Share::Own);
        s.give_back(&"p", &"a", Share::Own);
        s.give_back(&"q", &"a", Share::Own);
        assert_eq!((s.total(), s.of_node(), s.projects.len()), (0, 0, 0));
    }

    #[test]
    fn queued_work_leaves_places_to_callers() {
        let mut s = slots(3, 3, 1);
        s.take(&"p", &"a", 9, Share::Queue).unwrap();
        assert_eq!(s.take(&"p", &"a", 9, Share::Queue), Err(Refused::Queue));
        s.take(&"p", &"a", 9, Share::Own).unwrap();
        assert_eq!(s.queued().collect::<Vec<_>>(), [(&"p", &"a", 1)]);
        s.give_back(&"p", &"a", Share::Queue);
        assert_eq!((s.of_queue(), s.of_node()), (0, 1));
        assert_eq!((s.queued().next(), s.all().next()), (None, Some((&"p", &"a", 1))));
    }

    #[test]
    fn giving_back_what_was_not_taken_changes_nothing() {
        let mut s = slots(1, 1, 1);
        s.give_back(&"p", &"a", Share::Own);
        assert_eq!((s.total(), s.of_node()), (0, 0));
    }
}
