//! A running node: what it is made of, in the order in which it comes up and goes down.

use crate::audit;
use crate::backup::{self, Archive};
use crate::bank::{self, OpenBank};
use crate::chain::{ChainFacts, Connected};
use crate::child::CHILD_ARGUMENT;
use crate::cluster::{self, Clustered, Seen};
use crate::cover::BankCover;
use crate::grpc::{self, Serving};
use crate::memory;
use crate::options::{ChainChoice, NodeOptions, Workers};
use crate::payments::{Footing, Payments};
use crate::runtime_file::Published;
use crate::signer_lock::SignerLock;
use crate::storage::{self, Storage};
use crate::tls::Reloading;
use crate::{OsEntropy, SystemClock, ThreadEntropy, admin_key, outside, sign_in};
use neofn_api::{Action, Api, ApiOptions, NodeFacts, Proxies};
use neofn_chain::port::{Chain, Cover};
use neofn_cluster::Role;
use neofn_compiler::{CompileError, Compiler, CompilerOptions};
use neofn_egress::Broker;
use neofn_engine::port::{ActLog, ChainWriter};
use neofn_engine::{Engine, EngineOptions, Ports};
use neofn_gas::Purses;
use neofn_http::{Bound, Edge};
use neofn_identity::auditlog::port::AnchorChain;
use neofn_identity::auditlog::{AuditLog, AuditLogOptions};
use neofn_identity::policy::Policies;
use neofn_jail::Tier;
use neofn_runtime::port::Runtime;
use neofn_runtime::{Pool, PoolOptions};
use neofn_secrets::Vault;
use neofn_tls::Protocol;
use neofn_types::{Clock, Code, Entropy, Error, Scheme};
use neofn_wire::{JailView, RuntimeFile};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// JavaScript and WebAssembly may run from here on; see the jail's own documentation.
pub(crate) const TIER_NEEDED: Tier = Tier::Landlock;

/// Keys of which all nodes of a database have the same.
const SHARED_KEYS: [&str; 2] = [sign_in::NAME, audit::NAME];

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
    grpc: Option<Serving>,
    service: JoinHandle<()>,
    /// Removed with the node.
    #[expect(dead_code, reason = "kept, not read: its drop removes the files")]
    published: Published,
    cluster: Option<Clustered>,
    payments: Option<Payments>,
    bank: Option<OpenBank>,
    // last: the others ask it until they have ended
    chain: Option<Connected>,
}

impl Node {
    /// Starts a node; it answers when this returns.
    pub async fn start(options: NodeOptions) -> Result<Self, Error> {
        let tier = neofn_jail::require(&neofn_jail::probe(), TIER_NEEDED, options.insecure_no_jail)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(ThreadEntropy);
        let data = absolute(&options.data)?;
        let storage = Storage::open(&options, &data, clock.clone()).await?;
        let store = storage.store.clone();
        for key in SHARED_KEYS {
            storage.check_key(&data, key).await?;
        }
        let admin_key_file = admin_key::ensure(&data, &*store, &*clock, &OsEntropy).await?;
        let cert_file = options.tls.as_ref().map(|tls| absolute(&tls.cert_file));
        let cert_file = cert_file.transpose()?;
        let tls = options.tls.clone();
        let tls = tls.map(|tls| Reloading::open(tls, clock.clone())).transpose()?;
        let certificates = tls.as_ref().map(|tls| &tls.certificates);
        let http_tls = certificates.map(|tls| tls.acceptor(Protocol::Http1));
        let bound = Bound::bind(options.listen, options.server, http_tls).await?;
        let grpc_bound = grpc::bind(options.grpc, certificates).await?;
        let known = store.chain_networks().await.map_err(Error::from)?;
        let chain = Connected::open(&options.chain, &data, &options.tools_dir, &known, clock.clone()).await?;
        let seat = cluster::seat(Role::Gateway, tier, options.insecure_no_jail, &*clock, &OsEntropy);
        let mut cluster = match &options.nats {
            Some(nats) => Some(Clustered::open(nats, seat.clone(), &clock, &entropy).await?),
            None => None,
        };
        let (runtime, compiler) = children(&options, clock.clone(), cluster.as_ref()).await?;
        if let Some(cluster) = &cluster {
            cluster.runs_by(&runtime);
        }

        let lock = SignerLock::of(&data);
        let port = chain.as_ref().map(Connected::port);
        let port_network = port.as_ref().map(|chain| chain.network().0);
        let cover = options.bank.map(|_| Arc::<BankCover>::default());
        let payments = match &port {
            Some(chain) => {
                let on = Footing {
                    options: &options,
                    data: &data,
                    chain: chain.clone(),
                    storage: &storage,
                    node: &seat.id,
                    clock: clock.clone(),
                    entropy: entropy.clone(),
                    lock: lock.clone(),
                    cover: cover.clone().map(|c| c as Arc<dyn Cover>),
                };
                let development = matches!(options.chain, ChainChoice::Dev { .. });
                Some(Payments::open(on, development).await?)
            }
            None => None,
        };
        let bank = match options.bank {
            Some(choice) => {
                let sending = payments.as_ref().map(|p| p.transactions.clone());
                let on = bank::Footing {
                    choice,
                    storage: &storage,
                    node: &seat.id,
                    chain: port.clone().zip(sending),
                    clock: clock.clone(),
                    entropy: entropy.clone(),
                    lock: lock.clone(),
                    audit: AuditLog::new(AuditLogOptions {
                        store: store.clone(),
                        key: audit::key(&data)?,
                        clock: clock.clone(),
                        chain: None,
                        anchor_every: Duration::ZERO,
                    }),
                };
                Some(OpenBank::open(on).await?)
            }
            None => None,
        };
        if let (Some(cover), Some(open)) = (&cover, &bank) {
            cover.open(open.bank.clone());
        }
        let anchors = match (&payments, options.anchor_every) {
            (Some(payments), Some(_)) => Some(Arc::new(audit::Anchors {
                transactions: payments.transactions.clone(),
            }) as Arc<dyn AnchorChain>),
            _ => None,
        };
        let log = AuditLog::new(AuditLogOptions {
            store: store.clone(),
            key: audit::key(&data)?,
            clock: clock.clone(),
            chain: anchors,
            anchor_every: options.anchor_every.unwrap_or_default(),
        });
        let policies = match &options.access.policies {
            Some(dir) => Policies::load(Action::DECLARED, dir),
            None => Policies::built_in(Action::DECLARED),
        }?;
        // as late as can be: from here on the database is bound to this node's keys
        sign_in::make_key(&data)?;
        storage.claim_key(&data, sign_in::NAME).await?;
        let accounts = sign_in::open(sign_in::Footing {
            access: &options.access,
            data: &data,
            address: bound.address(),
            store: store.clone(),
            chain: port.clone(),
            clock: clock.clone(),
            scheme: match tls {
                Some(_) => Scheme::Https,
                None => Scheme::Http,
            },
        })
        .await?;
        for key in SHARED_KEYS {
            storage.agree_on_key(&data, key).await?;
        }
        let broker = outside::broker(&options, clock.clone())?;
        let vault = outside::vault(
            &options,
            &data,
            store.clone(),
            storage.among(),
            clock.clone(),
            entropy.clone(),
        )
        .await?;
        let beyond = Beyond {
            vault: vault.clone(),
            broker,
            chain: port,
            writer: payments.as_ref().map(Payments::writer),
            purses: bank.as_ref().map(|b| b.bank.purses().clone()),
            node: seat.id.clone(),
            acts: Arc::new(audit::Acts::new(log.clone(), clock.clone())),
        };
        let (engine, service) = engine(&options, &clock, &entropy, &storage, &runtime, compiler, beyond);
        let [going, closing, gone] = std::array::from_fn(|_| CancellationToken::new());
        let service = tokio::spawn(service.run(gone.clone().cancelled_owned()));
        tokio::spawn(sign_in::keep(accounts.clone(), gone.clone()));
        let auditing = storage.leading("audit", &clock, &seat.id);
        tokio::spawn(audit::keep(
            log.clone(),
            auditing,
            options.anchor_every,
            gone.clone(),
        ));
        backup::sweep(&data);
        // a database that nodes share is backed up with its own tools
        let archive = storage.embedded.clone().map(|store| {
            Arc::new(Archive {
                data: data.clone(),
                store,
                audit: log.clone(),
                clock: clock.clone(),
                network: port_network,
                making: Arc::default(),
            }) as Arc<dyn neofn_api::Backups>
        });
        let api = Api::new(ApiOptions {
            engine: engine.clone(),
            fingerprint_key: sign_in::fingerprint_key(&data)?,
            replies: storage.store.clone(),
            promises: storage.store.clone(),
            runtime: runtime.clone(),
            identity: store.clone(),
            accounts,
            members: store.clone(),
            policies,
            rates: options.rates,
            proxies: Proxies::new(options.trusted_proxies.clone()),
            vault: Some(vault),
            clock: clock.clone(),
            entropy,
            limits_max: options.limits_max,
            bank: bank.as_ref().map(|b| b.bank.clone()),
            backups: archive,
            audit: log,
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
        api.know_services(Arc::new(Seen::new(seat, runtime, cluster.as_ref())));
        let url = url(bound.address(), tls.is_some());
        if let Some(tls) = tls {
            tokio::spawn(tls.keep(gone.clone()));
        }
        if let Some(cluster) = &mut cluster {
            cluster
                .serve(&api, &url, &storage::identity(&data)?, &clock)
                .await?;
        }
        let edge = Edge::with_origins(api.clone(), going.clone(), &options.access.origins);
        let server = tokio::spawn(bound.serve(edge, closing.clone()));
        let grpc = match grpc_bound {
            Some(bound) => Some(Serving::start(bound, api.clone(), going.clone(), closing.clone()).await?),
            None => None,
        };
        let file = RuntimeFile {
            url: url.clone(),
            admin_key_file: admin_key_file.display().to_string(),
            pid: std::process::id(),
            cert_file: cert_file.map(|file| file.display().to_string()),
        };
        let published = Published::write(&data, options.state_dir.as_deref(), &file)?;
        let grpc_address = grpc.as_ref().map(|g| g.address.to_string());
        tracing::info!(url, grpc = grpc_address, data = %data.display(), jail = %tier, "ready");
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
            grpc,
            service,
            published,
            cluster,
            payments,
            bank,
            chain,
        })
    }

    /// `http://127.0.0.1:PORT`, or `https://` where it has a certificate.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
    /// Where it listens for gRPC; none when that is off.
    #[must_use]
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(|g| g.address)
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
    /// The first server of its NATS; none without one.
    #[must_use]
    pub fn nats(&self) -> Option<&str> {
        self.cluster.as_ref().map(Clustered::url)
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
        let requests_ended = async {
            match &self.cluster {
                Some(cluster) => cluster.drain(deadline).await,
                None => true,
            }
        };
        let (runs_ended, requests_ended) = tokio::join!(self.engine.drain(deadline), requests_ended);
        self.closing.cancel();
        // answers of ended runs are on their way; a client that does not take them cannot hold us up
        let grpc = self.grpc.as_mut();
        let both = async {
            let grpc = async {
                if let Some(grpc) = grpc {
                    grpc.ended().await;
                }
            };
            tokio::join!(&mut self.server, grpc)
        };
        let answered = tokio::time::timeout(Duration::from_secs(2), both).await.is_ok();
        self.gone.cancel();
        if let Err(e) = (&mut self.service).await {
            tracing::error!(error = %e, "the engine's loops ended");
        }
        if let Some(bank) = self.bank.take() {
            bank.close().await;
        }
        if let Some(payments) = self.payments.take() {
            payments.close().await;
        }
        if let Some(cluster) = self.cluster.take() {
            cluster.close().await;
        }
        let closed = self.storage.store.end().await;
        if let Err(e) = &closed {
            tracing::error!(error = %e, "the store did not close");
        }
        if let Some(chain) = self.chain.take() {
            chain.close().await;
        }
        tracing::info!(runs_ended, answered, requests_ended, "stopped");
        runs_ended && requests_ended && closed.is_ok()
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

/// Sandboxes and compiler come up side by side: each costs some tens of milliseconds. A gateway of remote workers has
/// no sandboxes.
async fn children(
    options: &NodeOptions,
    clock: Arc<dyn Clock>,
    cluster: Option<&Clustered>,
) -> Result<(Arc<dyn Runtime>, Compiler), Error> {
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
    let runtime = async {
        Ok::<Arc<dyn Runtime>, Error>(match cluster {
            Some(cluster) if cluster.workers == Workers::Remote => Arc::new(cluster.remote.clone()),
            _ => Arc::new(Pool::start(memory::bounded(pool)).await?),
        })
    };
    let (runtime, warm) = tokio::join!(runtime, compiler.warm_up());
    warm.map_err(|e: CompileError| {
        Error::new(
            Code::JailTooWeak,
            format!("the compiler's process does not start: {e}"),
        )
        .because(e)
    })?;
    Ok((runtime?, compiler))
}

/// What the engine has of the world outside the node.
struct Beyond {
    vault: Arc<Vault>,
    broker: Arc<Broker>,
    chain: Option<Arc<dyn Chain>>,
    writer: Option<Arc<dyn ChainWriter>>,
    /// What calls are paid from.
    purses: Option<Purses>,
    /// This node's name.
    node: String,
    acts: Arc<dyn ActLog>,
}

fn engine(
    options: &NodeOptions,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    storage: &Storage,
    runtime: &Arc<dyn Runtime>,
    compiler: Compiler,
    beyond: Beyond,
) -> (Engine, neofn_engine::Service) {
    let mut engine = EngineOptions::new(clock.clone(), entropy.clone());
    engine.limits_max = options.limits_max;
    engine.retention = options.retention;
    engine.kv_quota = options.kv_quota;
    engine.queue_age_max = options.queue_age_max;
    engine.chain.anew = options.chain.begins_anew();
    engine.node = beyond.node;
    let store = &storage.store;
    let ports = Ports {
        registry: store.clone(),
        invocations: store.clone(),
        kv: store.clone(),
        triggers: store.clone(),
        leases: store.clone(),
        neighbours: storage.neighbours.clone(),
        runtime: runtime.clone(),
        compiler: Arc::new(compiler),
        chain: beyond.chain,
        writer: beyond.writer,
        vault: Some(beyond.vault),
        broker: Some(beyond.broker),
        acts: Some(beyond.acts),
        purses: beyond.purses,
    };
    Engine::build(engine, ports)
}

/// `runtime.json` is read from elsewhere, so what it names must not depend on where we were started.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|e| Error::new(Code::ConfigInvalid, format!("where is {}", path.display())).because(e))
}

/// Where to reach a node on this machine; one that listens everywhere is reached over loopback.
fn url(address: SocketAddr, tls: bool) -> String {
    let mut shown = address;
    if shown.ip().is_unspecified() {
        shown.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{shown}")
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
            assert_eq!(url(address.parse().unwrap(), false), expected);
            assert_eq!(
                url(address.parse().unwrap(), true),
                expected.replace("http", "https")
            );
        }
    }
}
