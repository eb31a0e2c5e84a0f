//! A node among others: the connection to NATS, the runtime of the workers, the NATS edge.

use crate::options::{NatsLogin, NatsOptions, Workers};
use crate::upkeep::{Fault, Upkeep};
use crate::{engine_identities, files};
use async_trait::async_trait;
use neofn_api::{Api, Services, Wanted};
use neofn_bus::port::{Bus, JobQueue};
use neofn_bus_nats::{Login, Nats, NatsSettings, StreamSettings};
use neofn_cluster::{
    Beat, NODE_NAME_BYTES_MAX, PROTOCOL, RemoteOptions, RemoteRuntime, Role, Seat, is_node_name, warm_name,
};
use neofn_jail::Tier;
use neofn_nats::{NatsEdge, NatsEdgeOptions};
use neofn_runtime::port::Runtime;
use neofn_types::{Clock, Code, Digest, Entropy, Error, FunctionKey, ProjectName, RuntimeKind, UnixMillis};
use neofn_wire::{DeadMessage, NodeView, PlaceView, QueueView, ServiceList};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the depth of a queue is waited for.
const DEPTH_WAIT: Duration = Duration::from_secs(2);

/// Longest file with a seed.
const SEED_BYTES_MAX: u64 = 64 << 10;
/// Less than this does not take the events and results that a node takes itself.
const PAYLOAD_BYTES: usize = 4 << 20;

/// What a node has of its cluster.
pub(crate) struct Clustered {
    nats: Nats,
    pub(crate) bus: Bus,
    pub(crate) remote: RemoteRuntime,
    pub(crate) workers: Workers,
    upkeep: Upkeep,
    seat: Seat,
    edge: Option<NatsEdge>,
}

impl Clustered {
    /// Connects, makes or checks the streams, and begins to hear the others.
    pub(crate) async fn open(
        options: &NatsOptions,
        seat: Seat,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        let nats = connect(options, &seat).await?;
        let streams = StreamSettings {
            replicas: options.replicas,
            ..StreamSettings::default()
        };
        let bus = nats.bus(&streams).await?;
        let remote = RemoteRuntime::start(RemoteOptions {
            seat: seat.clone(),
            rpc: bus.rpc.clone(),
            artifacts: bus.artifacts.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            engines: engine_identities().to_vec(),
        });
        Ok(Self {
            remote: remote.await?,
            workers: options.workers,
            upkeep: Upkeep::begin(nats.clone(), streams),
            nats,
            bus,
            seat,
            edge: None,
        })
    }

    /// By which this gateway runs functions: it says of itself how that is doing, unless its workers do.
    pub(crate) fn runs_by(&self, runtime: &Arc<dyn Runtime>) {
        if self.workers != Workers::Remote {
            self.remote.runs_itself(runtime);
        }
    }

    /// Answers functions' subjects from here on; `store` tells the stores of gateways apart.
    pub(crate) async fn serve(
        &mut self,
        api: &Api,
        url: &str,
        store: &Digest,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), Error> {
        let store = store.to_string();
        if let Some(other) = strangers(&self.bus, &store).await?.into_iter().next() {
            return Err(Error::new(Code::BusMismatch, other).hint(
                "Gateways on one NATS take each other's work, so they share one database and its key files. Give this one the same \
                 `[postgres]`, or a NATS or account of its own. One that was killed is forgotten after 15 seconds.",
            ));
        }
        let lease = serde_json::json!({"role": "gateway", "url": url, "version": self.seat.version,
            "host": self.seat.host, "pid": self.seat.pid, "store": store});
        let edge = NatsEdge::start(NatsEdgeOptions {
            api: api.clone(),
            bus: self.bus.clone(),
            clock: clock.clone(),
            node: self.seat.id.clone(),
            version: self.seat.version.clone(),
            lease: lease.to_string().into(),
        });
        self.edge = Some(edge.await?);
        self.nats.check_subscriptions().await
    }

    /// Where its servers are.
    pub(crate) fn url(&self) -> &str {
        self.nats.url()
    }

    /// Takes no more, and answers what it took.
    pub(crate) async fn drain(&self, deadline: Duration) -> bool {
        self.remote.begin_drain().await;
        match &self.edge {
            Some(edge) => edge.drain(deadline).await,
            None => true,
        }
    }

    /// Says and hears no more.
    pub(crate) async fn close(self) {
        self.remote.stop();
        self.nats.flush().await;
    }
}

/// Gateways that serve the same NATS from another store, each as it is told.
async fn strangers(bus: &Bus, store: &str) -> Result<Vec<String>, Error> {
    let leases = bus.leases.entries().await?;
    let other = |entry: &neofn_bus::port::Entry| {
        let lease: serde_json::Value = serde_json::from_slice(&entry.value).ok()?;
        let its = lease.get("store")?.as_str()?;
        let host = lease.get("host").and_then(|host| host.as_str()).unwrap_or("?");
        let pid = lease.get("pid").and_then(serde_json::Value::as_u64).unwrap_or(0);
        (its != store).then(|| {
            format!(
                "gateway {} (process {pid} on {}) takes the work of this NATS into another database",
                entry.key.escape_debug(),
                host.escape_debug()
            )
        })
    };
    Ok(leases.iter().filter_map(other).collect())
}

/// Connects as `seat`.
pub(crate) async fn connect(options: &NatsOptions, seat: &Seat) -> Result<Nats, Error> {
    let login = match &options.login {
        NatsLogin::None => Login::None,
        NatsLogin::CredsFile(file) => Login::Creds(file.clone()),
        NatsLogin::NkeyFile(file) => {
            let text = files::read_text(file, SEED_BYTES_MAX)?;
            // such files may hold comments and the public key beside the seed
            let seed = text.lines().map(str::trim).find(|line| line.starts_with('S'));
            let seed = seed.ok_or_else(|| {
                Error::new(
                    Code::ConfigInvalid,
                    format!("{} holds no nkey seed", file.display()),
                )
                .hint("A seed is a line that begins with SU.")
            })?;
            Login::Nkey(seed.to_owned())
        }
        NatsLogin::Password { user, password } => Login::Password(user.clone(), password.reveal().to_owned()),
        NatsLogin::Token(token) => Login::Token(token.reveal().to_owned()),
    };
    let nats = Nats::connect(NatsSettings {
        urls: options.urls.clone(),
        login,
        ca_file: options.ca_file.clone(),
        certificate: options.certificate.clone().map(|c| (c.cert_file, c.key_file)),
        name: format!("neofn {} {}", seat.role.as_str(), seat.id),
        inbox: format!("neofn.inbox.{}.{}", seat.role.as_str(), seat.id),
    })
    .await?;
    let bytes_max = nats.rpc().bytes_max();
    if bytes_max < PAYLOAD_BYTES {
        tracing::warn!(
            max_payload = bytes_max,
            "the NATS server takes small messages only: larger events and results are refused; set max_payload: 8MB"
        );
    }
    Ok(nats)
}

/// What this process says of itself.
pub(crate) fn seat(role: Role, tier: Tier, insecure: bool, clock: &dyn Clock, entropy: &dyn Entropy) -> Seat {
    let mut random = [0; 6];
    entropy.fill(&mut random);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    Seat {
        id: format!("{}-{}", role.as_str(), hex::encode(random)),
        role,
        host: host_name(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        started_at: clock.now(),
        jail: tier.to_string(),
        insecure,
        enclave: enclave(Path::new("/dev")).map(str::to_owned),
        engines: engine_identities().to_vec(),
        cores,
        memory_bytes: crate::memory::memory_bytes(),
        runs_max: cores.saturating_mul(RUNS_PER_CORE),
    }
}

/// The confidential hardware that we run in: each has a device by which a guest asks for evidence of itself.
fn enclave(devices: &Path) -> Option<&'static str> {
    let known = [
        ("sev-guest", "sev-snp"),
        ("tdx_guest", "tdx"),
        ("tdx-guest", "tdx"),
        ("nsm", "nitro"),
        ("sgx_enclave", "sgx"),
    ];
    let there = known.iter().find(|(device, _)| devices.join(device).exists());
    there.map(|(_, kind)| *kind)
}

/// The same seat of a worker with so many sandboxes; 0: one per core. Each computes on one core at a time, so the others are
/// not this worker's, and gateways share out runs by what it says.
pub(crate) fn with_children(seat: Seat, children: u32) -> Seat {
    if children == 0 {
        return seat;
    }
    let cores = seat.cores.min(children);
    Seat {
        cores,
        runs_max: cores.saturating_mul(RUNS_PER_CORE),
        ..seat
    }
}

/// The same seat under a name that stays from start to start, so that a NATS user can be given the subjects of this worker
/// and of no other.
pub(crate) fn named(seat: Seat, name: &str) -> Result<Seat, Error> {
    if !is_node_name(name) {
        let text = format!(
            "{name:?} is no name of a worker: 1 to {NODE_NAME_BYTES_MAX} letters, digits, `-` and `_`"
        );
        return Err(Error::new(Code::ConfigInvalid, text));
    }
    Ok(Seat {
        id: name.to_owned(),
        ..seat
    })
}

/// A run mostly waits, for the chain or for another function; beyond this a worker refuses more.
const RUNS_PER_CORE: u32 = 64;

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(64).collect()
}

struct Cluster {
    remote: RemoteRuntime,
    bus: Bus,
    url: String,
    fault: Fault,
}

/// Which nodes are there, for the use cases.
pub(crate) struct Seen {
    alone: Seat,
    runtime: Arc<dyn Runtime>,
    cluster: Option<Cluster>,
    needs_workers: bool,
}

impl Seen {
    /// `seat` is what a node without a cluster says of itself.
    pub(crate) fn new(seat: Seat, runtime: Arc<dyn Runtime>, cluster: Option<&Clustered>) -> Self {
        Self {
            alone: seat,
            runtime,
            needs_workers: cluster.is_some_and(|c| c.workers == Workers::Remote),
            cluster: cluster.map(|c| Cluster {
                remote: c.remote.clone(),
                bus: c.bus.clone(),
                url: c.url().to_owned(),
                fault: c.upkeep.fault(),
            }),
        }
    }

    fn own(&self) -> Beat {
        let sandboxes = self.runtime.status();
        Beat {
            seat: self.alone.clone(),
            running: self.runtime.running(),
            runs: sandboxes.calls(),
            draining: false,
            sandboxes,
            warm: Vec::new(),
        }
    }
}

/// Of the queues that say it soon: who asks wants to know what is wrong, not to wait for it.
async fn depths(bus: &Bus) -> Vec<QueueView> {
    let depth =
        async |name: &str, queue: &Arc<dyn JobQueue>| match tokio::time::timeout(DEPTH_WAIT, queue.depth())
            .await
        {
            Ok(Ok(depth)) => Some(QueueView {
                name: name.to_owned(),
                waiting: depth.waiting,
                taken: depth.taken,
                oldest_ms: depth.oldest.and_then(|age| u64::try_from(age.as_millis()).ok()),
            }),
            Ok(Err(error)) => {
                tracing::warn!(%error, name, "depth of a queue not known");
                None
            }
            Err(_) => {
                tracing::warn!(name, "depth of a queue not said in time");
                None
            }
        };
    let (jobs, events) = tokio::join!(depth("jobs", &bus.jobs), depth("events", &bus.events));
    [jobs, events].into_iter().flatten().collect()
}

#[async_trait]
impl Services for Seen {
    async fn list(&self) -> Result<ServiceList, Error> {
        let Some(Cluster {
            remote,
            bus,
            url,
            fault,
        }) = &self.cluster
        else {
            return Ok(ServiceList {
                nodes: vec![view(&self.own(), None, None)],
                ..ServiceList::default()
            });
        };
        let members = remote.nodes();
        let mut faults: Vec<String> = fault.lock().iter().cloned().collect();
        faults.extend(members.iter().filter_map(neofn_cluster::Member::doubled));
        let mut nodes: Vec<NodeView> = members
            .iter()
            .map(|m| view(&m.beat, m.misfit(&engine_identities()), m.idle()))
            .collect();
        // workers last, each kind by age
        nodes.sort_by(|a, b| (&a.role, &a.started_at, &a.id).cmp(&(&b.role, &b.started_at, &b.id)));
        let connected = bus.rpc.is_connected();
        let queues = if connected { depths(bus).await } else { Vec::new() };
        Ok(ServiceList {
            nodes,
            queues,
            nats: Some(url.clone()),
            connected: Some(connected),
            faults,
            ..ServiceList::default()
        })
    }

    fn places(&self, wanted: &[Wanted]) -> Vec<Vec<PlaceView>> {
        let nodes = match &self.cluster {
            Some(cluster) if self.needs_workers => cluster.remote.nodes(),
            _ => {
                let own = |w: &Wanted| PlaceView {
                    id: self.alone.id.clone(),
                    warm: w.here,
                    busy: false,
                };
                return wanted.iter().map(|w| vec![own(w)]).collect();
            }
        };
        let engines = engine_identities();
        wanted
            .iter()
            .map(|w| {
                let engine: Vec<_> = engines.iter().filter(|(k, _)| *k == w.runtime).copied().collect();
                let name = warm_name(&w.key, w.version.0);
                let mut places: Vec<PlaceView> = nodes
                    .iter()
                    .filter(|m| m.fits(&engine))
                    .map(|m| PlaceView {
                        id: m.beat.seat.id.clone(),
                        warm: m.beat.warm.contains(&name),
                        busy: m.is_full(),
                    })
                    .collect();
                places.sort_by(|a, b| (!a.warm, a.busy, &a.id).cmp(&(!b.warm, b.busy, &b.id)));
                places
            })
            .collect()
    }

    fn home(&self, key: &FunctionKey, runtime: RuntimeKind) -> Option<String> {
        let cluster = self.cluster.as_ref().filter(|_| self.needs_workers)?;
        cluster.remote.home(key, runtime)
    }

    fn has_nats(&self) -> bool {
        self.cluster.is_some()
    }

    fn needs_workers(&self) -> bool {
        self.needs_workers
    }
    fn is_cut_off(&self) -> bool {
        self.cluster.as_ref().is_some_and(|c| !c.bus.rpc.is_connected())
    }
    fn fault(&self) -> Option<String> {
        self.cluster.as_ref().and_then(|c| c.fault.lock().clone())
    }

    async fn dead_messages(&self, project: &ProjectName, most: usize) -> Result<Vec<DeadMessage>, Error> {
        let Some(cluster) = &self.cluster else {
            return Ok(Vec::new());
        };
        let letters = cluster.bus.dead.list(project.as_ref(), most).await?;
        Ok(letters.into_iter().map(dead).collect())
    }
}

/// Shown of what a dead message held.
const SHOWN_BYTES: usize = 4 << 10;

fn dead(letter: neofn_bus::port::DeadLetter) -> DeadMessage {
    let payload = &letter.message.payload;
    let shown = payload.get(..payload.len().min(SHOWN_BYTES)).unwrap_or_default();
    DeadMessage {
        content_type: letter.message.get("content-type").map(str::to_owned),
        payload: String::from_utf8_lossy(shown).into_owned(),
        at: UnixMillis(letter.at_ms).to_iso8601(),
        id: letter.id,
        subject: letter.subject,
        reason: letter.reason,
    }
}

fn view(beat: &Beat, misfit: Option<String>, idle: Option<&str>) -> NodeView {
    let seat = &beat.seat;
    NodeView {
        id: seat.id.clone(),
        role: seat.role.as_str().to_owned(),
        host: seat.host.clone(),
        pid: seat.pid,
        version: seat.version.clone(),
        started_at: seat.started_at.to_iso8601(),
        misfit,
        idle: idle.map(str::to_owned),
        draining: beat.draining,
        running: beat.running,
        runs_max: seat.runs_max,
        runs: beat.runs,
        warm: beat.sandboxes.hot_versions,
        sandboxes: beat.sandboxes.children,
        runtimes: seat.engines.iter().map(|(kind, _)| kind.to_string()).collect(),
        cores: seat.cores,
        memory_bytes: seat.memory_bytes,
        jail: seat.jail.clone(),
        insecure: seat.insecure,
        enclave: seat.enclave.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enclave_is_known_by_its_device() {
        let devices = tempfile::tempdir().unwrap();
        assert_eq!(enclave(devices.path()), None);
        std::fs::write(devices.path().join("tdx_guest"), "").unwrap();
        assert_eq!(enclave(devices.path()), Some("tdx"));
    }
}
