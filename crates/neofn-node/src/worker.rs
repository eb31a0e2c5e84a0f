//! A running worker: sandboxes and a connection to NATS, and nothing else. No store, no keys, no edge.

use crate::child::CHILD_ARGUMENT;
use crate::cluster;
use crate::memory;
use crate::node::TIER_NEEDED;
use crate::options::NatsOptions;
use crate::{OsEntropy, SystemClock};
use neofn_bus_nats::Nats;
use neofn_cluster::{Role, Worker, WorkerOptions};
use neofn_runtime::{Pool, PoolOptions};
use neofn_types::{Clock, Error};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a worker.
#[derive(Debug, Clone)]
pub struct WorkerNodeOptions {
    /// Where the messages are.
    pub nats: NatsOptions,
    /// The binary that plays the child roles; our own.
    pub exe: PathBuf,
    /// Runs tenants' code below the tier of confinement that it needs.
    pub insecure_no_jail: bool,
    /// Where the compiled engine is kept between starts.
    pub cache_dir: PathBuf,
    /// Sandbox processes; 0: one per core.
    pub children: u32,
    /// Its id, the same at each start; none: another one at each.
    pub name: Option<String>,
}

/// A worker that takes runs. [`WorkerNode::drain`] ends it in order; dropped, it ends at once.
pub struct WorkerNode {
    nats: Nats,
    worker: Worker,
    /// Dropped last: the runs need it.
    _pool: Arc<Pool>,
}

impl WorkerNode {
    /// Starts a worker; it takes runs when this returns.
    pub async fn start(options: WorkerNodeOptions) -> Result<Self, Error> {
        let tier = neofn_jail::require(&neofn_jail::probe(), TIER_NEEDED, options.insecure_no_jail)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let seat = cluster::seat(Role::Worker, tier, options.insecure_no_jail, &*clock, &OsEntropy);
        let seat = cluster::with_children(seat, options.children);
        let seat = match &options.name {
            Some(name) => cluster::named(seat, name)?,
            None => seat,
        };
        let nats = cluster::connect(&options.nats, &seat).await?;
        let mut pool = PoolOptions::new(
            options.exe,
            vec![CHILD_ARGUMENT.into()],
            options.cache_dir,
            clock.clone(),
        );
        pool.insecure_no_jail = options.insecure_no_jail;
        pool.children = options.children;
        let pool = Arc::new(Pool::start(memory::bounded(pool)).await?);
        let worker = Worker::start(WorkerOptions {
            seat,
            rpc: nats.rpc(),
            artifacts: nats.artifacts(),
            runtime: pool.clone(),
            clock,
        })
        .await?;
        nats.check_subscriptions().await?;
        tracing::info!(id = worker.beat().seat.id, nats = nats.url(), jail = %tier, "ready");
        if options.insecure_no_jail {
            tracing::warn!("running without the confinement that tenants' code needs: --insecure-no-jail");
        }
        Ok(Self {
            nats,
            worker,
            _pool: pool,
        })
    }

    /// As `neofn cluster status` lists it.
    #[must_use]
    pub fn id(&self) -> String {
        self.worker.beat().seat.id
    }
    /// The first server.
    #[must_use]
    pub fn nats(&self) -> &str {
        self.nats.url()
    }
    /// Takes no more runs; answers whether those under way ended in time.
    pub async fn drain(&self, deadline: Duration) -> bool {
        tracing::info!("draining");
        let ended = self.worker.drain(deadline).await;
        self.nats.flush().await;
        tracing::info!(ended, "stopped");
        ended
    }
}
