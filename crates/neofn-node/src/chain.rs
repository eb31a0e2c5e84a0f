//! The chain of a node: the nodes that it was given, or a development chain of its own.

use crate::options::ChainChoice;
use neofn_chain::dev::{DEV_PASSWORD, DevChain, DevChainOptions, Keep};
use neofn_chain::model::NetworkId;
use neofn_chain::pool::{Pool, PoolOptions};
use neofn_chain::port::Chain;
use neofn_types::{Clock, Error};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Where the development chain keeps its files, below the data directory.
const DEV_DIRECTORY: &str = "dev-chain";

/// How to reach the chain of a node from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFacts {
    /// The address of the first node that is in use.
    pub rpc: String,
    /// Of a development chain: a NEP-6 file with funded accounts.
    pub wallet: Option<PathBuf>,
    /// Its password.
    pub password: Option<String>,
}

/// A chain that answers.
pub(crate) struct Connected {
    pub(crate) pool: Arc<Pool>,
    pub(crate) facts: ChainFacts,
    /// And who says that it ended when nobody asked for that.
    dev: Option<(Arc<DevChain>, JoinHandle<()>)>,
}

impl Connected {
    /// Connects to what was chosen; none when nothing was. `known` are the networks whose blocks were read before: a
    /// node's own word leads to no other.
    pub(crate) async fn open(
        choice: &ChainChoice,
        data: &Path,
        tools: &Path,
        known: &[u32],
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, Error> {
        match choice {
            ChainChoice::None => Ok(None),
            ChainChoice::Nodes { urls, network } => {
                let named = network.as_ref().map(std::slice::from_ref);
                let networks = named.unwrap_or(known).iter().copied().map(NetworkId).collect();
                let options = PoolOptions {
                    networks,
                    ..PoolOptions::new(urls.clone(), clock)
                };
                let pool = Arc::new(Pool::connect(options).await?);
                let rpc = urls.first().cloned().unwrap_or_default();
                Ok(Some(Self {
                    facts: ChainFacts {
                        rpc: in_use(&*pool).unwrap_or(rpc),
                        wallet: None,
                        password: None,
                    },
                    pool,
                    dev: None,
                }))
            }
            ChainChoice::Dev { keep, block_ms } => {
                Self::dev(*keep, *block_ms, data, tools, clock).await.map(Some)
            }
        }
    }

    async fn dev(
        keep: Keep,
        block_ms: u64,
        data: &Path,
        tools: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let dev = DevChain::start(DevChainOptions {
            binary: tools.join("neogo"),
            directory: data.join(DEV_DIRECTORY),
            keep,
            block_ms,
            port: 0,
        })
        .await?;
        let dev = Arc::new(dev);
        let pool = Pool::connect(PoolOptions::new(vec![dev.rpc()], clock)).await?;
        let facts = ChainFacts {
            rpc: dev.rpc(),
            wallet: Some(dev.wallet()),
            password: Some(DEV_PASSWORD.to_owned()),
        };
        tracing::warn!(
            rpc = facts.rpc,
            "development chain: its tokens are worth nothing, its keys are known to everybody"
        );
        let watched = dev.clone();
        let watch = tokio::spawn(async move {
            watched.ended().await;
            tracing::warn!("the development chain ended");
        });
        Ok(Self {
            pool: Arc::new(pool),
            facts,
            dev: Some((dev, watch)),
        })
    }

    /// As the port that the engine asks.
    pub(crate) fn port(&self) -> Arc<dyn Chain> {
        self.pool.clone()
    }

    /// Ends a development chain in order, so that it keeps what it has made.
    pub(crate) async fn close(self) {
        drop(self.pool);
        if let Some((dev, watch)) = self.dev {
            watch.abort();
            dev.stop().await;
        }
    }
}

/// The address of the first node that is in use, without credentials.
fn in_use(chain: &dyn Chain) -> Option<String> {
    let mut nodes = chain.nodes().into_iter();
    nodes.find(|node| node.ejected.is_none()).map(|node| node.url)
}
