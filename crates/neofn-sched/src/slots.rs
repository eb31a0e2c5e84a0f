//! How many runs go on at once: of each function, and of the node.

use std::collections::HashMap;
use std::hash::Hash;

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The function's own limit.
    #[error("the function runs as often as its limit allows")]
    Function,
    /// The node's limit.
    #[error("the node runs as much as it can")]
    Node,
}

/// Whose place on the node a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// One of the node's.
    Own,
    /// Its caller's, who waits meanwhile: a chain of calls can then never block itself.
    Callers,
}

/// Counts of running invocations.
#[derive(Debug)]
pub struct Slots<K> {
    node_max: u32,
    node: u32,
    functions: HashMap<K, u32>,
}

impl<K: Hash + Eq + Clone> Slots<K> {
    /// None running.
    #[must_use]
    pub fn new(node_max: u32) -> Self {
        Self {
            node_max,
            node: 0,
            functions: HashMap::new(),
        }
    }
    /// Takes a slot; each success must be met by one [`Self::give_back`] with the same arguments.
    pub fn take(&mut self, key: &K, function_max: u32, share: Share) -> Result<(), Refused> {
        if self.running(key) >= function_max {
            return Err(Refused::Function);
        }
        if share == Share::Own {
            if self.node >= self.node_max {
                return Err(Refused::Node);
            }
            self.node += 1;
        }
        *self.functions.entry(key.clone()).or_default() += 1;
        Ok(())
    }
    /// Gives a slot back.
    pub fn give_back(&mut self, key: &K, share: Share) {
        if let Some(running) = self.functions.get_mut(key) {
            *running -= 1;
            if *running == 0 {
                self.functions.remove(key);
            }
            if share == Share::Own {
                self.node = self.node.saturating_sub(1);
            }
        }
    }
    /// Runs of a function.
    #[must_use]
    pub fn running(&self, key: &K) -> u32 {
        self.functions.get(key).copied().unwrap_or(0)
    }
    /// Places that are left on the node.
    #[must_use]
    pub fn node_free(&self) -> u32 {
        self.node_max.saturating_sub(self.node)
    }
    /// All runs, those on their caller's place too.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.functions.values().map(|n| u64::from(*n)).sum()
    }
    /// Functions that run, and how often.
    pub fn all(&self) -> impl Iterator<Item = (&K, u32)> {
        self.functions.iter().map(|(k, n)| (k, *n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_limit_comes_before_the_nodes() {
        let mut s = Slots::new(2);
        s.take(&"a", 1, Share::Own).unwrap();
        assert_eq!(s.take(&"a", 1, Share::Own), Err(Refused::Function));
        assert_eq!(s.all().collect::<Vec<_>>(), [(&"a", 1)]);
        s.take(&"b", 5, Share::Own).unwrap();
        assert_eq!(s.take(&"b", 5, Share::Own), Err(Refused::Node));
        assert_eq!(s.take(&"b", 5, Share::Callers), Ok(()));
        assert_eq!((s.total(), s.node_free()), (3, 0));
        s.give_back(&"b", Share::Callers);
        assert_eq!(s.node_free(), 0);
        s.give_back(&"b", Share::Own);
        s.give_back(&"a", Share::Own);
        assert_eq!((s.total(), s.node_free()), (0, 2));
    }

    #[test]
    fn giving_back_what_was_not_taken_changes_nothing() {
        let mut s: Slots<&str> = Slots::new(1);
        s.give_back(&"a", Share::Own);
        assert_eq!((s.total(), s.node_free()), (0, 1));
    }
}
