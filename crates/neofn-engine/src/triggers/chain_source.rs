//! Follows a chain: reads blocks once for all triggers, matches them, and moves the cursor together with what they
//! brought.
//!
//! The cursor is a height; news of the head is a wake-up and no more. A trigger whose function takes no more leaves the
//! others and catches up by itself, so that nobody waits for it.

use super::delivery::Occurrence;
use super::port::{Advance, Advanced, ChainCursor, Delivery, Placing, Stream};
use super::set::{Armed, TriggerSet};
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::{Origin, StoreError};
use bytes::Bytes;
use neofn_chain::ChainError;
use neofn_chain::model::{Block, Head};
use neofn_chain::port::Chain;
use neofn_event::TriggerId;
use neofn_trigger::Matcher;
use neofn_types::{Code, Error};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long to wait after an error before the next try.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Blocks on their way.
type Reading = JoinHandle<Result<Vec<Block>, ChainError>>;

/// What a step left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more.
    More,
    /// Wait for news.
    Idle,
}

pub(crate) struct ChainSource {
    pub(super) inner: Arc<Inner>,
    pub(super) chain: Arc<dyn Chain>,
    pub(super) cursor: Option<ChainCursor>,
    /// Blocks that are being read while those before them are written down.
    ahead: Option<(u64, Reading)>,
    matching: Option<Matching>,
    /// Triggers whose function was full; looked at again after a pause.
    pub(super) full: HashSet<TriggerId>,
    begun: bool,
    /// Where the chain was said to go on from another block last.
    mended: Option<u64>,
}

/// The triggers that go with everybody, ready for blocks.
struct Matching {
    of: Arc<TriggerSet>,
    next: u64,
    matcher: Matcher,
    /// Triggers that begin at a block of their own.
    begin: HashMap<TriggerId, u64>,
}

impl ChainSource {
    pub(crate) fn new(inner: Arc<Inner>, chain: Arc<dyn Chain>) -> Self {
        Self {
            inner,
            chain,
            cursor: None,
            ahead: None,
            matching: None,
            full: HashSet::new(),
            begun: false,
            mended: None,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut heads = self.chain.watch();
        let mut follows = true;
        let mut leads = self.inner.leading.changes();
        while !stop.is_cancelled() {
            heads.mark_unchanged();
            let pause = match self.step().await {
                Ok(Step::More) => {
                    self.inner.triggers.trouble(None);
                    continue;
                }
                Ok(Step::Idle) => {
                    self.inner.triggers.trouble(None);
                    self.inner.options.tick
                }
                Err(error) => {
                    self.ahead = None;
                    // an operator may have moved the place meanwhile
                    self.cursor = None;
                    self.inner.triggers.trouble(Some(&error));
                    AFTER_ERROR
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => self.full.clear(),
                changed = heads.changed(), if follows => {
                    self.full.clear();
                    follows = changed.is_ok();
                }
                () = self.inner.triggers.chain_wake.notified() => {}
                Ok(()) = leads.changed() => {}
            }
        }
    }

    pub(super) fn network(&self) -> u32 {
        self.chain.network().0
    }

    /// Does some of what is due.
    async fn step(&mut self) -> Result<Step, Error> {
        if self.inner.open().is_err() {
            return Ok(Step::Idle);
        }
        if !self.inner.leading.try_lead().await {
            // whoever leads moves the cursor
            self.cursor = None;
            self.ahead = None;
            return Ok(Step::Idle);
        }
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => match self.begin().await? {
                Some(cursor) => cursor,
                None => return Ok(Step::More),
            },
        };
        let set = self.inner.triggers.set();
        if self.late(&set, cursor).await? {
            return Ok(Step::More);
        }
        let main = self.main(&set, cursor).await?;
        let behind = self.behind().await?;
        Ok(if main == Step::More || behind == Step::More {
            Step::More
        } else {
            Step::Idle
        })
    }

    /// Finds the place where an earlier process stopped, and makes sure that the chain is still the same; none when somebody
    /// else placed the cursor meanwhile.
    async fn begin(&mut self) -> Result<Option<ChainCursor>, Error> {
        let store = self.inner.ports.triggers.clone();
        let network = self.network();
        let found = store.chain_cursor(network).await.map_err(of_store)?;
        let anew = self.inner.options.chain.anew && !self.begun;
        let cursor = match found {
            Some(cursor) if !anew => cursor,
            _ => {
                let head = self.read_head().await?;
                let placing = Placing {
                    network,
                    from: found,
                    next: head.height + 1,
                    previous: Some(head.hash),
                    anew,
                };
                let Some(placed) = self.inner.place(placing).await? else {
                    return Ok(None);
                };
                self.begun = true;
                self.inner.sync_triggers().await?;
                placed
            }
        };
        self.begun = true;
        self.cursor = Some(cursor);
        self.inner.triggers.read(0, cursor.next);
        Ok(Some(cursor))
    }

    /// The newest block, as a node answers it. What is only announced is never written down: a height that was made
    /// up would be stood at for ever.
    async fn read_head(&self) -> Result<Head, Error> {
        let announced = self.chain.head();
        let block = self.chain.block(announced.height).await?;
        if (block.height, block.hash) == (announced.height, announced.hash) {
            return Ok(announced);
        }
        let message = format!(
            "block {} was announced as {}, block {} came as {}",
            announced.height, announced.hash, block.height, block.hash
        );
        Err(Error::new(Code::ChainAnswer, message))
    }

    /// Blocks that everybody waits for.
    async fn main(&mut self, set: &Arc<TriggerSet>, cursor: ChainCursor) -> Result<Step, Error> {
        let head = self.chain.head();
        if cursor.next > head.height + 1 {
            // blocks are final once seen: every node is late, or this is not the chain that was read
            let message = format!(
                "block {} was read already, and the newest one is said to be {}: the nodes are behind, or on a chain \
                 that was made anew",
                cursor.next.saturating_sub(1),
                head.height
            );
            return Err(ChainError::Unreachable(message).into());
        }
        if cursor.next > head.height {
            return Ok(Step::Idle);
        }
        let to = (head.height + 1).min(cursor.next + self.inner.options.chain.batch);
        let matching = self.matching(set, cursor.next);
        if matching.matcher.is_empty() {
            let to = matching.begin.values().copied().min().unwrap_or(u64::MAX);
            let head = self.read_head().await?;
            let next = (head.height + 1).min(to.max(cursor.next));
            let previous = (next == head.height + 1).then_some(head.hash);
            let placing = Placing {
                network: self.network(),
                from: Some(cursor),
                next,
                previous,
                anew: false,
            };
            let Some(placed) = self.inner.place(placing).await? else {
                return self.displaced().await;
            };
            self.moved(placed, 0);
            return Ok(Step::Idle);
        }
        let blocks = self.read(cursor.next..to).await?;
        if blocks.is_empty() {
            return Ok(Step::Idle);
        }
        if let Err(error) = continues(&blocks, cursor) {
            // once at a height: should its block not be continued again, somebody has to look
            let again = self.mended == Some(cursor.next);
            if error.code == Code::ChainForked
                && !again
                && let Some(placed) = self.inner.mend(&*self.chain, cursor).await?
            {
                self.mended = Some(cursor.next);
                self.ahead = None;
                self.matching = None;
                self.moved(placed, 0);
                return Ok(Step::More);
            }
            return Err(error);
        }
        let to = cursor.next + u64::try_from(blocks.len()).unwrap_or(0);
        if to <= head.height {
            self.read_ahead(to..(head.height + 1).min(to + self.inner.options.chain.batch));
        }
        let Some(matching) = &self.matching else {
            return Ok(Step::More);
        };
        let deliveries = self.matches(set, &matching.matcher, &matching.begin, &blocks);
        let joining: Vec<TriggerId> = matching
            .begin
            .iter()
            .filter(|(_, begin)| **begin < to)
            .map(|(id, _)| id.clone())
            .collect();
        let last = blocks.last().map(|block| block.hash);
        let changed = !joining.is_empty();
        let advanced = self
            .advance(Stream::Main { joining }, cursor.next..to, last, deliveries)
            .await?;
        let Some(advanced) = advanced else {
            return self.displaced().await;
        };
        let cursor = ChainCursor {
            next: to,
            previous: last,
            ..cursor
        };
        self.moved(cursor, u64::try_from(blocks.len()).unwrap_or(0));
        self.hold(&advanced);
        if changed || !advanced.held.is_empty() {
            self.inner.sync_triggers().await?;
        }
        Ok(Step::More)
    }

    /// Somebody else was there: a switch of a trigger, or another process.
    async fn displaced(&mut self) -> Result<Step, Error> {
        self.cursor = None;
        self.inner.sync_triggers().await?;
        Ok(Step::More)
    }

    fn moved(&mut self, cursor: ChainCursor, blocks: u64) {
        self.cursor = Some(cursor);
        self.inner.triggers.read(blocks, cursor.next);
    }

    /// Remembers which functions were full.
    pub(super) fn hold(&mut self, advanced: &Advanced) {
        for (id, height) in &advanced.held {
            tracing::info!(trigger = %id, height, "the function's queue is full; the trigger waits and catches up");
            self.full.insert(id.clone());
        }
    }

    fn matching(&mut self, set: &Arc<TriggerSet>, next: u64) -> &Matching {
        let fits = |m: &Matching| Arc::ptr_eq(&m.of, set) && m.next <= next;
        match self.matching.take_if(|m| fits(m)) {
            Some(found) => self.matching.insert(found),
            None => {
                let with = |armed: &&Arc<Armed>| armed.state.position.is_none_or(|at| at >= next);
                let going: Vec<_> = set.on_chain().filter(with).collect();
                let begin = going
                    .iter()
                    .filter_map(|a| Some((a.id.clone(), a.state.position?)))
                    .collect();
                let matcher = matcher(&*self.chain, going.into_iter());
                self.matching.insert(Matching {
                    of: set.clone(),
                    next,
                    matcher,
                    begin,
                })
            }
        }
    }

    /// What blocks bring to the triggers of a matcher.
    pub(super) fn matches(
        &self,
        set: &TriggerSet,
        matcher: &Matcher,
        begin: &HashMap<TriggerId, u64>,
        blocks: &[Block],
    ) -> Vec<Delivery> {
        let at = self.inner.options.clock.now();
        let mut deliveries = Vec::new();
        let mut written: Option<(Arc<Value>, Bytes)> = None;
        for block in blocks {
            for found in matcher.block(block) {
                let Some(armed) = set.get(&found.trigger) else {
                    continue;
                };
                if begin.get(&armed.id).is_some_and(|begin| block.height < *begin) {
                    continue;
                }
                self.inner.triggers.matched(armed.spec.on.kind());
                let event = match &written {
                    Some((event, json)) if Arc::ptr_eq(event, &found.event) => json.clone(),
                    _ => {
                        let json = Bytes::from(found.event.to_string());
                        written.insert((found.event, json)).1.clone()
                    }
                };
                let occurrence = Occurrence {
                    event_id: found.event_id,
                    event,
                    key: found.key,
                    origin: Origin::Block,
                    height: Some(block.height),
                    depth: 0,
                    trace_id: None,
                    at,
                };
                deliveries.push(self.inner.delivery(armed, occurrence));
            }
        }
        deliveries
    }

    /// Writes matches down and moves on; none when the place was not where we thought.
    pub(super) async fn advance(
        &self,
        stream: Stream,
        blocks: Range<u64>,
        last: Option<neofn_types::Hash256>,
        deliveries: Vec<Delivery>,
    ) -> Result<Option<Advanced>, Error> {
        let inner = &self.inner;
        let set = inner.triggers.set();
        let kinds: Vec<_> = deliveries
            .iter()
            .filter_map(|d| Some(set.get(&d.trigger)?.spec.on.kind()))
            .collect();
        let holds = deliveries.iter().any(|d| d.hold.is_some());
        let advance = Advance {
            network: self.network(),
            stream,
            from: blocks.start,
            to: blocks.end,
            last,
            deliveries,
            queue_max: inner.options.queue_max,
            at: inner.options.clock.now(),
        };
        let advanced = match inner.ports.triggers.advance(advance).await {
            Ok(advanced) => advanced,
            Err(StoreError::Fenced) => return Ok(None),
            Err(error) => return Err(of_store(error)),
        };
        inner.triggers.delivered(kinds);
        inner.triggers.known(advanced.known);
        if advanced.delivered > 0 {
            inner.gate.wake.notify_one();
        }
        if holds {
            inner.triggers.release_wake.notify_one();
        }
        Ok(Some(advanced))
    }

    async fn read(&mut self, heights: Range<u64>) -> Result<Vec<Block>, Error> {
        if let Some((from, task)) = self.ahead.take()
            && from == heights.start
            && let Ok(Ok(blocks)) = task.await
        {
            return Ok(blocks);
        }
        Ok(self.chain.blocks(heights).await?)
    }

    fn read_ahead(&mut self, heights: Range<u64>) {
        let chain = self.chain.clone();
        let from = heights.start;
        let task = tokio::spawn(async move { chain.blocks(heights).await });
        self.ahead = Some((from, task));
    }
}

pub(super) fn matcher<'a>(chain: &dyn Chain, triggers: impl Iterator<Item = &'a Arc<Armed>>) -> Matcher {
    let triggers = triggers.map(|armed| (armed.id.clone(), armed.spec.clone()));
    let (matcher, refused) = Matcher::build(chain.network(), triggers);
    for refused in refused {
        tracing::error!(trigger = %refused.trigger, error = %refused.error, "trigger cannot be compiled");
    }
    matcher
}

/// Every block must continue the one before it, also across batches and restarts.
fn continues(blocks: &[Block], cursor: ChainCursor) -> Result<(), Error> {
    let mut previous = cursor.previous;
    for (block, height) in blocks.iter().zip(cursor.next..) {
        if block.height != height {
            return Err(Error::new(
                Code::ChainAnswer,
                format!("block {height} was asked for, block {} came", block.height),
            ));
        }
        if let Some(expected) = previous
            && block.previous != expected
        {
            return Err(ChainError::Forked {
                height,
                expected,
                found: block.previous,
            }
            .into());
        }
        previous = Some(block.hash);
    }
    Ok(())
}
