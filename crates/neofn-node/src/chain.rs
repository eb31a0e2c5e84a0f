//! The chain of a node: the nodes that it was given, or a development chain of its own.

use crate::options::ChainChoice;
use neofn_chain::dev::{DEV_PASSWORD, DevChain, DevChainOptions, Keep};
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
    /// The first node's address.
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
    /// Connects to what was chosen; none when nothing was.
    pub(crate) async fn open(
        choice: &ChainChoice,
        data: &Path,
        tools: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, Error> {
        match choice {
            ChainChoice::None => Ok(None),
            ChainChoice::Nodes(urls) => {
                let pool = Arc::new(Pool::connect(PoolOptions::new(urls.clone(), clock)).await?);
                let rpc = urls.first().cloned().unwrap_or_default();
                Ok(Some(Self {
                    facts: ChainFacts {
                        rpc: without_credentials(&*pool).unwrap_or(rpc),
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

fn without_credentials(chain: &dyn Chain) -> Option<String> {
    chain.nodes().into_iter().next().map(|node| node.url)
}
