//! Triggers that stand behind the cursor: those that begin in the past, were paused, or whose function was full.

use super::chain_source::{ChainSource, Step, matcher};
use super::port::{ChainCursor, Change, Stream, TriggerChange};
use super::set::{Armed, TriggerSet};
use crate::error::of_store;
use neofn_event::spec::{LagAction, MaxLag};
use neofn_types::Error;
use std::collections::HashMap;
use std::sync::Arc;

impl ChainSource {
    /// Lets the one that is furthest behind, and those beside it, take some blocks.
    pub(super) async fn behind(&mut self) -> Result<Step, Error> {
        let Some(cursor) = self.cursor else {
            return Ok(Step::More);
        };
        let set = self.inner.triggers.set();
        let late: Vec<(&Arc<Armed>, u64)> = set
            .on_chain()
            .filter_map(|armed| Some((armed, armed.state.position?)))
            .filter(|(armed, at)| *at < cursor.next && !self.full.contains(&armed.id))
            .collect();
        let Some(from) = late.iter().map(|(_, at)| *at).min() else {
            return Ok(Step::Idle);
        };
        let beside = late.iter().filter(|(_, at)| *at == from).map(|(armed, _)| *armed);
        let group: Vec<&Arc<Armed>> = beside.collect();
        // where they meet others they go on together
        let meets = late.iter().map(|(_, at)| *at).filter(|at| *at > from).min();
        let to = (from + self.inner.options.chain.batch)
            .min(cursor.next)
            .min(meets.unwrap_or(u64::MAX));
        let blocks = self.chain.blocks(from..to).await?;
        if blocks.is_empty() {
            return Ok(Step::Idle);
        }
        let to = from + u64::try_from(blocks.len()).unwrap_or(0);
        let matcher = matcher(&*self.chain, group.iter().copied());
        let deliveries = self.matches(&set, &matcher, &HashMap::new(), &blocks);
        let ids = group.iter().map(|armed| armed.id.clone()).collect();
        let advanced = self
            .advance(Stream::Behind(ids), from..to, None, deliveries)
            .await?;
        if let Some(advanced) = advanced {
            self.hold(&advanced);
        }
        self.inner.sync_triggers().await?;
        Ok(Step::More)
    }

    /// Does what triggers ask for that lag more than they may; answers whether one did.
    pub(super) async fn late(&self, set: &TriggerSet, cursor: ChainCursor) -> Result<bool, Error> {
        let next = self.chain.head().height + 1;
        let mut changes = Vec::new();
        for armed in set.on_chain() {
            let Some(MaxLag { blocks, action }) = armed.spec.options.max_lag else {
                continue;
            };
            let lag = next.saturating_sub(armed.state.position.unwrap_or(cursor.next));
            if lag <= u64::from(blocks) {
                continue;
            }
            tracing::warn!(trigger = %armed.id, lag, action = action.as_str(), "trigger lags more than it may");
            changes.push(TriggerChange {
                id: armed.id.clone(),
                change: match action {
                    LagAction::Skip => Change::Skip { to: next },
                    LagAction::Pause => Change::Pause {
                        reason: Some(format!("{lag} blocks behind, at most {blocks} are allowed")),
                    },
                },
            });
        }
        if changes.is_empty() {
            return Ok(false);
        }
        let now = self.inner.options.clock.now();
        let store = &self.inner.ports.triggers;
        let changed = store.change_triggers(changes, Some(self.network()), now);
        changed.await.map_err(of_store)?;
        self.inner.sync_triggers().await?;
        Ok(true)
    }
}
