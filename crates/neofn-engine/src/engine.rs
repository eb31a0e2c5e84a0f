//! The handle that use cases hold: cheap to clone, safe to call from any task.

use crate::cache::Cache;
use crate::error::of_registry;
use crate::explain::Lane;
use crate::follow::Followers;
use crate::gate::Gate;
use crate::lead::{Among, Leading};
use crate::manage::Changes;
use crate::neo::Manifests;
use crate::port::{InvocationFilter, InvocationRecord, Lease, Totals};
use crate::queue::HeldClaims;
use crate::recorder::Recorder;
use crate::request::{Bundle, Callers, Deploy, DeployError, Deployed, Enqueued, Invoke, Invoked, Replayed};
use crate::stack::DebugCache;
use crate::stats::Counters;
use crate::triggers::port::{Fired, FiredFilter, Redo};
use crate::triggers::request::{Backtest, Published, Switch, TestOn, TriggerInfo};
use crate::triggers::{ChainState, Control, TriggerStats};
use crate::{EngineOptions, EngineStats, Follow, Ports, Service};
use bytes::Bytes;
use neofn_chain::port::Chain;
use neofn_chain::stack::StackItem;
use neofn_event::{CloudEvent, ParameterType, TriggerId};
use neofn_registry::port::Upon;
use neofn_registry::{FunctionRecord, VersionRecord};
use neofn_sched::{Load, Scale};
use neofn_trigger::Explanation;
use neofn_types::{
    Code, Error, FunctionKey, FunctionName, InvocationId, ProjectName, RuntimeKind, ScriptHash, TraceContext,
    Version,
};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Deploys, runs and reads functions.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: EngineOptions,
    pub(crate) ports: Ports,
    pub(crate) gate: Arc<Gate>,
    pub(crate) scale: parking_lot::Mutex<Scale>,
    pub(crate) held: Arc<HeldClaims>,
    pub(crate) cache: Cache,
    pub(crate) debug: DebugCache,
    pub(crate) changes: Changes,
    /// Places of the deployment pipeline.
    pub(crate) deploys: Semaphore,
    pub(crate) recorder: Recorder,
    pub(crate) counters: Counters,
    pub(crate) manifests: Arc<Manifests>,
    pub(crate) followers: Followers,
    pub(crate) triggers: Control,
    /// A claimed invocation ended here.
    pub(crate) ended: tokio::sync::Notify,
    /// Whether this node reads the chain and makes the runs of time.
    pub(crate) leading: Leading,
    /// Everything that must end before the process does.
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: AtomicBool,
}

/// A function with its live version.
pub type FunctionState = (FunctionRecord, VersionRecord);

impl Engine {
    /// The engine and the service that must run beside it.
    pub fn build(options: EngineOptions, ports: Ports) -> (Self, Service) {
        let tasks = TaskTracker::new();
        let inner = Arc::new(Inner {
            gate: Arc::new(Gate::new(options.caps(), options.breaker)),
            scale: parking_lot::Mutex::new(Scale::new(options.scale)),
            held: Arc::default(),
            cache: Cache::new(),
            debug: DebugCache::default(),
            changes: Changes::default(),
            deploys: Semaphore::new(usize::try_from(options.deploys_max.max(1)).unwrap_or(1)),
            recorder: Recorder::new(
                ports.invocations.clone(),
                tasks.clone(),
                options.records_pending_max,
            ),
            counters: Counters::new(),
            manifests: Arc::default(),
            followers: Followers::new(options.follow_entries_max),
            triggers: Control::default(),
            ended: tokio::sync::Notify::new(),
            leading: Leading::new(
                ports.leases.clone(),
                options.clock.clone(),
                "triggers",
                options.node.clone(),
                match ports.neighbours {
                    Some(_) => Among::Others,
                    None => Among::Nobody,
                },
            ),
            tasks,
            draining: AtomicBool::new(false),
            options,
            ports,
        });
        (Self { inner: inner.clone() }, Service::new(inner))
    }

    /// Makes a version of the code and moves `live` to it, or leaves everything as it was.
    pub async fn deploy(&self, deploy: Deploy) -> Result<Deployed, DeployError> {
        self.inner.clone().deploy(deploy).await
    }
    /// Waits until an invocation that waited in the queue has ended on this node, or did since the last call. For one that
    /// waits.
    pub async fn ended(&self) {
        self.inner.ended.notified().await;
    }
    /// Runs the live version and waits for its end.
    pub async fn invoke(&self, invoke: Invoke) -> Result<Invoked, Error> {
        self.invoke_until(invoke, CancellationToken::new()).await
    }
    /// The same, for a caller who can give up: when the token is cancelled the run ends in the sandbox.
    pub async fn invoke_until(&self, invoke: Invoke, given_up: CancellationToken) -> Result<Invoked, Error> {
        self.inner
            .counted(self.inner.clone().invoke(invoke, given_up).await)
    }
    /// Writes the call down for later; it is on disk when this returns.
    pub async fn enqueue(&self, invoke: Invoke) -> Result<Enqueued, Error> {
        self.inner.counted(self.inner.clone().enqueue(invoke).await)
    }
    /// Runs the live version without recording, charging or committing anything.
    pub async fn estimate(&self, key: &FunctionKey, event: Bytes) -> Result<Invoked, Error> {
        let estimate = self.inner.clone().estimate(key.clone(), event);
        self.inner.counted(estimate.await.map(|(run, _)| run))
    }
    /// Runs an ended invocation again on its recorded inputs, on its own version or another.
    pub async fn replay(&self, id: InvocationId, version: Option<Version>) -> Result<Replayed, Error> {
        self.inner.clone().replay(id, version).await
    }
    /// A function and its live version.
    pub async fn function(&self, key: &FunctionKey) -> Result<FunctionState, Error> {
        self.inner.function(key).await
    }
    /// Whether anybody may invoke it; false for one that does not exist. From memory, as for a call.
    pub async fn is_public(&self, key: &FunctionKey) -> Result<bool, Error> {
        match self.inner.live(key).await {
            Ok(live) => Ok(live.version.record.spec.public),
            Err(error) if error.code == Code::FunctionNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
    /// The same for somebody who may not invoke it otherwise. Unless it is public, the store is asked the same two questions,
    /// whether it exists or not and whatever is in memory: the time of the answer tells nothing.
    pub async fn is_public_to_strangers(&self, key: &FunctionKey) -> Result<bool, Error> {
        let known = self.inner.cache.peek_live(key);
        if known.is_some_and(|live| live.version.record.spec.public) {
            return Ok(true);
        }
        let registry = &self.inner.ports.registry;
        let function = registry.function(key).await.map_err(of_registry)?;
        let asked = function.as_ref().map_or(Version(1), |f| f.live);
        let version = registry.version(key, asked).await.map_err(of_registry)?;
        Ok(function.is_some() && version.is_some_and(|v| v.spec.public))
    }
    /// The runtime of a function's live version. From memory, as for a call.
    pub async fn runtime_of(&self, key: &FunctionKey) -> Result<RuntimeKind, Error> {
        Ok(self.inner.live(key).await?.version.record.spec.runtime)
    }
    /// Whether a function's own endpoint takes such a request: with `http` triggers those that one of them wants,
    /// without any all of them. `path` begins with `/`.
    pub async fn serves(&self, key: &FunctionKey, method: &str, path: &str) -> Result<bool, Error> {
        let live = self.inner.live(key).await?;
        let mut wanted = live.version.record.spec.on.http().peekable();
        Ok(wanted.peek().is_none() || wanted.any(|http| http.admits(method, path)))
    }
    /// The functions of a project by name, after that name.
    pub async fn functions(
        &self,
        project: &ProjectName,
        after: Option<&FunctionName>,
        limit: u32,
    ) -> Result<Vec<FunctionState>, Error> {
        self.inner.functions(project, after, limit).await
    }
    /// Whether this node has a version ready to run, sandbox and all. From memory.
    #[must_use]
    pub fn is_warm(&self, key: &FunctionKey, version: Version) -> bool {
        self.inner.is_warm(key, version)
    }
    /// The projects by name.
    pub async fn projects(&self) -> Result<Vec<ProjectName>, Error> {
        self.inner.ports.registry.projects().await.map_err(of_registry)
    }
    /// Whether the project exists.
    pub async fn project_exists(&self, project: &ProjectName) -> Result<bool, Error> {
        let exists = self.inner.ports.registry.project_exists(project).await;
        exists.map_err(of_registry)
    }
    /// The versions of a function, newest first, older than `before`.
    pub async fn versions(
        &self,
        key: &FunctionKey,
        before: Option<Version>,
        limit: u32,
    ) -> Result<Vec<VersionRecord>, Error> {
        self.inner.versions(key, before, limit).await
    }
    /// The live version, and the one that a rollback goes to: the one that is named, else the newest that is older.
    pub async fn way_back(
        &self,
        key: &FunctionKey,
        version: Option<Version>,
    ) -> Result<(VersionRecord, VersionRecord), Error> {
        self.inner.way_back(key, version).await
    }
    /// Moves `live` to a version.
    pub async fn rollback(
        &self,
        key: &FunctionKey,
        version: Version,
        upon: Upon,
    ) -> Result<FunctionState, Error> {
        self.inner.clone().rollback(key.clone(), version, upon).await
    }
    /// Switches a function on or off.
    pub async fn set_active(&self, key: &FunctionKey, active: bool) -> Result<FunctionState, Error> {
        self.inner.clone().set_active(key.clone(), active).await
    }
    /// Removes a function, its versions, its history and its queue.
    pub async fn delete(&self, key: &FunctionKey, callers: Callers) -> Result<(), Error> {
        self.inner.clone().delete(key.clone(), callers).await
    }
    /// The other functions of the project whose live versions name this one in `ctx.invoke`, by name.
    pub async fn callers(&self, key: &FunctionKey) -> Result<Vec<FunctionName>, Error> {
        self.inner.callers(key).await
    }
    /// What was uploaded for a version; the live one without `version`.
    pub async fn files(&self, key: &FunctionKey, version: Option<Version>) -> Result<Bundle, Error> {
        self.inner.files(key, version).await
    }
    /// An invocation. Sees every call that was answered before.
    pub async fn invocation(&self, id: InvocationId) -> Result<InvocationRecord, Error> {
        self.inner.invocation(id).await
    }
    /// What an invocation waits for; none when it does not wait.
    pub async fn waits(&self, record: &InvocationRecord) -> Option<crate::Waits> {
        self.inner.waits(record).await
    }
    /// The invocations of a function, newest first. Sees every call that was answered before.
    pub async fn invocations(
        &self,
        key: &FunctionKey,
        filter: InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, Error> {
        self.inner.invocations(key, filter).await
    }
    /// Ended runs of a function from here on.
    #[must_use]
    pub fn follow(&self, key: &FunctionKey) -> Follow {
        self.inner.followers.follow(key)
    }
    /// Takes all events or none for the triggers of a project; they are on disk when this returns.
    pub async fn publish(
        &self,
        project: &ProjectName,
        events: Vec<CloudEvent>,
        trace: TraceContext,
    ) -> Result<Vec<Published>, Error> {
        let published = self.inner.publish_events(project, events, trace.trace_id);
        self.inner.counted(published.await)
    }
    /// The triggers of a project's live versions, by name.
    pub async fn triggers(
        &self,
        project: &ProjectName,
        function: Option<&FunctionName>,
    ) -> Result<Vec<TriggerInfo>, Error> {
        self.inner.trigger_list(project, function).await
    }
    /// Why a trigger takes a transaction or a block, or which condition fails.
    pub async fn test_trigger(&self, id: &TriggerId, on: TestOn) -> Result<Explanation, Error> {
        self.inner.trigger_test(id, on).await
    }
    /// What a trigger would have fired on in the blocks `from..=to`.
    pub async fn backtest_trigger(&self, id: &TriggerId, from: u64, to: u64) -> Result<Backtest, Error> {
        self.inner.trigger_backtest(id, from, to).await
    }
    /// Pauses or resumes a trigger.
    pub async fn switch_trigger(&self, id: &TriggerId, switch: Switch) -> Result<TriggerInfo, Error> {
        self.inner.trigger_switch(id, switch).await
    }
    /// Invocations that events caused, or dead letters; newest first.
    pub async fn fired(&self, project: &ProjectName, filter: FiredFilter) -> Result<Vec<Fired>, Error> {
        self.inner.fired(project, filter).await
    }
    /// Queues a dead letter again, or lays it to rest.
    pub async fn redo(&self, id: InvocationId, redo: Redo) -> Result<(), Error> {
        self.inner.redo(id, redo).await
    }
    /// Arguments for a contract's method as the machine takes them, converted by what its manifest says, and the type
    /// of its result.
    pub async fn contract_arguments(
        &self,
        contract: ScriptHash,
        method: &str,
        given: &[Value],
    ) -> Result<(Vec<StackItem>, ParameterType), Error> {
        let (chain, clock) = (self.chain()?, &self.inner.options.clock);
        // not the kept manifests: whoever asks here may have updated the contract a moment ago
        let manifests = Manifests::default();
        let prepared = async {
            let methods = manifests.of(&*chain, contract, &**clock).await?;
            let method = methods.find(method, given.len())?;
            Ok((method.arguments(given)?, method.returns))
        };
        prepared
            .await
            .map_err(|(code, message): (Code, String)| Error::new(code, message))
    }
    /// The chain that this node follows (NF0816 without one).
    pub fn chain(&self) -> Result<Arc<dyn Chain>, Error> {
        self.inner.chain_port().cloned()
    }
    /// Compares the last block that was read with what nodes call it; with `apply` it is read again where they agree on
    /// another one.
    pub async fn recheck_chain(&self, apply: bool) -> Result<crate::triggers::Recheck, Error> {
        self.inner.recheck(apply).await
    }
    /// How the chain is followed right now; none without one.
    #[must_use]
    pub fn chain_state(&self) -> Option<ChainState> {
        self.inner.chain_state()
    }
    /// Counters of triggers since the start.
    #[must_use]
    pub fn trigger_stats(&self) -> TriggerStats {
        self.inner.triggers.stats()
    }
    /// Counts that survive a restart. Sees every call that was answered before.
    pub async fn totals(&self) -> Result<Totals, Error> {
        self.inner.totals().await
    }
    /// Functions with anything in the queue, at most `limit`: first those whose work has waited longest.
    pub async fn lanes(&self, limit: u32) -> Result<Vec<Lane>, Error> {
        self.inner.lanes(limit).await
    }
    /// What only one node does at a time, by name, and which node that is.
    pub async fn leases(&self) -> Result<Vec<(String, Lease)>, Error> {
        let now = self.inner.options.clock.now();
        let leases = self.inner.ports.leases.leases(now);
        leases.await.map_err(crate::error::of_store)
    }
    /// How many blocks of its chain no trigger was matched against yet, whichever node reads it; none without a chain, or
    /// before its first block was read.
    pub async fn blocks_behind(&self) -> Result<Option<u64>, Error> {
        self.inner.blocks_behind().await
    }
    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let inner = &self.inner;
        EngineStats {
            in_flight: inner.gate.total(),
            paused: inner.gate.paused(inner.options.clock.now()).0,
            cache_entries: u64::try_from(inner.cache.len()).unwrap_or(u64::MAX),
            records_pending: inner.recorder.pending(),
            records_lost: inner.recorder.lost(),
            draining: inner.draining.load(Ordering::Acquire),
            ..inner.counters.read()
        }
    }
    /// Runs at once that the load asks for; follows it from one look to the next.
    #[must_use]
    pub fn runs_wanted(&self, totals: &Totals) -> u32 {
        let durations = self.inner.counters.read().duration_us;
        let load = Load {
            waiting: totals.queued,
            running: self.inner.gate.total(),
            ended: durations.counts.iter().sum(),
            spent: Duration::from_micros(durations.sum),
        };
        let now = self.inner.options.clock.monotonic();
        self.inner.scale.lock().look(load, now)
    }
    /// Takes no new work (NF0305), lets what runs end, flushes history; answers whether all ended in time.
    /// Queued invocations stay on disk. Stop the service after this, not before: it renews the leases.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.inner.draining.store(true, Ordering::Release);
        self.inner.tasks.close();
        tokio::time::timeout(deadline, self.inner.tasks.wait())
            .await
            .is_ok()
    }
}
