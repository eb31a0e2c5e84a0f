//! What there is to call, and where: functions by name for those who may see them, nodes for operators.

use crate::api::Api;
use crate::error::ApiError;
use crate::policy::{Action, Target};
use async_trait::async_trait;
use neofn_engine::{FunctionState, Lane};
use neofn_identity::Principal;
use neofn_types::{Code, Error, FunctionKey, ProjectName, RuntimeKind, UnixMillis, Version};
use neofn_wire::{
    Catalogue, DeadMessage, FunctionService, LagView, LaneView, LeaseView, PlaceView, ServiceList,
};
use std::sync::Arc;
use std::time::Duration;

/// A version that is to be run somewhere.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose.
    pub key: FunctionKey,
    /// Which.
    pub version: Version,
    /// What it takes.
    pub runtime: RuntimeKind,
    /// Whether this node has it ready.
    pub here: bool,
}

/// Knows which nodes are there.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// All of them, and what waits between them.
    async fn list(&self) -> Result<ServiceList, Error>;
    /// The nodes that run each of these.
    fn places(&self, wanted: &[Wanted]) -> Vec<Vec<PlaceView>>;
    /// The worker that gets a function's runs first; none where this node runs them itself, and without one.
    fn home(&self, key: &FunctionKey, runtime: RuntimeKind) -> Option<String>;
    /// Whether functions are invoked over NATS, too.
    fn has_nats(&self) -> bool;
    /// Whether workers run everything that this node is asked for.
    fn needs_workers(&self) -> bool;
    /// Whether it has lost the others at the moment.
    fn is_cut_off(&self) -> bool;
    /// What is wrong with the streams and buckets of the cluster, if something is.
    fn fault(&self) -> Option<String>;
    /// Messages of a project that could never work, newest first.
    async fn dead_messages(&self, project: &ProjectName, most: usize) -> Result<Vec<DeadMessage>, Error>;
}

/// Functions with work that are listed.
const LANES_MAX: u32 = 50;
/// How long the storage is waited for: who asks wants to know what is wrong.
const WORK_WAIT: Duration = Duration::from_secs(2);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Api {
    /// Tells the use cases who knows the other nodes; once, before anybody asks.
    pub fn know_services(&self, services: Arc<dyn Services>) {
        if self.inner.services.set(services).is_err() {
            tracing::error!("the services are known already");
        }
    }

    /// The nodes that are there.
    pub async fn services(&self, who: &Principal) -> Result<ServiceList, ApiError> {
        self.authorise(who, Action::ListServices, Target::Node { loopback: false })?;
        let services = self.inner.services.get();
        let mut list = match services {
            Some(services) => services.list().await?,
            None => ServiceList::default(),
        };
        // who is there is known without the store, and asked for most when that does not answer
        match tokio::time::timeout(WORK_WAIT, self.work()).await {
            Ok(Ok((leases, lanes, lag))) => {
                list.leases = leases;
                list.lanes = lanes;
                list.lag = Some(lag);
            }
            Ok(Err(error)) => tracing::warn!(%error, "what waits is not known"),
            Err(_) => tracing::warn!("what waits is not known: the storage does not answer in time"),
        }
        Ok(list)
    }

    /// Who leads, what waits, and how far behind it is.
    async fn work(&self) -> Result<(Vec<LeaseView>, Vec<LaneView>, LagView), Error> {
        let engine = self.engine();
        let now = self.inner.clock.now();
        let leases = engine.leases().await?;
        // those with a slash are names of processes, of which each has its own
        let duties = leases.into_iter().filter(|(name, _)| !name.contains('/'));
        let leases = duties.map(|(name, lease)| LeaseView {
            name,
            left_ms: millis(lease.until.since(now)),
            until: lease.until.to_iso8601(),
            holder: lease.holder,
            fence: lease.fence.0,
        });
        let lanes: Vec<LaneView> = engine
            .lanes(LANES_MAX)
            .await?
            .into_iter()
            .map(|lane| self.lane(lane, now))
            .collect();
        let totals = engine.totals().await?;
        let lag = LagView {
            queued: totals.queued,
            running: totals.running,
            // the first lane is the one whose work has waited longest
            oldest_ms: lanes.first().and_then(|lane| lane.oldest_ms),
            blocks: engine.blocks_behind().await?,
        };
        Ok((leases.collect(), lanes, lag))
    }

    fn lane(&self, lane: Lane, now: UnixMillis) -> LaneView {
        let Lane {
            backlog,
            runtime,
            waits,
        } = lane;
        let services = self.inner.services.get();
        LaneView {
            home: services.and_then(|s| s.home(&backlog.key, runtime?)),
            project: backlog.key.project.to_string(),
            function: backlog.key.function.to_string(),
            waiting: backlog.waiting,
            later: backlog.later,
            running: backlog.running,
            oldest_ms: backlog.oldest.map(|at| millis(now.since(at))),
            waits: waits.map(crate::waits::view),
        }
    }

    /// The functions of a project as something to be called, by name.
    pub async fn catalogue(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Catalogue, ApiError> {
        self.authorise_project(who, Action::ListFunctions, project)?;
        let (rows, next) = self.functions_of(project, limit, cursor).await?;
        let mut functions = self.found(&rows);
        for function in &mut functions {
            function.nodes.clear();
        }
        Ok(Catalogue { functions, next })
    }

    /// One function as something to be called.
    pub async fn look_up(&self, who: &Principal, key: &FunctionKey) -> Result<FunctionService, ApiError> {
        self.authorise_function(who, Action::ReadFunction, key)?;
        let row = self.engine().function(key).await?;
        let found = self.found(&[row]).pop();
        found.ok_or_else(|| Error::from(Code::FunctionNotFound).into())
    }

    fn found(&self, rows: &[FunctionState]) -> Vec<FunctionService> {
        let wanted: Vec<Wanted> = rows
            .iter()
            .map(|(f, live)| Wanted {
                key: f.key.clone(),
                version: f.live,
                runtime: live.spec.runtime,
                here: self.engine().is_warm(&f.key, f.live),
            })
            .collect();
        let services = self.inner.services.get();
        let places = services.map(|s| s.places(&wanted)).unwrap_or_default();
        let nats = services.is_some_and(|s| s.has_nats());
        let mut places = places.into_iter();
        rows.iter()
            .map(|(f, live)| {
                let nodes = places.next().unwrap_or_default();
                let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                let (project, function) = (&f.key.project, &f.key.function);
                let runtime = live.spec.runtime;
                FunctionService {
                    project: project.to_string(),
                    function: function.to_string(),
                    runtime: runtime.to_string(),
                    version: f.live.0,
                    is_active: f.active,
                    public: live.spec.public,
                    http: format!("/api/v1/functions/{project}/{function}"),
                    nats: nats.then(|| format!("function.{runtime}.{project}.{function}")),
                    able: count(nodes.len()),
                    warm: count(nodes.iter().filter(|n| n.warm).count()),
                    nodes,
                }
            })
            .collect()
    }
}
