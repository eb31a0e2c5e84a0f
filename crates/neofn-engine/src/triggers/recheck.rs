//! The last block that was read, against what nodes call it now. A node that lied once, while nobody contradicted it, left a
//! name that no honest block continues: then the place goes back to that block, and it is read again. Event ids are made
//! of the blocks and their transactions, so what had its effect already has none again.

use super::port::{ChainCursor, Placing};
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::{Act, StoreError};
use neofn_chain::model::BlockName;
use neofn_chain::port::Chain;
use neofn_types::{Code, Error, Hash256};

/// Nodes that have to agree before the place is moved without an operator's word.
const WITNESSES: usize = 2;

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// The last block that was read.
    pub height: u64,
    /// Its name as it was read.
    pub recorded: Hash256,
    /// What nodes call it now.
    pub nodes: Vec<BlockName>,
    /// Another name, that all of them use.
    pub agreed: Option<Hash256>,
    /// Whether it is read again.
    pub moved: bool,
}

/// The name that all of them use.
fn common(names: &[BlockName]) -> Option<Hash256> {
    let first = names.first()?.hash;
    names.iter().all(|n| n.hash == first).then_some(first)
}

impl Inner {
    /// Compares; changes nothing.
    async fn compare(&self, chain: &dyn Chain, cursor: ChainCursor) -> Option<Recheck> {
        let (height, recorded) = (cursor.next.checked_sub(1)?, cursor.previous?);
        let nodes = chain.block_names(height).await;
        Some(Recheck {
            height,
            recorded,
            agreed: common(&nodes).filter(|hash| *hash != recorded),
            moved: false,
            nodes,
        })
    }

    /// The new place; none when somebody else has moved on meanwhile.
    async fn read_again(
        &self,
        network: u32,
        from: ChainCursor,
        of: &Recheck,
    ) -> Result<Option<ChainCursor>, Error> {
        let placing = Placing {
            network,
            from: Some(from),
            next: of.height,
            previous: None,
            anew: false,
        };
        self.place(placing).await
    }

    /// Places the cursor; none when it stands elsewhere.
    pub(super) async fn place(&self, placing: Placing) -> Result<Option<ChainCursor>, Error> {
        match self.ports.triggers.place_chain_cursor(placing).await {
            Ok(placed) => Ok(Some(placed)),
            Err(StoreError::Fenced) => Ok(None),
            Err(error) => Err(of_store(error)),
        }
    }

    /// After a block that does not continue the last one: the new place, where two nodes or more are of one mind that the
    /// last one was another.
    pub(super) async fn mend(
        &self,
        chain: &dyn Chain,
        cursor: ChainCursor,
    ) -> Result<Option<ChainCursor>, Error> {
        let Some(seen) = self.compare(chain, cursor).await else {
            return Ok(None);
        };
        let Some(agreed) = seen.agreed.filter(|_| seen.nodes.len() >= WITNESSES) else {
            return Ok(None);
        };
        let detail = format!(
            "was read as {}; {} nodes call it {agreed}; it is read again",
            seen.recorded,
            seen.nodes.len()
        );
        tracing::warn!(
            height = seen.height,
            detail,
            "the last block that was read was a wrong one"
        );
        if let Some(acts) = &self.ports.acts {
            acts.write(Act {
                project: None,
                actor: "node".to_owned(),
                action: "chain.recheck",
                target: format!("block {}", seen.height),
                detail,
            })
            .await?;
        }
        self.read_again(chain.network().0, cursor, &seen).await
    }

    /// The same by an operator's word: the nodes that can be asked have to agree, and one alone twice.
    pub(crate) async fn recheck(&self, apply: bool) -> Result<Recheck, Error> {
        let chain = self.chain_port()?.clone();
        let network = chain.network().0;
        let cursor = self
            .ports
            .triggers
            .chain_cursor(network)
            .await
            .map_err(of_store)?;
        let unread = || {
            Error::new(
                Code::BlockNotFound,
                "no block was read yet that could be compared",
            )
        };
        let cursor = cursor.ok_or_else(unread)?;
        let mut seen = self.compare(&*chain, cursor).await.ok_or_else(unread)?;
        if seen.nodes.is_empty() {
            let message = format!("no node says what block {} is called", seen.height);
            return Err(Error::new(Code::ChainUnreachable, message));
        }
        let again = chain.block_names(seen.height).await;
        seen.agreed = seen.agreed.filter(|agreed| common(&again) == Some(*agreed));
        if apply && seen.agreed.is_some() {
            seen.moved = self.read_again(network, cursor, &seen).await?.is_some();
            self.triggers.chain_wake.notify_one();
        }
        Ok(seen)
    }
}
