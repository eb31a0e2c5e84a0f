//! A ledger whose writes fail when they are told to: nothing is written, or all of it and nobody hears.

use async_trait::async_trait;
use neofn_gas::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Refused, Routes, StatementFilter,
    StatementLine, Totals, TransferId, UsageFilter, UsageLine, Written,
};
use neofn_gas::port::{ChainMark, ChainStep, HoldFilter, LedgerError, LedgerStore, Stepped};
use neofn_types::{ProjectName, UnixMillis};
use std::sync::{Arc, Mutex};

/// At which side of the commit a write fails.
#[derive(Debug, Clone, Copy)]
pub enum Fails {
    Before,
    After,
}

pub struct Flaky {
    store: Arc<dyn LedgerStore>,
    next: Mutex<Option<Fails>>,
}

impl Flaky {
    pub fn over(store: Arc<dyn LedgerStore>) -> Self {
        Self {
            store,
            next: Mutex::new(None),
        }
    }
    /// The next write fails.
    pub fn fail_next(&self, fails: Fails) {
        *self.next.lock().unwrap() = Some(fails);
    }
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $of:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl LedgerStore for Flaky {
            async fn write(&self, entries: Vec<Entry>) -> Result<Vec<Result<Written, Refused>>, LedgerError> {
                let fails = self.next.lock().unwrap().take();
                match fails {
                    None => return self.store.write(entries).await,
                    Some(Fails::Before) => {}
                    Some(Fails::After) => drop(self.store.write(entries).await?),
                }
                Err(LedgerError("told to fail".into()))
            }
            $(async fn $name(&self, $($arg: $of),*) -> Result<$answer, LedgerError> {
                self.store.$name($($arg),*).await
            })*
        }
    };
}
passed_on! {
    account(account: &Account) -> Option<AccountRow>;
    accounts(after: Option<&Account>, limit: u32) -> Vec<AccountRow>;
    transfer(id: TransferId) -> Option<(Account, StatementLine)>;
    statement(account: &Account, filter: StatementFilter) -> Vec<StatementLine>;
    hold(id: TransferId) -> Option<HoldRow>;
    holds(filter: HoldFilter) -> Vec<HoldRow>;
    usage(filter: UsageFilter) -> Vec<UsageLine>;
    set_budget(budget: Budget, at: UnixMillis) -> ();
    remove_budget(budget: Budget) -> bool;
    budgets(project: &ProjectName, at: UnixMillis) -> Vec<BudgetRow>;
    alerts(project: &ProjectName, limit: u32) -> Vec<Alert>;
    policy(project: &ProjectName) -> Option<String>;
    set_policy(project: &ProjectName, policy: String) -> ();
    policies() -> Vec<(ProjectName, String)>;
    routes() -> Routes;
    mark(network: u32) -> Option<ChainMark>;
    step(step: ChainStep) -> Stepped;
    totals() -> Totals;
    prune_holds(before: UnixMillis, limit: u32) -> u32;
}
