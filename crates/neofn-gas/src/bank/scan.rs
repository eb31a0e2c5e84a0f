//! What blocks say about the treasury, written down block by block under names made of the blocks themselves: a block that
//! is read twice, or by two, counts once. Knows no node: whoever follows the chain hands the movements over.

use super::{Bank, BankError};
use crate::ledger::{Account, Detail, Entry, Movement, Purpose, Routed, Routes, Transfer, TransferId, route};
use crate::port::{ChainMark, ChainStep, Stepped};
use neofn_types::{Datoshi, ProjectName};
use std::collections::{BTreeMap, BTreeSet};

impl Bank {
    /// The addresses whose movements matter: the treasury's, and those made for projects.
    pub async fn routes(&self) -> Result<Routes, BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        let mut routes = self.store().routes().await?;
        routes.treasury = treasury.account().await?.into_iter().collect();
        Ok(routes)
    }

    /// The next block that is needed. The first time, the ledger begins here: what the treasury has now is the
    /// operator's.
    pub async fn mark(&self) -> Result<ChainMark, BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        let network = treasury.network();
        if let Some(mark) = self.store().mark(network).await? {
            return Ok(mark);
        }
        let routes = self.routes().await?;
        let ours: Vec<_> = routes
            .treasury
            .iter()
            .chain(routes.deposit.keys())
            .copied()
            .collect();
        if ours.is_empty() {
            return Err(BankError::NoTreasury);
        }
        let (height, balance) = treasury.balance(&ours).await?;
        let opening = Transfer {
            id: TransferId::of("opening", &[&network.to_be_bytes()]),
            purpose: Purpose::Opening,
            debit: Account::Treasury,
            credit: Account::Operator,
            amount: balance,
            at: self.0.options.clock.now(),
            detail: Detail::default(),
        };
        let entries = match balance > Datoshi::ZERO {
            true => vec![Entry::Transfer(opening)],
            false => Vec::new(),
        };
        let next = height.saturating_add(1);
        let step = ChainStep {
            network,
            from: None,
            next,
            entries,
        };
        match self.store().step(step).await? {
            Stepped::Done(_) => Ok(ChainMark { next }),
            Stepped::Elsewhere(Some(mark)) => Ok(mark),
            Stepped::Elsewhere(None) => Err(BankError::Request("the mark of the chain is gone".to_owned())),
        }
    }

    /// Writes what the blocks from `from` up to before `next` say. Answers the mark afterwards, which is another one when
    /// somebody else was faster.
    pub async fn take(
        &self,
        from: ChainMark,
        next: u64,
        movements: &[Movement],
    ) -> Result<ChainMark, BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        let network = treasury.network();
        let routes = self.routes().await?;
        let known = self.known(network, movements, &routes).await?;
        let is_known = |project: &ProjectName| known.get(project).copied().unwrap_or(false);
        let entries = movements
            .iter()
            .filter_map(|m| m.entry(network, &route(network, m, &routes, is_known)))
            .collect();
        let step = ChainStep {
            network,
            from: Some(from),
            next,
            entries,
        };
        match self.store().step(step).await? {
            Stepped::Done(answers) => {
                for answer in answers {
                    if let Err(why) = answer {
                        // deposits cannot be refused by a floor; this is a sum that does not fit
                        tracing::error!(%why, "a movement on chain was not written");
                    }
                }
                Ok(ChainMark { next })
            }
            Stepped::Elsewhere(mark) => Ok(mark.unwrap_or(from)),
        }
    }

    /// Which of the projects that movements may be for exist.
    async fn known(
        &self,
        network: u32,
        movements: &[Movement],
        routes: &Routes,
    ) -> Result<BTreeMap<ProjectName, bool>, BankError> {
        let mut asked = BTreeSet::new();
        for movement in movements {
            // with every name known, what comes out is the name that matters
            if let Routed::In(Account::Project(project)) = route(network, movement, routes, |_| true) {
                asked.insert(project);
            }
        }
        let mut known = BTreeMap::new();
        for project in asked {
            let exists = self.0.options.projects.exists(&project).await?;
            known.insert(project, exists);
        }
        Ok(known)
    }
}
