//! A running node: what it is made of, in the order in which it comes up and goes down.

use crate::chain::{ChainFacts, Connected};
use crate::child::CHILD_ARGUMENT;
use crate::options::{ChainChoice, NodeOptions};
use crate::payments::{Footing, Payments};
use crate::runtime_file::Published;
use crate::storage::Storage;
use crate::{OsEntropy, SystemClock, ThreadEntropy, admin_key};
use neofn_api::{Api, ApiOptions, NodeFacts};
use neofn_chain::port::Chain;
use neofn_compiler::{CompileError, Compiler, CompilerOptions};
use neofn_engine::port::ChainWriter;
use neofn_engine::{Engine, EngineOptions, Ports};
use neofn_http::{Bound, Edge};
use neofn_jail::Tier;
use neofn_runtime::{Pool, PoolOptions};
use neofn_types::{Clock, Code, Entropy, Error};
use neofn_wire::{JailView, RuntimeFile};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// JavaScript and WebAssembly may run from here on; see the jail's own documentation.
const TIER_NEEDED: Tier = Tier::Landlock;

/// A node that answers. [`Node::drain`] ends it in order; dropped, it ends at once.
pub struct Node {
    url: String,
    admin_key_file: PathBuf,
    tier: Tier,
    api: Api,
    engine: Engine,
    storage: Storage,
    /// Ends streams.
    going: CancellationToken,
    /// Ends the server.
    closing: CancellationToken,
    /// Ends the engine's loops.
    gone: CancellationToken,
    server: JoinHandle<()>,
    service: JoinHandle<()>,
    /// Removed with the node.
    #[expect(dead_code, reason = "kept, not read: its drop removes the files")]
    published: Published,
    payments: Option<Payments>,
    // last: the others ask it until they have ended
    chain: Option<Connected>,
}

impl Node {
    /// Starts a node; it answers when this returns.
    pub async fn start(options: NodeOptions) -> Result<Self, Error> {
        options.refuse_unknown_engines()?;
        let tier = neofn_jail::require(&neofn_jail::probe(), TIER_NEEDED, options.insecure_no_jail)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(ThreadEntropy);
        let data = absolute(&options.data)?;
        let storage = Storage::open(&options, &data, clock.clone()).await?;
        let store = storage.store.clone();
        let admin_key_file = admin_key::ensure(&data, &*store, &*clock, &OsEntropy).await?;
        let bound = Bound::bind(options.listen, options.server).await?;
        let chain = Connected::open(&options.chain, &data, &options.tools_dir, clock.clone()).await?;
        let (pool, compiler) = children(&options, clock.clone()).await?;

        let port = chain.as_ref().map(Connected::port);
        let payments = match &port {
            Some(chain) => {
                let on = Footing {
                    options: &options,
                    data: &data,
                    chain: chain.clone(),
                    storage: &storage,
                    clock: clock.clone(),
                    entropy: entropy.clone(),
                };
                let development = matches!(options.chain, ChainChoice::Dev { .. });
                Some(Payments::open(on, development).await?)
            }
            None => None,
        };
        let chained = Chained {
            chain: port,
            writer: payments.as_ref().map(Payments::writer),
        };
        let (engine, service) = engine(&options, &clock, &entropy, &storage, &pool, compiler, chained);
        let [going, closing, gone] = std::array::from_fn(|_| CancellationToken::new());
        let service = tokio::spawn(service.run(gone.clone().cancelled_owned()));
        let api = Api::new(ApiOptions {
            engine: engine.clone(),
            runtime: pool,
            identity: store.clone(),
            clock,
            entropy,
            limits_max: options.limits_max,
            payments: payments
                .as_ref()
                .map(|p| p.shown(chain.as_ref().map(|c| &c.facts))),
            facts: NodeFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                jail: JailView {
                    tier: tier.to_string(),
                    insecure: options.insecure_no_jail,
                },
            },
        });
        let url = url(bound.address());
        let edge = Edge::new(api.clone(), going.clone());
        let server = tokio::spawn(bound.serve(edge, closing.clone()));
        let file = RuntimeFile {
            url: url.clone(),
            admin_key_file: admin_key_file.display().to_string(),
            pid: std::process::id(),
        };
        let published = Published::write(&data, options.state_dir.as_deref(), &file)?;
        tracing::info!(url, data = %data.display(), jail = %tier, "ready");
        if options.insecure_no_jail {
            tracing::warn!("running without the confinement that tenants' code needs: --insecure-no-jail");
        }
        Ok(Self {
            url,
            admin_key_file,
            tier,
            api,
            engine,
            storage,
            going,
            closing,
            gone,
            server,
            service,
            published,
            payments,
            chain,
        })
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
    /// The file that holds the admin key alone.
    #[must_use]
    pub fn admin_key_file(&self) -> &Path {
        &self.admin_key_file
    }
    /// How tenants' code is confined.
    #[must_use]
    pub fn jail_tier(&self) -> Tier {
        self.tier
    }
    /// How to reach its chain; none when it has none.
    #[must_use]
    pub fn chain(&self) -> Option<&ChainFacts> {
        self.chain.as_ref().map(|c| &c.facts)
    }
    /// Its transactions; none without a chain.
    #[must_use]
    pub fn transactions(&self) -> Option<&neofn_chain::manager::Transactions> {
        self.payments.as_ref().map(|p| &p.transactions)
    }
    /// Its signer, for operators; none without a chain.
    #[must_use]
    pub fn signer(&self) -> Option<&Arc<neofn_chain::signer::SignerProcess>> {
        self.payments.as_ref().map(|p| &p.signer)
    }
    /// Ready when the node no longer answers, which without [`Node::drain`] is a defect.
    pub async fn stopped(&mut self) {
        if let Err(e) = (&mut self.server).await {
            tracing::error!(error = %e, "the server ended");
        }
    }

    /// Ends in order: new calls are refused with 503, running ones end within `deadline`, history reaches the disk. What waits in
    /// the queue stays there for the next start. Answers whether everything ended in time.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        tracing::info!("draining");
        self.api.begin_drain();
        self.going.cancel();
        let runs_ended = self.engine.drain(deadline).await;
        self.closing.cancel();
        // answers of ended runs are on their way; a client that does not take them cannot hold us up
        let answered = tokio::time::timeout(Duration::from_secs(2), &mut self.server)
            .await
            .is_ok();
        self.gone.cancel();
        if let Err(e) = (&mut self.service).await {
            tracing::error!(error = %e, "the engine's loops ended");
        }
        if let Some(payments) = self.payments.take() {
            payments.close().await;
        }
        let closed = self.storage.store.end().await;
        if let Err(e) = &closed {
            tracing::error!(error = %e, "the store did not close");
        }
        if let Some(chain) = self.chain.take() {
            chain.close().await;
        }
        tracing::info!(runs_ended, answered, "stopped");
        runs_ended && closed.is_ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.going.cancel();
        self.closing.cancel();
        self.gone.cancel();
        self.server.abort();
        self.service.abort();
    }
}

/// Sandboxes and compiler come up side by side: each costs some tens of milliseconds.
async fn children(options: &NodeOptions, clock: Arc<dyn Clock>) -> Result<(Arc<Pool>, Compiler), Error> {
    let mut pool = PoolOptions::new(
        options.exe.clone(),
        vec![CHILD_ARGUMENT.into()],
        options.cache_dir.clone(),
        clock,
    );
    pool.insecure_no_jail = options.insecure_no_jail;
    pool.children = options.children;
    let compiler = Compiler::new(CompilerOptions {
        insecure_no_jail: options.insecure_no_jail,
        ..CompilerOptions::new(options.exe.clone())
    });
    let (pool, warm) = tokio::join!(Pool::start(pool), compiler.warm_up());
    warm.map_err(|e: CompileError| {
        Error::new(
            Code::JailTooWeak,
            format!("the compiler's process does not start: {e}"),
        )
        .because(e)
    })?;
    Ok((Arc::new(pool?), compiler))
}

/// What the engine has of the chain.
struct Chained {
    chain: Option<Arc<dyn Chain>>,
    writer: Option<Arc<dyn ChainWriter>>,
}

fn engine(
    options: &NodeOptions,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    storage: &Storage,
    pool: &Arc<Pool>,
    compiler: Compiler,
    chained: Chained,
) -> (Engine, neofn_engine::Service) {
    let mut engine = EngineOptions::new(clock.clone(), entropy.clone());
    engine.limits_max = options.limits_max;
    engine.retention = options.retention;
    engine.kv_quota = options.kv_quota;
    engine.chain.anew = options.chain.begins_anew();
    let store = &storage.store;
    let ports = Ports {
        registry: store.clone(),
        invocations: store.clone(),
        kv: store.clone(),
        triggers: store.clone(),
        leases: store.clone(),
        neighbours: storage.neighbours.clone(),
        runtime: pool.clone(),
        compiler: Arc::new(compiler),
        chain: chained.chain,
        writer: chained.writer,
    };
    Engine::build(engine, ports)
}

/// `runtime.json` is read from elsewhere, so what it names must not depend on where we were started.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|e| Error::new(Code::ConfigInvalid, format!("data directory {}", path.display())).because(e))
}

/// Where to reach a node on this machine; one that listens everywhere is reached over loopback.
fn url(address: SocketAddr) -> String {
    let mut shown = address;
    if shown.ip().is_unspecified() {
        shown.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_can_be_called() {
        for (address, expected) in [
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("0.0.0.0:9", "http://127.0.0.1:9"),
            ("[::]:9", "http://[::1]:9"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }
}
