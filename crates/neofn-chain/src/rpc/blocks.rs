//! Blocks with all that happened in them, in batches: first the blocks, then the logs of all their transactions.

use super::client::{Answered, BATCH_MAX, Call};
use super::node::Node;
use super::wire::{WireBlock, WireLog};
use crate::error::ChainError;
use crate::model::{Block, Execution};
use futures_util::StreamExt as _;
use serde_json::json;
use std::ops::Range;

/// Blocks per batch. Full blocks have hundreds of transactions, so a batch that is too large is halved below.
const GROUP: u64 = 50;
/// Groups under way at once: while one is read here, the node writes the next.
const AHEAD: usize = 4;

impl Node {
    /// Blocks in order; fewer when the node does not have all of them.
    pub(crate) async fn blocks(&self, heights: Range<u64>) -> Result<Vec<Block>, ChainError> {
        let groups: Vec<Range<u64>> = (heights.start..heights.end)
            .step_by(usize::try_from(GROUP).unwrap_or(1))
            .map(|start| start..heights.end.min(start + GROUP))
            .collect();
        let mut answers = futures_util::stream::iter(groups)
            .map(|group| self.group(group))
            .buffered(AHEAD);
        let mut blocks: Vec<Block> = Vec::new();
        while let Some(group) = answers.next().await {
            let (group, whole) = group?;
            for block in group {
                continues(blocks.last(), &block)?;
                blocks.push(block);
            }
            if !whole {
                break;
            }
        }
        Ok(blocks)
    }

    /// One batch of blocks and the batches of their logs; whether all of them were there.
    async fn group(&self, heights: Range<u64>) -> Result<(Vec<Block>, bool), ChainError> {
        let calls = heights
            .clone()
            .map(|height| Call::new("getblock", json!([height, 1])))
            .collect();
        let answers = self.client().batch(calls).await?;
        let mut blocks = Vec::with_capacity(answers.len());
        let mut whole = true;
        for (height, answer) in heights.zip(answers) {
            match self.client().read::<WireBlock>("getblock", answer) {
                Ok(wire) => blocks.push(self.of_height(wire, height)?),
                Err(e) if e.refusal() == Some(crate::Refusal::UnknownBlock) && !blocks.is_empty() => {
                    whole = false;
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        self.fill(&mut blocks).await?;
        Ok((blocks, whole))
    }
    fn of_height(&self, wire: WireBlock, height: u64) -> Result<Block, ChainError> {
        let block = Block::from(wire);
        if block.height == height {
            Ok(block)
        } else {
            Err(self
                .client()
                .garbage(&format!("block {} for block {height}", block.height)))
        }
    }

    async fn fill(&self, blocks: &mut [Block]) -> Result<(), ChainError> {
        let log = |hash| Call::new("getapplicationlog", json!([hash]));
        let calls: Vec<Call> = blocks
            .iter()
            .flat_map(|b| std::iter::once(b.hash).chain(b.transactions.iter().map(|t| t.hash)))
            .map(log)
            .collect();
        let mut batches = futures_util::stream::iter(calls.chunks(BATCH_MAX).map(<[Call]>::to_vec))
            .map(|calls| self.client().batch(calls))
            .buffered(AHEAD);
        let mut answers = Vec::with_capacity(calls.len());
        while let Some(batch) = batches.next().await {
            answers.append(&mut batch?);
        }
        let mut answers = answers.into_iter();
        for block in blocks {
            // not every node keeps what the first block executed
            let first = block.height == 0;
            block.executions = self.log(answers.next(), first)?;
            for transaction in &mut block.transactions {
                transaction.executions = self.log(answers.next(), false)?;
            }
        }
        Ok(())
    }
    fn log(&self, answer: Option<Answered>, may_be_missing: bool) -> Result<Vec<Execution>, ChainError> {
        let answer = answer.ok_or_else(|| self.client().garbage("fewer logs than blocks"))?;
        match answer {
            Err(_) if may_be_missing => Ok(Vec::new()),
            // the block is there, so its log must be: a node that prunes them cannot serve us
            Err(e) => Err(self
                .client()
                .garbage(&format!("that it has no application log ({})", e.message))),
            answer => Ok(self
                .client()
                .read::<WireLog>("getapplicationlog", answer)?
                .executions()),
        }
    }
}

/// Whether `block` continues the one before it.
pub(crate) fn continues(before: Option<&Block>, block: &Block) -> Result<(), ChainError> {
    match before {
        Some(before) if before.hash != block.previous => Err(ChainError::Forked {
            height: block.height,
            expected: before.hash,
            found: block.previous,
        }),
        _ => Ok(()),
    }
}
