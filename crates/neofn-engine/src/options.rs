//! Settings of the engine, and the ports it is built from. Each has a limit; none is read from the environment.

use crate::port::{
    ActLog, ChainWriter, Compile, InvocationStore, KvQuota, KvStore, LeaseStore, Neighbours, Retention,
};
use crate::triggers::ChainSettings;
use crate::triggers::port::TriggerStore;
use neofn_chain::port::Chain;
use neofn_gas::Purses;
use neofn_registry::port::RegistryStore;
use neofn_runtime::port::{JobLimits, Runtime};
use neofn_sched::{Backoff, Caps};
use neofn_types::{Clock, Entropy, InvocationId, Limits};
use std::sync::Arc;
use std::time::Duration;

/// What the composition root decides. Start from [`EngineOptions::new`] and change what differs.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// This node's name, of which there is no other: leases are held under it.
    pub node: String,
    /// The most that a version may ask for.
    pub limits_max: Limits,
    /// Sizes and counts of a run.
    pub job_limits: JobLimits,
    /// How long history is kept.
    pub retention: Retention,
    /// Of each project.
    pub kv_quota: KvQuota,
    /// Most waiting invocations of one function.
    pub queue_max: u32,
    /// Most deployments at the same time; further ones wait.
    pub deploys_max: u32,
    /// Most asynchronous runs at the same time.
    pub async_workers: u32,
    /// Most runs at the same time, of all functions together.
    pub node_concurrency_max: u32,
    /// Most runs at the same time of one project.
    pub project_concurrency_max: u32,
    /// How old accepted work may be when it begins; older work ends as expired and never runs hours late.
    pub queue_age_max: Duration,
    /// When queued work of a function that fails is held back.
    pub breaker: neofn_sched::BreakerRule,
    /// Between which bounds the node says how many runs at once the load asks for.
    pub scale: neofn_sched::ScaleRule,
    /// How long a claim holds without renewal.
    pub lease: Duration,
    /// When failed asynchronous invocations are tried again.
    pub backoff: Backoff,
    /// How deep functions may call each other.
    pub chain_depth_max: u32,
    /// Live versions unused for so long leave the memory.
    pub cache_idle: Duration,
    /// Most versions in memory.
    pub cache_entries_max: usize,
    /// Ended plain calls whose history row may wait for the disk; beyond it answers wait.
    pub records_pending_max: u32,
    /// Log entries that a slow follower may lag behind.
    pub follow_entries_max: usize,
    /// How often the dispatcher looks around without being woken; leases are renewed every ten ticks.
    pub tick: Duration,
    /// How often history, keys and memory are swept.
    pub sweep_every: Duration,
    /// How a chain is followed.
    pub chain: ChainSettings,
}

impl EngineOptions {
    /// The defaults of the design.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            node: InvocationId::generate(clock.now(), &*entropy).to_string(),
            clock,
            entropy,
            limits_max: Limits {
                units: neofn_types::Units(1_000_000_000),
                time_ms: 300_000,
                memory_bytes: 512 << 20,
                concurrency: 1_000,
            },
            job_limits: JobLimits::default(),
            retention: Retention::default(),
            kv_quota: KvQuota::default(),
            queue_max: 10_000,
            deploys_max: 4,
            async_workers: 64,
            node_concurrency_max: 1_000,
            project_concurrency_max: 1_000,
            queue_age_max: Duration::from_secs(24 * 3_600),
            breaker: neofn_sched::BreakerRule::default(),
            scale: neofn_sched::ScaleRule::default(),
            lease: Duration::from_secs(30),
            backoff: Backoff::default(),
            chain_depth_max: 8,
            cache_idle: Duration::from_secs(600),
            cache_entries_max: 1_024,
            records_pending_max: 4_096,
            follow_entries_max: 256,
            tick: Duration::from_secs(1),
            sweep_every: Duration::from_secs(60),
            chain: ChainSettings::default(),
        }
    }
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            node: self.node_concurrency_max,
            project: self.project_concurrency_max,
            queue: self.async_workers,
        }
    }
}

/// What does the work.
#[derive(Clone)]
pub struct Ports {
    /// Functions, versions, artifacts.
    pub registry: Arc<dyn RegistryStore>,
    /// Queue and history.
    pub invocations: Arc<dyn InvocationStore>,
    /// Reads of ctx.kv.
    pub kv: Arc<dyn KvStore>,
    /// States and deliveries of triggers.
    pub triggers: Arc<dyn TriggerStore>,
    /// Who does what only one node does at a time.
    pub leases: Arc<dyn LeaseStore>,
    /// The other nodes of the same store; none: it is ours alone.
    pub neighbours: Option<Arc<dyn Neighbours>>,
    /// Sandboxes.
    pub runtime: Arc<dyn Runtime>,
    /// The compiler.
    pub compiler: Arc<dyn Compile>,
    /// The chain that triggers follow and functions read; none on a node without one.
    pub chain: Option<Arc<dyn Chain>>,
    /// Sends what functions send; none on a node without an account.
    pub writer: Option<Arc<dyn ChainWriter>>,
    /// What calls are paid from; none on a node where nothing costs anything.
    pub purses: Option<Purses>,
    /// Keeps secrets; none on a node without.
    pub vault: Option<Arc<neofn_secrets::Vault>>,
    /// The way to other hosts; none on a node without.
    pub broker: Option<Arc<neofn_egress::Broker>>,
    /// Where acts of functions are written down; none: nowhere.
    pub acts: Option<Arc<dyn ActLog>>,
}
