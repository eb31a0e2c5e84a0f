//! Several nodes that together are one chain: the best one is asked, the next when it fails; those that lag, lie or
//! left the network are put aside, and it is said.

mod chain;
mod follow;
mod judge;
mod witness;

use crate::error::ChainError;
use crate::model::{Head, NetworkId, NodeStatus, Policy};
use crate::rpc::{Node, Version};
use judge::{Measure, Seen};
use neofn_types::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Until the nodes have said how often they make blocks.
const BLOCK_MS: u64 = 15_000;

/// Settings of a pool. Start from [`PoolOptions::new`].
#[derive(Clone)]
pub struct PoolOptions {
    /// Addresses, `http://…` or `https://…`; the first ones weigh more where they disagree.
    pub urls: Vec<String>,
    /// Networks that nodes may be on; empty: the one that more than half of the addresses name, or all that answer.
    pub networks: Vec<NetworkId>,
    /// A node that is further behind is put aside.
    pub lag_max: Duration,
    /// How many nodes a transaction is sent to.
    pub broadcast: usize,
    /// How long to wait for the first node at the start.
    pub patience: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
}
impl PoolOptions {
    /// The defaults for some addresses.
    #[must_use]
    pub fn new(urls: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            urls,
            networks: Vec::new(),
            lag_max: Duration::from_secs(15),
            broadcast: 3,
            patience: Duration::from_secs(10),
            clock,
        }
    }
}

/// The nodes of one network. Dropped: it stops following them.
pub struct Pool {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    nodes: Vec<Member>,
    network: NetworkId,
    lag_max: Duration,
    broadcast: usize,
    block_ms: AtomicU64,
    seen: Mutex<Vec<Seen>>,
    head: watch::Sender<Head>,
    /// Whether the first heads were compared; none is published before.
    agreed: AtomicBool,
    policy: Mutex<Option<(Duration, Policy)>>,
    clock: Arc<dyn Clock>,
}
struct Member {
    node: Arc<Node>,
    again: Notify,
}

impl Pool {
    /// Asks all nodes what they are and begins to follow them. One that answers is enough; the others may come later.
    pub async fn connect(options: PoolOptions) -> Result<Self, ChainError> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for url in &options.urls {
            let node = Node::new(url).map_err(ChainError::Unreachable)?;
            // a node that is named twice would be two witnesses for one word
            if nodes.iter().any(|n| n.address() == node.address()) {
                tracing::warn!(node = node.name(), "chain node named twice");
            } else {
                nodes.push(Arc::new(node));
            }
        }
        if nodes.is_empty() {
            return Err(ChainError::Unreachable("no address is given".to_owned()));
        }
        let (network, versions) = introductions(&nodes, &options).await?;
        // zeroes until a node has told its own; `connect` does not return before
        let unknown = Head {
            height: 0,
            hash: neofn_types::Hash256::ZERO,
            time: neofn_types::UnixMillis(0),
        };
        let shared = Arc::new(Shared {
            seen: Mutex::new(vec![Seen::default(); nodes.len()]),
            nodes: nodes.into_iter().map(Member::new).collect(),
            network,
            lag_max: options.lag_max,
            broadcast: options.broadcast.max(1),
            block_ms: AtomicU64::new(BLOCK_MS),
            head: watch::Sender::new(unknown),
            agreed: AtomicBool::new(false),
            policy: Mutex::new(None),
            clock: options.clock,
        });
        for (index, version) in versions.iter().enumerate() {
            match version {
                Ok(version) => shared.introduced(index, version),
                Err(why) => shared.update(index, |seen| seen.failed(why)),
            }
        }
        futures_util::future::join_all((0..shared.nodes.len()).map(|i| shared.probe(i, false))).await;
        shared.agree();
        // those that were asked first may have had nobody to be compared with
        futures_util::future::join_all((0..shared.nodes.len()).map(|i| shared.probe(i, false))).await;
        if shared.candidates(0).is_empty() {
            return Err(shared.nobody());
        }
        let tasks = (0..shared.nodes.len())
            .flat_map(|i| {
                [
                    tokio::spawn(follow::poll(shared.clone(), i)),
                    tokio::spawn(follow::listen(shared.clone(), i)),
                ]
            })
            .collect();
        Ok(Self { shared, tasks })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Member {
    fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            again: Notify::new(),
        }
    }
}

type Introductions = Vec<Result<Version, String>>;

/// Asks all nodes what they are until one of the right network answers, or patience ends.
async fn introductions(
    nodes: &[Arc<Node>],
    options: &PoolOptions,
) -> Result<(NetworkId, Introductions), ChainError> {
    let began = options.clock.monotonic();
    loop {
        let asked = nodes
            .iter()
            .map(|node| async { node.version().await.map_err(|e| e.to_string()) });
        let versions: Introductions = futures_util::future::join_all(asked).await;
        match network_of(nodes, &versions, &options.networks) {
            Ok(Some(network)) => return Ok((network, versions)),
            // those that are silent yet may decide it
            wrong if options.clock.monotonic().saturating_sub(began) >= options.patience => {
                let silent = || ChainError::Unreachable(failures(&versions));
                return Err(wrong.err().unwrap_or_else(silent));
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The network of the nodes that answered; none while nobody did. One node's word must not outweigh another's: where they
/// name several networks, it takes most of all addresses, or the operator.
fn network_of(
    nodes: &[Arc<Node>],
    versions: &Introductions,
    allowed: &[NetworkId],
) -> Result<Option<NetworkId>, ChainError> {
    let said: Vec<(&str, NetworkId)> = nodes
        .iter()
        .zip(versions)
        .filter_map(|(node, version)| Some((node.name(), version.as_ref().ok()?.network)))
        .collect();
    let fit = |network: NetworkId| allowed.is_empty() || allowed.contains(&network);
    let found: Vec<NetworkId> = said.iter().map(|s| s.1).filter(|n| fit(*n)).collect();
    let Some(first) = found.first().copied() else {
        return said.first().map_or(Ok(None), |(node, network)| {
            Err(ChainError::Network {
                node: (*node).to_owned(),
                found: network.0,
                expected: list(allowed.iter()),
            })
        });
    };
    if found.iter().all(|network| *network == first) {
        return Ok(Some(first));
    }
    let of = |network: NetworkId| found.iter().filter(|n| **n == network).count();
    let most = found.iter().copied().find(|n| of(*n) * 2 > nodes.len());
    most.map(Some).ok_or_else(|| ChainError::Networks {
        said: list(
            said.iter()
                .map(|(node, network)| format!("{node} says {network}")),
        ),
    })
}

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn failures(versions: &Introductions) -> String {
    let said: Vec<&str> = versions
        .iter()
        .filter_map(|v| v.as_ref().err().map(String::as_str))
        .collect();
    said.join("; ")
}

impl Shared {
    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.get(index).map(|m| m.node.clone())
    }
    fn block_ms(&self) -> u64 {
        self.block_ms.load(Ordering::Relaxed)
    }
    fn measure(&self) -> Measure {
        Measure {
            network: self.network,
            lag_max: self.lag_max,
            block_ms: self.block_ms(),
        }
    }
    fn nodes_seen<T>(&self, look: impl FnOnce(&[Seen]) -> T) -> T {
        look(&self.seen.lock())
    }
    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.seen.lock().get_mut(index) {
            change(seen);
        }
    }
    fn wake(&self, index: usize) {
        if let Some(member) = self.nodes.get(index) {
            member.again.notify_one();
        }
    }
    async fn ask_again(&self, index: usize) {
        match self.nodes.get(index) {
            Some(member) => member.again.notified().await,
            None => std::future::pending().await,
        }
    }

    fn introduced(&self, index: usize, version: &Version) {
        self.update(index, |seen| {
            seen.agent = Some(version.agent.clone());
            seen.network = Some(version.network);
        });
        if version.network == self.network {
            self.block_ms.store(version.block_ms.max(1), Ordering::Relaxed);
        }
    }
    /// Compares the first heads; from here on the newest one is published.
    fn agree(&self) {
        let now = self.clock.now();
        let forgotten = judge::agree(&self.measure(), &mut self.seen.lock(), now);
        for node in forgotten.into_iter().filter_map(|index| self.node(index)) {
            tracing::warn!(node = node.name(), "chain node told of a block that cannot be");
        }
        self.agreed.store(true, Ordering::Release);
        self.judge();
    }
    /// Decides anew, says what changed, and moves the head.
    fn judge(&self) {
        let changed = judge::judge(&self.measure(), &mut self.seen.lock());
        for (index, reason) in changed {
            let node = self.nodes.get(index).map_or("?", |m| m.node.name());
            match reason {
                Some(reason) => tracing::warn!(node, reason, "chain node put aside"),
                None => tracing::info!(node, "chain node in use"),
            }
        }
        self.publish();
    }
    /// The newest block of the nodes in use. Never goes back: what was seen is final, a lower height is a late node.
    fn publish(&self) {
        if !self.agreed.load(Ordering::Acquire) {
            return;
        }
        let best = self.nodes_seen(|seen| {
            seen.iter()
                .filter(|s| s.ejected.is_none())
                .filter_map(|s| s.head)
                .max_by_key(|head| head.height)
        });
        if let Some(best) = best {
            self.head.send_if_modified(|head| {
                let news = best.height > head.height || head.hash == neofn_types::Hash256::ZERO;
                if news {
                    *head = best;
                }
                news
            });
        }
    }
    /// The published head, once there is one.
    fn seen_head(&self) -> Option<Head> {
        let head = *self.head.borrow();
        (head.hash != neofn_types::Hash256::ZERO).then_some(head)
    }

    /// Nodes to ask, best first; those that have block `height` before those that do not yet.
    fn candidates(&self, height: u64) -> Vec<usize> {
        self.nodes_seen(|seen| {
            let mut order: Vec<(bool, u64, usize)> = seen
                .iter()
                .enumerate()
                .filter(|(_, s)| s.ejected.is_none() && s.head.is_some())
                .map(|(i, s)| (s.height() < height, s.cost(), i))
                .collect();
            order.sort_unstable();
            order.into_iter().map(|(_, _, i)| i).collect()
        })
    }
    fn statuses(&self) -> Vec<NodeStatus> {
        let best = self.seen_head().map_or(0, |h| h.height);
        self.nodes_seen(|seen| {
            self.nodes
                .iter()
                .zip(seen)
                .map(|(member, seen)| seen.status(member.node.address(), best))
                .collect()
        })
    }
    fn nobody(&self) -> ChainError {
        let said: Vec<String> = self
            .statuses()
            .into_iter()
            .zip(&self.nodes)
            .map(|(status, member)| {
                let why = status.ejected.unwrap_or_else(|| "has told nothing".to_owned());
                format!("{} {why}", member.node.name())
            })
            .collect();
        ChainError::Unreachable(said.join("; "))
    }
}
