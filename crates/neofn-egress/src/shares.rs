//! Places and bytes, shared out: a project has its part, all of them together no more than the node.

use neofn_types::{Code, Error, ProjectName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As much for each, however many there are.
pub(crate) struct Parts<K> {
    size: usize,
    held: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Clone + Eq + Hash> Parts<K> {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size: size.min(Semaphore::MAX_PERMITS),
            held: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, whose: &K) -> Arc<Semaphore> {
        let mut held = self.held.lock();
        // those that nobody holds or waits for are the same as new ones
        held.retain(|_, s| Arc::strong_count(s) > 1);
        let fresh = || Arc::new(Semaphore::new(self.size));
        Arc::clone(held.entry(whose.clone()).or_insert_with(fresh))
    }
}

/// What projects share.
pub(crate) struct Shares {
    node: Arc<Semaphore>,
    projects: Parts<ProjectName>,
}

/// Held until it is dropped.
pub(crate) struct Share {
    project: OwnedSemaphorePermit,
    node: OwnedSemaphorePermit,
}

impl Share {
    pub(crate) fn merge(&mut self, other: Self) {
        self.project.merge(other.project);
        self.node.merge(other.node);
    }
}

impl Shares {
    pub(crate) fn new(per_project: usize, per_node: usize) -> Self {
        Self {
            node: Arc::new(Semaphore::new(per_node.min(Semaphore::MAX_PERMITS))),
            projects: Parts::new(per_project),
        }
    }

    /// Waits for its turn: among the project's own first, so that it stands in everybody's queue with its part alone.
    pub(crate) async fn take(&self, project: &ProjectName, many: u32) -> Result<Share, Error> {
        let own = self.projects.of(project).acquire_many_owned(many);
        let project = own.await.map_err(busy)?;
        let all = Arc::clone(&self.node).acquire_many_owned(many);
        let node = all.await.map_err(busy)?;
        Ok(Share { project, node })
    }

    /// Now or not at all.
    pub(crate) fn try_take(&self, project: &ProjectName, many: u32) -> Option<Share> {
        let project = self.projects.of(project).try_acquire_many_owned(many).ok()?;
        let node = Arc::clone(&self.node).try_acquire_many_owned(many).ok()?;
        Some(Share { project, node })
    }
}

pub(crate) fn busy<E>(_: E) -> Error {
    Code::EgressBusy.into()
}
