//! Looking at triggers and trying them: listings, tests, backtests, dead letters.

use super::chain_source::matcher;
use super::control::ChainState;
use super::port::{Change, Fired, FiredFilter, Redo, TriggerChange};
use super::request::{Backtest, Switch, TestOn, TriggerInfo};
use super::set::Armed;
use crate::engine::Inner;
use crate::error::of_store;
use crate::port::StoreError;
use bytes::Bytes;
use neofn_chain::port::{BLOCKS_MAX, Chain};
use neofn_event::TriggerId;
use neofn_trigger::Explanation;
use neofn_types::{Code, Datoshi, Error, FunctionName, InvocationId, ProjectName};
use std::sync::Arc;

/// Events that a backtest shows.
const SAMPLES_MAX: usize = 20;
/// Events that a backtest runs to measure them.
const MEASURED_MAX: usize = 3;

impl Inner {
    pub(crate) fn chain_port(&self) -> Result<&Arc<dyn Chain>, Error> {
        self.ports.chain.as_ref().ok_or(Code::ChainAbsent.into())
    }

    pub(crate) fn chain_state(&self) -> Option<ChainState> {
        let chain = self.ports.chain.as_ref()?;
        let (head, next, nodes) = (chain.head(), self.triggers.next(), chain.nodes());
        // while no node is in use nothing new is seen, so that reading has nothing to fail at
        let silent = !nodes.is_empty() && nodes.iter().all(|node| node.ejected.is_some());
        let unseen = || {
            let said = nodes
                .iter()
                .map(|n| format!("{} {}", n.url, n.ejected.as_deref().unwrap_or_default()));
            (Code::ChainUnreachable, said.collect::<Vec<_>>().join("; "))
        };
        Some(ChainState {
            network: chain.network(),
            head,
            next,
            lag: next.map_or(0, |next| (head.height + 1).saturating_sub(next)),
            error: self.triggers.error().or_else(|| silent.then(unseen)),
            nodes,
        })
    }

    /// By the cursor in the store, which every node sees: the one that this node remembers moves only while it leads.
    pub(crate) async fn blocks_behind(&self) -> Result<Option<u64>, Error> {
        let Some(chain) = self.ports.chain.as_ref() else {
            return Ok(None);
        };
        let cursor = self.ports.triggers.chain_cursor(chain.network().0).await;
        let cursor = cursor.map_err(of_store)?;
        Ok(cursor.map(|cursor| (chain.head().height + 1).saturating_sub(cursor.next)))
    }

    fn armed(&self, id: &TriggerId) -> Result<Arc<Armed>, Error> {
        let found = self.triggers.set().get(id).cloned();
        found.ok_or_else(|| Error::new(Code::TriggerNotFound, format!("there is no trigger {id}")))
    }

    /// The triggers of a project, by name.
    pub(crate) async fn trigger_list(
        &self,
        project: &ProjectName,
        function: Option<&FunctionName>,
    ) -> Result<Vec<TriggerInfo>, Error> {
        let set = self.triggers.set();
        let states = self.ports.triggers.trigger_states().await.map_err(of_store)?;
        let head = self.ports.chain.as_ref().map(|chain| chain.head().height + 1);
        let cursor = self.triggers.next();
        let mut found: Vec<TriggerInfo> = states
            .into_iter()
            .filter(|s| s.id.function.project == *project)
            .filter(|s| function.is_none_or(|f| s.id.function.function == *f))
            .filter_map(|state| {
                let armed = set.get(&state.id)?;
                let kind = armed.spec.on.kind();
                let at = state.position.or(cursor);
                let lag = head.zip(at).filter(|_| kind.is_chain());
                Some(TriggerInfo {
                    spec: armed.spec.clone(),
                    version: armed.version,
                    lag: lag.map(|(head, at)| head.saturating_sub(at)),
                    state,
                })
            })
            .collect();
        found.sort_by(|a, b| a.state.id.cmp(&b.state.id));
        Ok(found)
    }

    /// Why a trigger takes a transaction or a block, or which condition fails.
    pub(crate) async fn trigger_test(&self, id: &TriggerId, on: TestOn) -> Result<Explanation, Error> {
        let (armed, chain) = (self.armed(id)?, self.chain_port()?);
        let (height, transaction) = match on {
            TestOn::Block(height) => (height, None),
            TestOn::Transaction(hash) => {
                let found = chain.transaction(hash).await?;
                let included = found.included.ok_or_else(|| {
                    Error::new(
                        Code::TransactionNotFound,
                        format!("{hash} waits for a block; triggers see transactions once they are in one"),
                    )
                })?;
                (included.height, Some(hash))
            }
        };
        let block = chain.block(height).await?;
        let matcher = matcher(&**chain, std::iter::once(&armed));
        matcher.explain(id, &block, transaction).ok_or_else(|| {
            let kind = armed.spec.on.kind();
            Error::new(
                Code::BadParameter,
                format!("{id} is a {kind} trigger; only those that wait for blocks can be tried on one"),
            )
        })
    }

    /// What a trigger would have fired on in the blocks `from..=to`.
    pub(crate) async fn trigger_backtest(
        self: &Arc<Self>,
        id: &TriggerId,
        from: u64,
        to: u64,
    ) -> Result<Backtest, Error> {
        let (armed, chain) = (self.armed(id)?, self.chain_port()?);
        let kind = armed.spec.on.kind();
        if !kind.is_chain() {
            let message =
                format!("{id} is a {kind} trigger; only those that wait for blocks can be tried on them");
            return Err(Error::new(Code::BadParameter, message));
        }
        let max = self.options.chain.backtest_blocks_max;
        if to < from || to - from >= max {
            let message = format!("blocks {from} to {to}: a backtest reads 1 to {max} blocks");
            return Err(Error::new(Code::RangeTooLong, message));
        }
        let matcher = matcher(&**chain, std::iter::once(&armed));
        let end = (to + 1).min(chain.head().height + 1);
        let (mut next, mut matched, mut samples) = (from, 0u64, Vec::new());
        while next < end {
            let blocks = chain.blocks(next..end.min(next + BLOCKS_MAX)).await?;
            if blocks.is_empty() {
                break;
            }
            for block in &blocks {
                for found in matcher.block(block) {
                    matched += 1;
                    if samples.len() < SAMPLES_MAX {
                        samples.push((*found.event).clone());
                    }
                }
            }
            next += u64::try_from(blocks.len()).unwrap_or(0);
        }
        let (mut units, mut fees, mut failure) = (Vec::new(), Datoshi::ZERO, None);
        for sample in samples.iter().take(MEASURED_MAX) {
            let event = Bytes::from(sample.to_string());
            let (run, spent) = self.clone().estimate(armed.id.function.clone(), event).await?;
            match run.outcome {
                Ok(_) => {
                    units.push(run.units.total);
                    fees = fees.checked_add(spent).unwrap_or(fees);
                }
                Err(failed) => failure = failure.or(Some(format!("{}: {}", failed.code, failed.message))),
            }
        }
        let measured = u64::try_from(units.len()).unwrap_or(0);
        Ok(Backtest {
            trigger: id.clone(),
            from,
            to: next.saturating_sub(1).max(from),
            matched,
            samples,
            units_each: units.iter().sum::<u64>().checked_div(measured),
            fees_each: i64::try_from(measured)
                .ok()
                .and_then(|n| fees.0.checked_div(n))
                .map(Datoshi),
            failure,
            measured: u32::try_from(measured).unwrap_or(u32::MAX),
        })
    }

    pub(crate) async fn trigger_switch(&self, id: &TriggerId, switch: Switch) -> Result<TriggerInfo, Error> {
        let armed = self.armed(id)?;
        let chain = self.ports.chain.as_ref();
        let latest = chain.map(|chain| chain.head().height + 1);
        let change = match switch {
            Switch::Pause => Change::Pause { reason: None },
            Switch::Resume => Change::Resume { from: None },
            Switch::ResumeLatest => Change::Resume {
                from: latest.filter(|_| armed.spec.on.kind().is_chain()),
            },
        };
        let changes = vec![TriggerChange {
            id: id.clone(),
            change,
        }];
        let network = chain.map(|chain| chain.network().0);
        let now = self.options.clock.now();
        let store = &self.ports.triggers;
        let changed = store.change_triggers(changes, network, now).await;
        changed.map_err(of_store)?;
        self.sync_triggers().await?;
        let project = &id.function.project;
        let listed = self.trigger_list(project, Some(&id.function.function)).await?;
        let found = listed.into_iter().find(|info| info.state.id == *id);
        found.ok_or(Code::TriggerNotFound.into())
    }

    pub(crate) async fn fired(
        &self,
        project: &ProjectName,
        filter: FiredFilter,
    ) -> Result<Vec<Fired>, Error> {
        self.ports.triggers.fired(project, filter).await.map_err(of_store)
    }

    /// Does it to one dead letter.
    pub(crate) async fn redo(&self, id: InvocationId, redo: Redo) -> Result<(), Error> {
        let now = self.options.clock.now();
        match self.ports.triggers.redo(id, redo, now).await {
            Ok(()) => {
                self.gate.wake.notify_one();
                Ok(())
            }
            Err(StoreError::NotFound) => {
                let message = format!("{id} is no dead letter");
                Err(Error::new(Code::DeadLetterNotFound, message))
            }
            Err(error) => Err(of_store(error)),
        }
    }
}
