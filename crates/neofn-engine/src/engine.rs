//! The handle that use cases hold: cheap to clone, safe to call from any task.

use crate::port::{InvocationFilter, InvocationRecord, Totals};
use crate::request::{Bundle, Deploy, DeployError, Deployed, Enqueued, Invoke, Invoked, Replayed, Stage};
use crate::{EngineOptions, EngineStats, Follow, Ports, Service};
use bytes::Bytes;
use neofn_registry::{FunctionRecord, VersionRecord};
use neofn_types::{Code, Error, FunctionKey, FunctionName, InvocationId, ProjectName, Version};
use std::sync::Arc;
use std::time::Duration;

/// Deploys, runs and reads functions.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: EngineOptions,
    pub(crate) ports: Ports,
    pub(crate) counters: crate::stats::Counters,
    pub(crate) followers: crate::follow::Followers,
}

/// A function with its live version.
pub type FunctionState = (FunctionRecord, VersionRecord);

impl Engine {
    /// The engine and the service that must run beside it.
    #[must_use]
    pub fn build(options: EngineOptions, ports: Ports) -> (Self, Service) {
        let inner = Arc::new(Inner {
            counters: crate::stats::Counters::new(),
            followers: crate::follow::Followers::new(options.follow_entries_max),
            options,
            ports,
        });
        (Self { inner: inner.clone() }, Service::new(inner))
    }

    /// Makes a version of the code and moves `live` to it, or leaves everything as it was.
    pub async fn deploy(&self, deploy: Deploy) -> Result<Deployed, DeployError> {
        let _ = deploy;
        Err(DeployError {
            stage: Stage::Validate,
            error: Code::Internal.into(),
            diagnostics: vec![],
            logs: vec![],
        })
    }
    /// Runs the live version and waits for its end.
    pub async fn invoke(&self, invoke: Invoke) -> Result<Invoked, Error> {
        let _ = invoke;
        Err(Code::Internal.into())
    }
    /// Writes the call down for later; it is on disk when this returns.
    pub async fn enqueue(&self, invoke: Invoke) -> Result<Enqueued, Error> {
        let _ = invoke;
        Err(Code::Internal.into())
    }
    /// Runs the live version without recording, charging or committing anything.
    pub async fn estimate(&self, key: &FunctionKey, event: Bytes) -> Result<Invoked, Error> {
        let _ = (key, event);
        Err(Code::Internal.into())
    }
    /// Runs an ended invocation again on its recorded inputs, on its own version or another.
    pub async fn replay(&self, id: InvocationId, version: Option<Version>) -> Result<Replayed, Error> {
        let _ = (id, version);
        Err(Code::Internal.into())
    }
    /// A function and its live version.
    pub async fn function(&self, key: &FunctionKey) -> Result<FunctionState, Error> {
        let _ = key;
        Err(Code::Internal.into())
    }
    /// The functions of a project by name, after that name.
    pub async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionState>, Error> {
        let _ = (project, after, limit);
        Err(Code::Internal.into())
    }
    /// The projects by name.
    pub async fn projects(&self) -> Result<Vec<ProjectName>, Error> {
        Err(Code::Internal.into())
    }
    /// Whether the project exists.
    pub async fn project_exists(&self, project: &ProjectName) -> Result<bool, Error> {
        let _ = project;
        Err(Code::Internal.into())
    }
    /// The versions of a function, newest first, older than `before`.
    pub async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, Error> {
        let _ = (key, before, limit);
        Err(Code::Internal.into())
    }
    /// Moves `live` to a version; without one, to the newest that is older than the live one.
    pub async fn rollback(
        &self,
        key: &FunctionKey,
        version: Option<Version>,
    ) -> Result<FunctionState, Error> {
        let _ = (key, version);
        Err(Code::Internal.into())
    }
    /// Switches a function on or off.
    pub async fn set_active(&self, key: &FunctionKey, active: bool) -> Result<FunctionState, Error> {
        let _ = (key, active);
        Err(Code::Internal.into())
    }
    /// Removes a function, its versions, its history and its queue.
    pub async fn delete(&self, key: &FunctionKey) -> Result<(), Error> {
        let _ = key;
        Err(Code::Internal.into())
    }
    /// What was uploaded for a version; the live one without `version`.
    pub async fn files(&self, key: &FunctionKey, version: Option<Version>) -> Result<Bundle, Error> {
        let _ = (key, version);
        Err(Code::Internal.into())
    }
    /// An invocation. Sees every call that was answered before.
    pub async fn invocation(&self, id: InvocationId) -> Result<InvocationRecord, Error> {
        let _ = id;
        Err(Code::Internal.into())
    }
    /// The invocations of a function, newest first. Sees every call that was answered before.
    pub async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, Error> {
        let _ = (key, filter);
        Err(Code::Internal.into())
    }
    /// Ended runs of a function from here on.
    #[must_use]
    pub fn follow(&self, key: &FunctionKey) -> Follow {
        self.inner.followers.follow(key)
    }
    /// Counts that survive a restart. Sees every call that was answered before.
    pub async fn totals(&self) -> Result<Totals, Error> {
        Err(Code::Internal.into())
    }
    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.inner.counters.read()
    }
    /// Takes no new work (NF0305), lets what runs end, flushes history; answers whether all ended in time.
    /// Queued invocations stay on disk. Stop the service after this, not before: it renews the leases.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let _ = deadline;
        false
    }
}
