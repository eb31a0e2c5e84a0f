//! A chain that makes blocks when a test tells it to.

use async_trait::async_trait;
use neofn_chain::model::*;
use neofn_chain::port::{BLOCKS_MAX, Caller, Chain};
use neofn_chain::stack::StackItem;
use neofn_chain::{ChainError, Refusal};
use neofn_types::{Datoshi, Hash256, ScriptHash, UnixMillis};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

pub struct FakeChain {
    blocks: Mutex<Vec<Block>>,
    head: watch::Sender<Head>,
    /// Nothing answers.
    pub down: AtomicBool,
    /// How many nodes say what a block is called.
    pub nodes: AtomicUsize,
    /// One of them says something else.
    pub divided: AtomicBool,
}

fn hash(height: u64, salt: u8) -> Hash256 {
    let mut bytes = [salt; 32];
    bytes[..8].copy_from_slice(&height.to_le_bytes());
    Hash256(bytes)
}

fn made(height: u64, salt: u8) -> Block {
    Block {
        height,
        hash: hash(height, salt),
        previous: height.checked_sub(1).map_or(Hash256::ZERO, |p| hash(p, salt)),
        time: UnixMillis(i64::try_from(height).unwrap() * 100),
        size: 1,
        transactions: Vec::new(),
        executions: Vec::new(),
    }
}

impl FakeChain {
    /// With blocks up to `height`.
    pub fn at(height: u64) -> Self {
        let blocks: Vec<Block> = (0..=height).map(|h| made(h, 1)).collect();
        let head = blocks.last().unwrap().head();
        Self {
            blocks: Mutex::new(blocks),
            head: watch::channel(head).0,
            down: AtomicBool::default(),
            nodes: AtomicUsize::new(1),
            divided: AtomicBool::default(),
        }
    }
    /// Makes blocks up to `height`; their names are of a chain of this salt.
    pub fn grow(&self, height: u64, salt: u8) {
        let mut blocks = self.blocks.lock();
        let from = u64::try_from(blocks.len()).unwrap();
        blocks.extend((from..=height).map(|h| made(h, salt)));
        self.head.send_replace(blocks.last().unwrap().head());
    }
    /// From this height on, another chain, which branches off the one before: what was told of that was a lie.
    pub fn turn(&self, from: u64, to: u64, salt: u8) {
        let mut blocks = self.blocks.lock();
        let at = usize::try_from(from).unwrap();
        blocks.truncate(at);
        blocks.extend((from..=to).map(|h| made(h, salt)));
        blocks[at].previous = blocks[at - 1].hash;
        self.head.send_replace(blocks.last().unwrap().head());
    }
    fn up(&self) -> Result<(), ChainError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(ChainError::Unreachable("fake: down".to_owned()));
        }
        Ok(())
    }
}

fn none<T>() -> Result<T, ChainError> {
    Err(ChainError::Contract(
        Refusal::Other,
        "not asked in these tests".to_owned(),
    ))
}

#[async_trait]
impl Chain for FakeChain {
    fn network(&self) -> NetworkId {
        NetworkId(42)
    }
    fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
    fn nodes(&self) -> Vec<NodeStatus> {
        Vec::new()
    }
    async fn block(&self, height: u64) -> Result<Block, ChainError> {
        self.up()?;
        let found = self.blocks.lock().get(usize::try_from(height).unwrap()).cloned();
        found.ok_or(ChainError::Contract(
            Refusal::UnknownBlock,
            format!("no block {height}"),
        ))
    }
    async fn blocks(&self, heights: Range<u64>) -> Result<Vec<Block>, ChainError> {
        self.up()?;
        let blocks = self.blocks.lock();
        let wanted = heights.take(usize::try_from(BLOCKS_MAX).unwrap());
        Ok(wanted
            .map_while(|h| blocks.get(usize::try_from(h).unwrap()).cloned())
            .collect())
    }
    async fn transaction(&self, _: Hash256) -> Result<FoundTransaction, ChainError> {
        none()
    }
    async fn block_names(&self, height: u64) -> Vec<BlockName> {
        let found = self
            .blocks
            .lock()
            .get(usize::try_from(height).unwrap())
            .map(|b| b.hash);
        let mut names: Vec<_> = (0..self.nodes.load(Ordering::SeqCst))
            .filter_map(|n| {
                Some(BlockName {
                    node: format!("fake {n}"),
                    hash: found?,
                })
            })
            .collect();
        if let (true, Some(last)) = (self.divided.load(Ordering::SeqCst), names.last_mut()) {
            last.hash = Hash256([0xdd; 32]);
        }
        names
    }
    async fn settled(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        self.transaction(hash).await
    }
    async fn application_log(&self, _: Hash256) -> Result<Vec<Execution>, ChainError> {
        none()
    }
    async fn presence(&self, _: Hash256, _: u64) -> Result<Presence, ChainError> {
        none()
    }
    async fn invoke_script(&self, _: &[u8], _: &[Caller]) -> Result<Invocation, ChainError> {
        none()
    }
    async fn invoke_read(&self, _: ScriptHash, _: &str, _: &[StackItem]) -> Result<Invocation, ChainError> {
        none()
    }
    async fn iterate(&self, _: &Session, _: &str, _: u32) -> Result<Vec<StackItem>, ChainError> {
        none()
    }
    async fn end_session(&self, _: &Session) -> Result<(), ChainError> {
        none()
    }
    async fn send(&self, _: &[u8]) -> Result<Sent, ChainError> {
        none()
    }
    async fn network_fee(&self, _: &[u8]) -> Result<Datoshi, ChainError> {
        none()
    }
    async fn policy(&self) -> Result<Policy, ChainError> {
        none()
    }
    async fn contract_state(&self, _: ScriptHash) -> Result<Option<ContractState>, ChainError> {
        Ok(None)
    }
    async fn balance(&self, _: ScriptHash, _: ScriptHash) -> Result<num_bigint::BigInt, ChainError> {
        none()
    }
}
