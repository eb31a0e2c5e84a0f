//! The port of the ledger.

use super::{account, budget, chain, read, write_all};
use crate::conn::{Tries, read, transact};
use crate::error::Fault;
use crate::open::PostgresStore;
use async_trait::async_trait;
use neofn_gas::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Entry, HoldRow, Refused, Routes, StatementFilter,
    StatementLine, Totals, TransferId, UsageFilter, UsageLine, Written,
};
use neofn_gas::port::{ChainMark, ChainStep, HoldFilter, LedgerError, LedgerStore, Stepped};
use neofn_types::{ProjectName, UnixMillis};

type Answer<T> = Result<T, LedgerError>;

impl From<Fault> for LedgerError {
    fn from(f: Fault) -> Self {
        Self(Box::new(f))
    }
}

#[async_trait]
impl LedgerStore for PostgresStore {
    async fn write(&self, entries: Vec<Entry>) -> Answer<Vec<Result<Written, Refused>>> {
        Ok(transact!(self.pool, |conn| write_all(conn, &entries))?)
    }
    async fn account(&self, account: &Account) -> Answer<Option<AccountRow>> {
        Ok(read!(self.pool, |conn| account::read(conn, account))?)
    }
    async fn accounts(&self, after: Option<&Account>, limit: u32) -> Answer<Vec<AccountRow>> {
        Ok(read!(self.pool, |conn| account::list(conn, after, limit))?)
    }
    async fn transfer(&self, id: TransferId) -> Answer<Option<(Account, StatementLine)>> {
        Ok(read!(self.pool, |conn| read::transfer(conn, id))?)
    }
    async fn statement(&self, account: &Account, filter: StatementFilter) -> Answer<Vec<StatementLine>> {
        // charges of plain calls are written behind their answers
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| read::statement(conn, account, filter))?)
    }
    async fn hold(&self, id: TransferId) -> Answer<Option<HoldRow>> {
        Ok(read!(self.pool, |conn| read::hold(conn, id))?)
    }
    async fn holds(&self, filter: HoldFilter) -> Answer<Vec<HoldRow>> {
        Ok(read!(self.pool, |conn| read::holds(conn, &filter))?)
    }
    async fn usage(&self, filter: UsageFilter) -> Answer<Vec<UsageLine>> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| read::usage(conn, &filter))?)
    }
    async fn set_budget(&self, budget: Budget, at: UnixMillis) -> Answer<()> {
        Ok(transact!(self.pool, |conn| budget::set(conn, &budget, at))?)
    }
    async fn remove_budget(&self, budget: Budget) -> Answer<bool> {
        Ok(transact!(self.pool, |conn| budget::remove(conn, &budget))?)
    }
    async fn budgets(&self, project: &ProjectName, at: UnixMillis) -> Answer<Vec<BudgetRow>> {
        Ok(read!(self.pool, |conn| budget::list(conn, project, at))?)
    }
    async fn alerts(&self, project: &ProjectName, limit: u32) -> Answer<Vec<Alert>> {
        Ok(read!(self.pool, |conn| budget::alerts(conn, project, limit))?)
    }
    async fn policy(&self, project: &ProjectName) -> Answer<Option<String>> {
        Ok(read!(self.pool, |conn| read::policy(conn, project))?)
    }
    async fn set_policy(&self, project: &ProjectName, policy: String) -> Answer<()> {
        Ok(read!(self.pool, |conn| read::set_policy(conn, project, &policy))?)
    }
    async fn policies(&self) -> Answer<Vec<(ProjectName, String)>> {
        Ok(read!(self.pool, |conn| read::policies(conn))?)
    }
    async fn routes(&self) -> Answer<Routes> {
        Ok(read!(self.pool, |conn| chain::routes(conn))?)
    }
    async fn mark(&self, network: u32) -> Answer<Option<ChainMark>> {
        Ok(read!(self.pool, |conn| chain::mark(conn, network))?)
    }
    async fn step(&self, step: ChainStep) -> Answer<Stepped> {
        Ok(transact!(self.pool, Tries::new(), |conn, again| {
            chain::step(conn, &step, again)
        })?)
    }
    async fn totals(&self) -> Answer<Totals> {
        self.queue.barrier().await?;
        Ok(read!(self.pool, |conn| read::totals(conn))?)
    }
    async fn prune_holds(&self, before: UnixMillis, limit: u32) -> Answer<u32> {
        Ok(transact!(self.pool, |conn| read::prune_holds(
            conn, before, limit
        ))?)
    }
}
