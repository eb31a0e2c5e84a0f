//! What people ask the bank for. Each thing that moves money is written under a name of its own, so that asking twice
//! moves it once.

use super::{Bank, BankError};
use crate::ledger::{
    Account, AccountRow, Alert, Budget, BudgetRow, Detail, Entry, Hold, HoldRow, Memo, Purpose,
    StatementFilter, StatementLine, Totals, Transfer, TransferId, UsageFilter, UsageLine, Written,
};
use crate::port::HoldFilter;
use neofn_types::{Caller, Datoshi, ProjectName, ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};

/// Most people who are given a first credit in 24 hours, on a node as a whole.
const GIVEN_DAILY_MAX: usize = 100;
/// Lines that are looked through for them, refills among them.
const GIVEN_LINES_MAX: u32 = 1_000;

/// How to pay in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposits {
    /// To this address.
    pub address: String,
    /// With this as the transfer's data.
    pub memo: String,
    /// On this network.
    pub network: u32,
}

/// By what name something is asked for, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// It happens once for this.
    pub name: &'a str,
    /// Who asks, for the statement.
    pub by: Option<&'a Caller>,
}
impl<'a> From<&'a str> for Asked<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, by: None }
    }
}

/// A withdrawal as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Its name.
    pub id: TransferId,
    /// What goes out.
    pub amount: Datoshi,
    /// Amount and the most that its fees may be, while it is not in a block; zero once it has ended.
    pub held: Datoshi,
    /// To whom.
    pub to: Option<ScriptHash>,
    /// Since when.
    pub at: UnixMillis,
}

impl Bank {
    /// What a project has; nothing when it never had anything.
    pub async fn balance(&self, project: &ProjectName) -> Result<AccountRow, BankError> {
        let account = Account::Project(project.clone());
        let row = self.store().account(&account).await?;
        Ok(row.unwrap_or_else(|| AccountRow {
            account,
            state: Default::default(),
            opened_at: self.0.options.clock.now(),
        }))
    }
    /// How to pay in.
    pub async fn deposits(&self, project: &ProjectName) -> Result<Deposits, BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        let account = treasury.account().await?.ok_or(BankError::NoTreasury)?;
        let network = treasury.network();
        let project = project.clone();
        Ok(Deposits {
            address: account.to_address(),
            memo: Memo { network, project }.to_string(),
            network,
        })
    }
    /// What moved, newest first.
    pub async fn statement(
        &self,
        project: &ProjectName,
        filter: StatementFilter,
    ) -> Result<Vec<StatementLine>, BankError> {
        let account = Account::Project(project.clone());
        Ok(self.store().statement(&account, filter).await?)
    }
    /// What was used.
    pub async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageLine>, BankError> {
        Ok(self.store().usage(filter).await?)
    }
    /// Sets a limit.
    pub async fn set_budget(&self, budget: Budget) -> Result<(), BankError> {
        if budget.limit < Datoshi::ZERO {
            return Err(BankError::Request("a budget is not negative".to_owned()));
        }
        let project = budget.project.clone();
        self.store()
            .set_budget(budget, self.0.options.clock.now())
            .await?;
        Ok(self.purses().forget(&project).await?)
    }
    /// Takes a limit away; whether there was one.
    pub async fn remove_budget(&self, budget: Budget) -> Result<bool, BankError> {
        let project = budget.project.clone();
        let there = self.store().remove_budget(budget).await?;
        self.purses().forget(&project).await?;
        Ok(there)
    }
    /// The limits of a project and how far they are spent.
    pub async fn budgets(&self, project: &ProjectName) -> Result<Vec<BudgetRow>, BankError> {
        Ok(self.store().budgets(project, self.0.options.clock.now()).await?)
    }

    /// Limits that were nearly or wholly spent, newest first.
    pub async fn alerts(&self, project: &ProjectName, limit: u32) -> Result<Vec<Alert>, BankError> {
        Ok(self.store().alerts(project, limit).await?)
    }
    /// Sums over the whole ledger: slow on a large one.
    pub async fn totals(&self) -> Result<Totals, BankError> {
        Ok(self.store().totals().await?)
    }

    /// Whether a withdrawal could be asked for as things are: it is of an amount that may leave, and the project has it.
    pub async fn check_withdrawal(
        &self,
        project: &ProjectName,
        amount: Datoshi,
        name: &str,
    ) -> Result<(), BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        if amount <= Datoshi::ZERO {
            return Err(BankError::Request(
                "a withdrawal is of more than nothing".to_owned(),
            ));
        }
        if let Some(max) = self.policy(project).await?.limits.withdrawal_max
            && amount > max
        {
            return Err(BankError::Request(format!(
                "a withdrawal is of at most {max} GAS"
            )));
        }
        // one that was asked for before has its money aside already
        if self.store().hold(withdrawal_id(project, name)).await?.is_some() {
            return Ok(());
        }
        // before anything is set aside: what cannot be signed would only keep the money from its owner
        treasury.ready()?;
        // what lies in the purse is the project's own and not spent
        self.purses().forget(project).await?;
        let fees = self.0.options.withdrawal_fee_max;
        let needed = amount.checked_add(fees).ok_or(crate::ledger::Refused::Overflow)?;
        let row = self.balance(project).await?;
        let available = row.state.own();
        if available >= needed {
            return Ok(());
        }
        let account = row.account;
        Err(crate::ledger::Refused::Insufficient {
            account,
            available,
            needed,
        }
        .into())
    }

    /// Asks for GAS to be sent, once for the name. The money is set aside, on disk, before anything is
    /// signed; it is sent by the next activation, which this does not wait for.
    pub async fn withdraw(
        &self,
        project: &ProjectName,
        amount: Datoshi,
        to: ScriptHash,
        asked: impl Into<Asked<'_>>,
    ) -> Result<Withdrawal, BankError> {
        let Asked { name, by } = asked.into();
        self.check_withdrawal(project, amount, name).await?;
        let fees = self.0.options.withdrawal_fee_max;
        let all = amount.checked_add(fees).ok_or(crate::ledger::Refused::Overflow)?;
        let id = withdrawal_id(project, name);
        let at = self.0.options.clock.now();
        // the ledger lets nothing but the project's own money out
        let hold = Hold {
            id,
            purpose: Purpose::Withdrawal,
            debit: Account::Project(project.clone()),
            credit: Account::Transit,
            amount: all,
            at_least: all,
            at,
            detail: Detail {
                party: Some(to),
                // the amount itself: fees may be set anew, and what goes out must not depend on that
                units: Some(amount.0.unsigned_abs()),
                caller: by.cloned(),
                ..Detail::default()
            },
        };
        self.write_one(Entry::Hold(hold)).await?;
        match self.store().hold(id).await? {
            Some(row) if row.detail.party == Some(to) && amount_of(&row) == amount => Ok(withdrawal(&row)),
            _ => Err(crate::ledger::Refused::Mismatch(id).into()),
        }
    }
    /// The withdrawals of a project, newest first.
    pub async fn withdrawals(&self, project: &ProjectName, limit: u32) -> Result<Vec<Withdrawal>, BankError> {
        let filter = HoldFilter {
            purpose: Purpose::Withdrawal,
            project: Some(project.clone()),
            open: false,
            limit,
        };
        let rows = self.store().holds(filter).await?;
        Ok(rows.iter().map(withdrawal).collect())
    }

    /// How many were given a first credit in the last 24 hours.
    async fn given_today(&self) -> Result<usize, BankError> {
        let day = std::time::Duration::from_secs(86_400);
        let filter = StatementFilter {
            before: None,
            since: Some(self.0.options.clock.now().minus(day)),
            limit: GIVEN_LINES_MAX,
        };
        let lines = self.store().statement(&Account::Allocation, filter).await?;
        Ok(lines.iter().filter(|l| l.purpose == Purpose::Allocation).count())
    }
    /// First credit of a new account; once for ever, however often it is asked for. A person has it for the first project that
    /// they make, and so many persons a day: addresses cost nothing. Nothing when they had it, or for now.
    pub async fn open_account(&self, project: &ProjectName) -> Result<Datoshi, BankError> {
        self.first_credit(project, &mut None).await
    }
    /// The same for each of these, in turn; what fails is said in the log.
    pub async fn open_accounts(&self, projects: &[ProjectName]) {
        let mut today = None;
        for project in projects {
            if let Err(error) = self.first_credit(project, &mut today).await {
                tracing::warn!(%project, %error, "no first credit");
            }
        }
    }
    /// `today`: to how many people it was given in 24 hours, once that was looked up.
    async fn first_credit(
        &self,
        project: &ProjectName,
        today: &mut Option<usize>,
    ) -> Result<Datoshi, BankError> {
        let amount = self.0.options.allocation;
        if amount <= Datoshi::ZERO {
            return Ok(amount);
        }
        let mut id = TransferId::of("allocation", &[project.as_ref().as_bytes()]);
        if self.store().transfer(id).await?.is_some() {
            return Ok(amount);
        }
        if let Some(maker) = self.0.options.projects.maker(project).await? {
            // one name for all that one person makes: the ledger itself takes it once
            id = TransferId::of("allocation/account", &[&maker.0]);
            if self.store().transfer(id).await?.is_some() {
                return Ok(Datoshi::ZERO);
            }
            let given = match today {
                Some(given) => given,
                None => today.insert(self.given_today().await?),
            };
            if *given >= GIVEN_DAILY_MAX {
                return Ok(Datoshi::ZERO);
            }
            *given += 1;
        }
        self.fund_for(amount, &format!("allocation/{project}")).await?;
        let to = Account::Project(project.clone());
        let given = self.give(id, Purpose::Allocation, Account::Allocation, to, amount);
        Ok(given.await?.amount())
    }
    /// The operator's money becomes what it gives away.
    pub async fn fund(&self, amount: Datoshi, name: &str) -> Result<(), BankError> {
        // without a chain there is nothing that credit could be exchanged for, so it may be made
        let from = match self.0.options.treasury {
            Some(_) => Account::Operator,
            None => Account::Treasury,
        };
        let id = TransferId::of("funding", &[name.as_bytes()]);
        let given = self.give(id, Purpose::Funding, from, Account::Allocation, amount);
        given.await.map(drop)
    }

    /// Moves what is missing of `amount` from the operator's account to what it gives away, under a name of its own.
    pub(super) async fn fund_for(&self, amount: Datoshi, name: &str) -> Result<(), BankError> {
        let row = self.store().account(&Account::Allocation).await?;
        let available = row.map(|r| r.state.available()).unwrap_or_default();
        match amount.checked_sub(available) {
            Some(missing) if missing > Datoshi::ZERO => self.fund(missing, name).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn give(
        &self,
        id: TransferId,
        purpose: Purpose,
        debit: Account,
        credit: Account,
        amount: Datoshi,
    ) -> Result<Written, BankError> {
        let transfer = Transfer {
            id,
            purpose,
            debit,
            credit,
            amount,
            at: self.0.options.clock.now(),
            detail: Detail::default(),
        };
        self.write_one(Entry::Transfer(transfer)).await
    }
    pub(super) async fn write_one(&self, entry: Entry) -> Result<Written, BankError> {
        match self.store().write(vec![entry]).await?.pop() {
            Some(answer) => Ok(answer?),
            None => Err(BankError::Request("the store answered nothing".to_owned())),
        }
    }
}

pub(super) fn withdrawal_id(project: &ProjectName, name: &str) -> TransferId {
    TransferId::of("withdrawal", &[project.as_ref().as_bytes(), name.as_bytes()])
}

pub(super) fn withdrawal(row: &HoldRow) -> Withdrawal {
    Withdrawal {
        id: row.id,
        amount: amount_of(row),
        held: row.left,
        to: row.detail.party,
        at: row.at,
    }
}
/// What a withdrawal sends, without its fees.
pub(super) fn amount_of(row: &HoldRow) -> Datoshi {
    let amount = row.detail.units.and_then(|n| i64::try_from(n).ok());
    Datoshi(amount.unwrap_or(0))
}
