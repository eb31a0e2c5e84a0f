//! The port. A write is handed to the writer; reads need not wait: whoever wrote was answered after the commit.

use super::{account, budget, chain, read, write_all};
use crate::error::Fault;
use crate::open::Store;
use async_trait::async_trait;
use neofn_gas::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Refused, Routes, StatementFilter,
    StatementLine, Totals, TransferId, UsageFilter, UsageLine, Written,
};
use neofn_gas::port::{ChainMark, ChainStep, HoldFilter, LedgerError, LedgerStore, Stepped};
use neofn_types::{ProjectName, UnixMillis};

/// About what one entry carries.
const ENTRY_BYTES: usize = 256;

impl From<Fault> for LedgerError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}

#[async_trait]
impl LedgerStore for Store {
    async fn write(&self, entries: Vec<Entry>) -> Result<Vec<Result<Written, Refused>>, LedgerError> {
        let bytes = entries.len().saturating_mul(ENTRY_BYTES);
        let work = move |work: &mut crate::writer::Work<'_>| write_all(work.conn, &entries);
        Ok(self.queue.call(bytes, work).await?)
    }
    async fn account(&self, account: &Account) -> Result<Option<AccountRow>, LedgerError> {
        let account = account.clone();
        let row = self.readers.read(move |conn| account::read(conn, &account));
        Ok(row.await?)
    }
    async fn accounts(&self, after: Option<&Account>, limit: u32) -> Result<Vec<AccountRow>, LedgerError> {
        let after = after.cloned();
        let rows = self
            .readers
            .read(move |conn| account::list(conn, after.as_ref(), limit));
        Ok(rows.await?)
    }
    async fn transfer(&self, id: TransferId) -> Result<Option<(Account, StatementLine)>, LedgerError> {
        Ok(self.readers.read(move |conn| read::transfer(conn, id)).await?)
    }
    async fn statement(
        &self,
        account: &Account,
        filter: StatementFilter,
    ) -> Result<Vec<StatementLine>, LedgerError> {
        let account = account.clone();
        // charges of plain calls are written behind their answers
        let lines = self.read_after(move |conn| read::statement(conn, &account, filter));
        Ok(lines.await?)
    }
    async fn hold(&self, id: TransferId) -> Result<Option<HoldRow>, LedgerError> {
        Ok(self.readers.read(move |conn| read::hold(conn, id)).await?)
    }
    async fn holds(&self, filter: HoldFilter) -> Result<Vec<HoldRow>, LedgerError> {
        Ok(self.readers.read(move |conn| read::holds(conn, &filter)).await?)
    }
    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageLine>, LedgerError> {
        Ok(self.read_after(move |conn| read::usage(conn, &filter)).await?)
    }
    async fn set_budget(&self, budget: Budget, at: UnixMillis) -> Result<(), LedgerError> {
        let work = move |work: &mut crate::writer::Work<'_>| budget::set(work.conn, &budget, at);
        Ok(self.queue.call(0, work).await?)
    }
    async fn remove_budget(&self, budget: Budget) -> Result<bool, LedgerError> {
        let work = move |work: &mut crate::writer::Work<'_>| budget::remove(work.conn, &budget);
        Ok(self.queue.call(0, work).await?)
    }
    async fn budgets(&self, project: &ProjectName, at: UnixMillis) -> Result<Vec<BudgetRow>, LedgerError> {
        let project = project.clone();
        let rows = self.readers.read(move |conn| budget::list(conn, &project, at));
        Ok(rows.await?)
    }
    async fn alerts(&self, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, LedgerError> {
        let project = project.clone();
        let rows = self
            .readers
            .read(move |conn| budget::alerts(conn, &project, limit));
        Ok(rows.await?)
    }
    async fn policy(&self, project: &ProjectName) -> Result<Option<String>, LedgerError> {
        let project = project.clone();
        Ok(self
            .readers
            .read(move |conn| read::policy(conn, &project))
            .await?)
    }
    async fn set_policy(&self, project: &ProjectName, policy: String) -> Result<(), LedgerError> {
        let project = project.clone();
        let work = move |work: &mut crate::writer::Work<'_>| read::set_policy(work.conn, &project, &policy);
        Ok(self.queue.call(0, work).await?)
    }
    async fn policies(&self) -> Result<Vec<(ProjectName, String)>, LedgerError> {
        Ok(self.readers.read(read::policies).await?)
    }
    async fn routes(&self) -> Result<Routes, LedgerError> {
        Ok(self.readers.read(chain::routes).await?)
    }
    async fn mark(&self, network: u32) -> Result<Option<ChainMark>, LedgerError> {
        Ok(self.readers.read(move |conn| chain::mark(conn, network)).await?)
    }
    async fn step(&self, step: ChainStep) -> Result<Stepped, LedgerError> {
        let bytes = step.entries.len().saturating_mul(ENTRY_BYTES);
        let work = move |work: &mut crate::writer::Work<'_>| chain::step(work.conn, &step);
        Ok(self.queue.call(bytes, work).await?)
    }
    async fn totals(&self) -> Result<Totals, LedgerError> {
        Ok(self.read_after(read::totals).await?)
    }
    async fn prune_holds(&self, before: UnixMillis, limit: u32) -> Result<u32, LedgerError> {
        let work = move |work: &mut crate::writer::Work<'_>| read::prune_holds(work.conn, before, limit);
        Ok(self.queue.call(0, work).await?)
    }
}
