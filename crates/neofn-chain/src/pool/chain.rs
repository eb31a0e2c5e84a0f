//! The port, answered by whichever node does best.

use super::{Pool, Shared, witness};
use crate::contract::must_have;
use crate::error::{ChainError, Refusal};
use crate::model::{
    Block, BlockName, ContractState, Execution, FoundTransaction, Head, Invocation, NetworkId, NodeStatus,
    Policy, Presence, Sent, Session,
};
use crate::port::{BLOCKS_MAX, Caller, Chain};
use crate::rpc::Node;
use crate::script::{CallFlags, ScriptBuilder};
use crate::stack::StackItem;
use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use neofn_types::{Datoshi, Hash256, ScriptHash};
use num_bigint::BigInt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How old fees and times may be. They change by vote, a few times a year.
const POLICY_AGE: Duration = Duration::from_secs(5);
/// Nodes that must not know a transaction before it counts as absent, where so many are configured.
const WITNESSES: usize = witness::NEEDED;

impl Shared {
    /// Asks the best node, and the next one while nodes fail. What one node does not know another may.
    async fn ask<T, F>(&self, height: u64, question: impl Fn(Arc<Node>) -> F) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let mut unknown = None;
        let mut failed = None;
        for index in self.candidates(height) {
            let Some(node) = self.node(index) else { continue };
            match question(node).await {
                Err(e) if e.is_the_nodes_fault() => {
                    self.update(index, |seen| seen.failed(&e.to_string()));
                    self.judge();
                    failed = Some(e);
                }
                Err(e) if is_unknown(&e) => unknown = Some(e),
                settled => return settled,
            }
        }
        // only what all nodes that answered agree on is an answer; one that failed may have known
        Err(failed.or(unknown).unwrap_or_else(|| self.nobody()))
    }
    fn named(&self, url: &str) -> Option<Arc<Node>> {
        self.nodes
            .iter()
            .map(|m| &m.node)
            .find(|n| n.address() == url)
            .cloned()
    }
}

fn is_unknown(error: &ChainError) -> bool {
    matches!(
        error.refusal(),
        Some(Refusal::UnknownBlock | Refusal::UnknownTransaction)
    )
}

#[async_trait]
impl Chain for Pool {
    fn network(&self) -> NetworkId {
        self.shared.network
    }
    fn watch(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }
    fn nodes(&self) -> Vec<NodeStatus> {
        self.shared.statuses()
    }

    async fn block(&self, height: u64) -> Result<Block, ChainError> {
        let blocks = self.blocks(height..height.saturating_add(1)).await?;
        blocks.into_iter().next().ok_or_else(|| unknown_block(height))
    }
    async fn blocks(&self, heights: Range<u64>) -> Result<Vec<Block>, ChainError> {
        let end = heights.end.min(heights.start.saturating_add(BLOCKS_MAX));
        let heights = heights.start..end;
        if heights.is_empty() {
            return Ok(Vec::new());
        }
        self.shared
            .ask(end.saturating_sub(1), |node| {
                let heights = heights.clone();
                async move { node.blocks(heights).await }
            })
            .await
    }
    async fn block_names(&self, height: u64) -> Vec<BlockName> {
        let nodes = self.shared.candidates(height).into_iter();
        let asked = nodes
            .filter_map(|index| self.shared.node(index))
            .map(|node| async move {
                let head = node.header(height).await.ok()?;
                (head.height == height).then(|| BlockName {
                    node: node.address().to_owned(),
                    hash: head.hash,
                })
            });
        let said = futures_util::future::join_all(asked).await;
        said.into_iter().flatten().collect()
    }
    async fn transaction(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        self.shared
            .ask(0, |node| async move { node.transaction(hash).await })
            .await
    }
    async fn settled(&self, hash: Hash256) -> Result<FoundTransaction, ChainError> {
        let found = self.transaction(hash).await?;
        let Some(place) = found.included else {
            return Ok(found);
        };
        let nodes: Vec<_> = self.shared.candidates(place.height);
        let nodes = nodes.into_iter().filter_map(|index| self.shared.node(index));
        let asked = nodes.map(|node| async move { node.transaction(hash).await });
        let said = futures_util::future::join_all(asked).await;
        Ok(witness::agreed(found, said))
    }
    async fn application_log(&self, transaction: Hash256) -> Result<Vec<Execution>, ChainError> {
        self.shared
            .ask(0, |node| async move { node.application_log(transaction).await })
            .await
    }

    async fn presence(&self, transaction: Hash256, after: u64) -> Result<Presence, ChainError> {
        let shared = &self.shared;
        let answers = futures_util::future::join_all(
            shared
                .candidates(after)
                .into_iter()
                .filter_map(|index| shared.node(index))
                .map(|node| async move { knows(&node, transaction, after).await }),
        )
        .await;
        let mut pooled = false;
        let mut witnesses = 0usize;
        for answer in answers {
            match answer {
                Ok(Some(Presence::OnChain(place))) => return Ok(Presence::OnChain(place)),
                Ok(Some(Presence::Pooled)) => pooled = true,
                Ok(Some(Presence::Absent { .. })) => witnesses += 1,
                Ok(None) => {}
                Err(e) => tracing::debug!(error = %e, "a node cannot say whether it knows a transaction"),
            }
        }
        let needed = WITNESSES.min(shared.nodes.len());
        match (pooled, u32::try_from(witnesses)) {
            (true, _) => Ok(Presence::Pooled),
            (false, Ok(count)) if witnesses >= needed => Ok(Presence::Absent { witnesses: count }),
            _ => Err(ChainError::Unreachable(format!(
                "{witnesses} of {needed} nodes with block {after} say that they do not know transaction {transaction}"
            ))),
        }
    }

    async fn invoke_script(&self, script: &[u8], callers: &[Caller]) -> Result<Invocation, ChainError> {
        self.shared
            .ask(0, |node| async move { node.invoke_script(script, callers).await })
            .await
    }
    async fn invoke_read(
        &self,
        contract: ScriptHash,
        method: &str,
        arguments: &[StackItem],
    ) -> Result<Invocation, ChainError> {
        let mut script = ScriptBuilder::new();
        script
            .call(contract, method, CallFlags::ReadOnly, arguments)
            .map_err(|e| ChainError::Contract(Refusal::Method, e.to_string()))?;
        self.invoke_script(&script.into_bytes(), &[]).await
    }
    async fn iterate(
        &self,
        session: &Session,
        iterator: &str,
        count: u32,
    ) -> Result<Vec<StackItem>, ChainError> {
        let node = self.shared.named(&session.node).ok_or_else(no_session)?;
        node.traverse(&session.id, iterator, count).await
    }
    async fn end_session(&self, session: &Session) -> Result<(), ChainError> {
        match self.shared.named(&session.node) {
            Some(node) => node.end_session(&session.id).await,
            None => Ok(()),
        }
    }

    async fn send(&self, transaction: &[u8]) -> Result<Sent, ChainError> {
        let shared = &self.shared;
        let bytes: Arc<[u8]> = transaction.into();
        // tasks of their own: the first node that takes it is the answer, and the others hear of it nevertheless
        let mut sending: FuturesUnordered<_> = shared
            .candidates(0)
            .into_iter()
            .take(shared.broadcast)
            .map(|index| tokio::spawn(send_to(shared.clone(), index, bytes.clone())))
            .collect();
        let mut failed: Option<ChainError> = None;
        while let Some(sent) = sending.next().await {
            match sent.unwrap_or_else(|e| Err(ChainError::Unreachable(e.to_string()))) {
                Ok(sent) => return Ok(sent),
                // a refusal says more than a failure
                Err(e) if failed.as_ref().is_none_or(ChainError::is_the_nodes_fault) => failed = Some(e),
                Err(_) => {}
            }
        }
        Err(failed.unwrap_or_else(|| shared.nobody()))
    }
    async fn network_fee(&self, transaction: &[u8]) -> Result<Datoshi, ChainError> {
        self.shared
            .ask(0, |node| async move { node.network_fee(transaction).await })
            .await
    }
    async fn policy(&self) -> Result<Policy, ChainError> {
        let now = self.shared.clock.monotonic();
        let known = *self.shared.policy.lock();
        if let Some((at, policy)) = known
            && now.saturating_sub(at) < POLICY_AGE
        {
            return Ok(policy);
        }
        let policy = self
            .shared
            .ask(0, |node| async move { node.policy().await })
            .await?;
        *self.shared.policy.lock() = Some((now, policy));
        Ok(policy)
    }

    async fn contract_state(&self, contract: ScriptHash) -> Result<Option<ContractState>, ChainError> {
        self.shared
            .ask(0, |node| async move { node.contract_state(contract).await })
            .await
    }
    async fn balance(&self, token: ScriptHash, account: ScriptHash) -> Result<BigInt, ChainError> {
        let invocation = self.invoke_read(token, "balanceOf", &[account.into()]).await?;
        if let Some(session) = &invocation.session
            && let Err(error) = self.end_session(session).await
        {
            tracing::debug!(%error, "iterator session left to its time-out");
        }
        let invocation = match invocation.halted() {
            Ok(invocation) => invocation,
            Err(fault) => {
                // one that is not there, or is no token, faults as well
                must_have(self, token, "balanceOf", 1).await?;
                return Err(fault);
            }
        };
        invocation
            .stack
            .first()
            .and_then(StackItem::to_integer)
            .ok_or_else(|| {
                ChainError::Contract(Refusal::Method, format!("balanceOf of {token} answers no number"))
            })
    }
}

impl Invocation {
    /// Itself, or an error that says why it faulted.
    pub fn halted(self) -> Result<Self, ChainError> {
        match self.state {
            crate::model::VmState::Halt => Ok(self),
            crate::model::VmState::Fault => Err(ChainError::Fault(
                self.exception.unwrap_or_else(|| "no reason is given".to_owned()),
            )),
        }
    }
}

async fn send_to(shared: Arc<Shared>, index: usize, transaction: Arc<[u8]>) -> Result<Sent, ChainError> {
    let node = shared.node(index).ok_or_else(|| shared.nobody())?;
    let sent = node.send(&transaction).await;
    match &sent {
        Err(e) if e.is_the_nodes_fault() => shared.update(index, |seen| seen.failed(&e.to_string())),
        Err(e) => tracing::debug!(node = node.name(), error = %e, "transaction refused"),
        Ok(_) => {}
    }
    sent
}

/// What a node says of a transaction; none when it does not know it, but does not have block `after` yet either.
async fn knows(node: &Node, transaction: Hash256, after: u64) -> Result<Option<Presence>, ChainError> {
    let (count, found) = node.presence(transaction).await?;
    Ok(found.or_else(|| (count > after).then_some(Presence::Absent { witnesses: 1 })))
}

fn unknown_block(height: u64) -> ChainError {
    ChainError::Contract(Refusal::UnknownBlock, format!("there is no block {height}"))
}
fn no_session() -> ChainError {
    ChainError::Contract(
        Refusal::Session,
        "the node that keeps this iterator is not configured any more".to_owned(),
    )
}
