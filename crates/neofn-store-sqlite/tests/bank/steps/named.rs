//! The store, with a name for each write: what it writes. Each is a step at which the process may be killed.

use super::chain::Points;
use async_trait::async_trait;
use neofn_gas::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Refused, Routes, StatementFilter,
    StatementLine, Totals, TransferId, UsageFilter, UsageLine, Written,
};
use neofn_gas::port::{ChainMark, ChainStep, HoldFilter, LedgerError, LedgerStore, Stepped};
use neofn_store_sqlite::Store;
use neofn_types::{ProjectName, UnixMillis};
use std::collections::BTreeSet;
use std::sync::Arc;

pub struct Named {
    pub store: Arc<Store>,
    pub points: Arc<Points>,
}
fn name_of(entries: &[Entry]) -> String {
    let one = |entry: &Entry| match entry {
        Entry::Transfer(t) => t.purpose.to_string(),
        Entry::Hold(h) => format!("hold-{}", h.purpose),
        Entry::Post { purpose, .. } => format!("post-{purpose}"),
        Entry::Release { .. } => "release".to_owned(),
        Entry::Void { .. } => "void".to_owned(),
    };
    let kinds: BTreeSet<_> = entries.iter().map(one).collect();
    kinds.into_iter().collect::<Vec<_>>().join("+")
}
type Answers = Vec<Result<Written, Refused>>;
#[async_trait]
impl LedgerStore for Named {
    async fn write(&self, entries: Vec<Entry>) -> Result<Answers, LedgerError> {
        let name = name_of(&entries);
        self.points.reach(&format!("write {name}:before"));
        let answers = self.store.write(entries).await;
        self.points.around(&format!("write {name}"), answers)
    }
    async fn step(&self, step: ChainStep) -> Result<Stepped, LedgerError> {
        let name = format!("step {}", name_of(&step.entries));
        self.points.reach(&format!("{name}:before"));
        let answer = self.store.step(step).await;
        self.points.around(&name, answer)
    }
    async fn account(&self, account: &Account) -> Result<Option<AccountRow>, LedgerError> {
        self.store.account(account).await
    }
    async fn accounts(&self, after: Option<&Account>, limit: u32) -> Result<Vec<AccountRow>, LedgerError> {
        self.store.accounts(after, limit).await
    }
    async fn transfer(&self, id: TransferId) -> Result<Option<(Account, StatementLine)>, LedgerError> {
        self.store.transfer(id).await
    }
    async fn statement(
        &self,
        account: &Account,
        filter: StatementFilter,
    ) -> Result<Vec<StatementLine>, LedgerError> {
        self.store.statement(account, filter).await
    }
    async fn hold(&self, id: TransferId) -> Result<Option<HoldRow>, LedgerError> {
        self.store.hold(id).await
    }
    async fn holds(&self, filter: HoldFilter) -> Result<Vec<HoldRow>, LedgerError> {
        self.store.holds(filter).await
    }
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageLine>, LedgerError> {
        self.store.usage(filter).await
    }
    async fn set_budget(&self, budget: Budget, at: UnixMillis) -> Result<(), LedgerError> {
        self.store.set_budget(budget, at).await
    }
    async fn remove_budget(&self, budget: Budget) -> Result<bool, LedgerError> {
        self.store.remove_budget(budget).await
    }
    async fn budgets(&self, project: &ProjectName, at: UnixMillis) -> Result<Vec<BudgetRow>, LedgerError> {
        self.store.budgets(project, at).await
    }
    async fn alerts(&self, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, LedgerError> {
        self.store.alerts(project, limit).await
    }
    async fn policy(&self, project: &ProjectName) -> Result<Option<String>, LedgerError> {
        self.store.policy(project).await
    }
    async fn set_policy(&self, project: &ProjectName, policy: String) -> Result<(), LedgerError> {
        self.store.set_policy(project, policy).await
    }
    async fn policies(&self) -> Result<Vec<(ProjectName, String)>, LedgerError> {
        self.store.policies().await
    }
    async fn routes(&self) -> Result<Routes, LedgerError> {
        self.store.routes().await
    }
    async fn mark(&self, network: u32) -> Result<Option<ChainMark>, LedgerError> {
        self.store.mark(network).await
    }
    async fn totals(&self) -> Result<Totals, LedgerError> {
        self.store.totals().await
    }
    async fn prune_holds(&self, before: UnixMillis, limit: u32) -> Result<u32, LedgerError> {
        self.store.prune_holds(before, limit).await
    }
}
