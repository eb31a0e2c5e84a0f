//! Use cases about money: what a project has and used, how it pays in and takes out, and what the operator grants.

use crate::accounts::address;
use crate::api::Api;
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use neofn_gas::ledger::{Budget, BudgetRow, Detail, Period, StatementFilter, StatementLine, statement_csv};
use neofn_gas::{Asked, Bank, BankError, Limits, Policy, Refill, Sponsorship, Withdrawal};
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_types::{Code, Datoshi, Error, FunctionKey, FunctionName, ProjectName};
use neofn_wire::{
    ChainSide, DepositView, GasAlert, GasLimitRequest, GasLimitView, GasLimits, GasLine, GasStatement,
    GasView, ReconcileView, RefillView, WithdrawRequest, WithdrawalList, WithdrawalView, WriteOffRequest,
    WriteOffView,
};

/// Lines of one page of a statement as CSV.
const CSV_LINES_MAX: u32 = 10_000;
/// Alerts and withdrawals that are shown.
const SHOWN_MAX: u32 = 100;

fn amount(text: &str) -> Result<Datoshi, Error> {
    text.parse().map_err(|_| {
        Error::new(
            Code::AmountInvalid,
            format!("{text:?} is no amount of GAS such as 0.5"),
        )
    })
}
fn period(text: &str) -> Result<Period, Error> {
    match text {
        "day" => Ok(Period::Day),
        "month" => Ok(Period::Month),
        "total" => Ok(Period::Total),
        other => Err(Error::new(
            Code::RequestInvalid,
            format!("{other:?} is no period: day, month or total"),
        )),
    }
}
const fn period_name(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Month => "month",
        Period::Total => "total",
    }
}
pub(crate) fn failed(error: impl Into<BankError>) -> ApiError {
    Error::from(error.into()).into()
}

fn line(line: StatementLine) -> GasLine {
    let Detail {
        function,
        invocation,
        units,
        price,
        tx,
        party,
        note,
        caller,
    } = line.detail;
    GasLine {
        id: line.id.to_string(),
        at: line.at.to_iso8601(),
        purpose: line.purpose.to_string(),
        caller: caller.map(Into::into),
        amount: line.amount.to_string(),
        function: function.map(|f| f.to_string()),
        invocation: invocation.map(|i| i.to_string()),
        units,
        price,
        transaction: tx.map(|t| t.to_string()),
        party: party.map(|p| p.to_address()),
        note,
    }
}
fn limit(row: BudgetRow) -> GasLimitView {
    GasLimitView {
        function: row.budget.function.map(|f| f.to_string()),
        period: period_name(row.budget.period).to_owned(),
        limit: row.budget.limit.to_string(),
        spent: row.spent.to_string(),
        held: row.held.to_string(),
    }
}
pub(crate) fn withdrawal(w: &Withdrawal) -> WithdrawalView {
    let state = if w.held > Datoshi::ZERO { "open" } else { "ended" };
    WithdrawalView {
        id: w.id.to_string(),
        amount: w.amount.to_string(),
        held: w.held.to_string(),
        state: state.to_owned(),
        to: w.to.map(|t| t.to_address()),
        at: w.at.to_iso8601(),
    }
}
fn policy_view(policy: &Policy) -> RefillView {
    RefillView {
        below: policy.refill.map(|r| r.below.to_string()),
        to: policy.refill.map(|r| r.to.to_string()),
        sponsored: policy.sponsorship == Sponsorship::Platform,
        withdrawal_max: policy.limits.withdrawal_max.map(|m| m.to_string()),
        tokens: policy.tokens.iter().map(ToString::to_string).collect(),
    }
}

impl Api {
    pub(crate) fn may_see(&self, who: &Principal, project: &ProjectName) -> Result<&Bank, ApiError> {
        self.authorise_project(who, Action::ReadGas, project)?;
        Ok(self.bank()?)
    }

    /// What a project has.
    pub async fn gas(&self, who: &Principal, project: &ProjectName) -> Result<GasView, ApiError> {
        let bank = self.may_see(who, project)?;
        let state = bank.balance(project).await.map_err(failed)?.state;
        Ok(GasView {
            project: project.to_string(),
            balance: state.balance.to_string(),
            held: state.held.to_string(),
            available: state.available().to_string(),
            credit: state.credit.to_string(),
            price: bank.purses().price().0,
        })
    }

    /// How to pay in.
    pub async fn gas_deposit(&self, who: &Principal, project: &ProjectName) -> Result<DepositView, ApiError> {
        let bank = self.may_see(who, project)?;
        let to = bank.deposits(project).await.map_err(failed)?;
        Ok(DepositView {
            address: to.address,
            memo: to.memo,
            network: to.network,
        })
    }

    async fn lines(
        &self,
        who: &Principal,
        project: &ProjectName,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StatementLine>, ApiError> {
        let bank = self.may_see(who, project)?;
        let before: Option<u64> = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let filter = StatementFilter {
            before,
            since: None,
            limit,
        };
        bank.statement(project, filter).await.map_err(failed)
    }

    /// What moved on a project's account, newest first.
    pub async fn gas_statement(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<GasStatement, ApiError> {
        let limit = Page::of(limit)?.limit;
        let lines = self.lines(who, project, cursor, limit).await?;
        let full = u32::try_from(lines.len()).is_ok_and(|n| n == limit);
        Ok(GasStatement {
            next: lines.last().filter(|_| full).map(|l| l.seq.to_string()),
            lines: lines.into_iter().map(line).collect(),
        })
    }

    /// The same as a table for spreadsheets; at most 10 000 lines.
    pub async fn gas_statement_csv(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<String, ApiError> {
        let limit = limit.map_or(CSV_LINES_MAX, |limit| limit.min(CSV_LINES_MAX));
        let lines = self.lines(who, project, cursor, limit).await?;
        Ok(statement_csv(project, &lines))
    }

    /// The limits of a project and of its functions.
    pub async fn gas_limits(&self, who: &Principal, project: &ProjectName) -> Result<GasLimits, ApiError> {
        let bank = self.may_see(who, project)?;
        let rows = bank.budgets(project).await.map_err(failed)?;
        let alerts = bank.alerts(project, SHOWN_MAX).await.map_err(failed)?;
        Ok(GasLimits {
            limits: rows.into_iter().map(limit).collect(),
            alerts: alerts
                .into_iter()
                .map(|a| GasAlert {
                    at: a.at.to_iso8601(),
                    function: a.function.map(|f| f.to_string()),
                    percent: a.percent,
                    limit: a.limit.to_string(),
                })
                .collect(),
        })
    }

    /// Sets a limit, or takes it away.
    pub async fn set_gas_limit(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: &GasLimitRequest,
    ) -> Result<GasLimits, ApiError> {
        self.authorise_project(who, Action::ManageGas, project)?;
        let bank = self.bank()?;
        // operators reach every name
        self.must_exist(project).await?;
        let function: Option<FunctionName> = match &request.function {
            Some(name) => Some(crate::decode::function_name(name)?),
            None => None,
        };
        // one that is gone may still have a limit that is to be taken away
        if let Some(function) = function.as_ref().filter(|_| request.limit.is_some()) {
            let key = FunctionKey::new(project.clone(), function.clone());
            self.engine().function(&key).await?;
        }
        let budget = Budget {
            project: project.clone(),
            function,
            period: period(&request.period)?,
            limit: request
                .limit
                .as_deref()
                .map(amount)
                .transpose()?
                .unwrap_or_default(),
        };
        let (what, said) = (
            budget.what(),
            request.limit.clone().unwrap_or_else(|| "none".to_owned()),
        );
        let entry = self.act(who, project, "gas.limit", &what);
        self.log(entry.detail(format!("{said} a {}", request.period)))
            .await?;
        match request.limit {
            Some(_) => bank.set_budget(budget).await.map_err(failed)?,
            None => bank.remove_budget(budget).await.map(drop).map_err(failed)?,
        }
        self.gas_limits(who, project).await
    }

    /// Asks for GAS to be sent. `name` makes it happen once; without one each request is another withdrawal.
    pub async fn withdraw(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: &WithdrawRequest,
        name: Option<&str>,
    ) -> Result<WithdrawalView, ApiError> {
        self.authorise_project(who, Action::ManageGas, project)?;
        let bank = self.bank()?;
        let (sum, to) = (amount(&request.amount)?, address(&request.to)?);
        let fresh = self.fresh_name();
        let name = name.unwrap_or(&fresh);
        // what cannot be is no act: the log is not there to be filled with refusals
        bank.check_withdrawal(project, sum, name).await.map_err(failed)?;
        // before the money is set aside: what was done must not be without its entry
        let entry = self.act(who, project, "gas.withdraw", &to.to_address());
        self.log(entry.detail(format!("{sum} GAS, {name}"))).await?;
        let by = who.caller();
        let asked = Asked { name, by: Some(&by) };
        let withdrawn = bank.withdraw(project, sum, to, asked).await.map_err(failed)?;
        Ok(withdrawal(&withdrawn))
    }

    /// The withdrawals of a project, newest first.
    pub async fn withdrawals(
        &self,
        who: &Principal,
        project: &ProjectName,
    ) -> Result<WithdrawalList, ApiError> {
        let bank = self.may_see(who, project)?;
        let rows = bank.withdrawals(project, SHOWN_MAX).await.map_err(failed)?;
        Ok(WithdrawalList {
            withdrawals: rows.iter().map(withdrawal).collect(),
        })
    }

    /// May they act on the bank as a whole? For an edge that wants to know before it reads a body.
    pub fn authorise_operating_bank(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::OperateBank, Target::Node { loopback: false })
    }

    /// What the operator agreed with a project.
    pub async fn gas_policy(&self, who: &Principal, project: &ProjectName) -> Result<RefillView, ApiError> {
        let bank = self.may_see(who, project)?;
        Ok(policy_view(&bank.policy(project).await.map_err(failed)?))
    }

    /// Agrees: the operator's money, so the operator's to say.
    pub async fn set_gas_policy(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: &RefillView,
    ) -> Result<RefillView, ApiError> {
        self.authorise(who, Action::OperateBank, Target::Node { loopback: false })?;
        let bank = self.bank()?;
        // credit for a name would wait for whoever makes the project
        self.must_exist(project).await?;
        let refill = match (&request.below, &request.to) {
            (Some(below), Some(to)) => Some(Refill {
                below: amount(below)?,
                to: amount(to)?,
            }),
            (None, None) => None,
            _ => {
                let message = "a refill has both `below` and `to`";
                return Err(Error::new(Code::RequestInvalid, message).into());
            }
        };
        let policy = Policy {
            sponsorship: if request.sponsored {
                Sponsorship::Platform
            } else {
                Sponsorship::Off
            },
            refill,
            limits: Limits {
                withdrawal_max: request.withdrawal_max.as_deref().map(amount).transpose()?,
            },
            tokens: request
                .tokens
                .iter()
                .map(|token| crate::chain::contract(token))
                .collect::<Result<_, _>>()?,
        };
        let said = format!("{:?}", policy_view(&policy));
        self.log(
            self.act(who, project, "gas.policy", project.as_str())
                .detail(said),
        )
        .await?;
        let view = policy_view(&policy);
        bank.set_policy(project, policy).await.map_err(failed)?;
        Ok(view)
    }

    /// The ledger's own rules, and the ledger against the chain.
    pub async fn reconcile(&self, who: &Principal) -> Result<ReconcileView, ApiError> {
        self.authorise(who, Action::OperateBank, Target::Node { loopback: false })?;
        let bank = self.bank()?;
        let totals = bank.totals().await.map_err(failed)?;
        let chain = match bank.reconcile().await {
            Ok(seen) => Some(seen),
            Err(BankError::NoTreasury) => None,
            Err(error) => return Err(failed(error)),
        };
        let agrees = chain.is_none_or(|seen| !seen.comparable() || seen.sound());
        Ok(ReconcileView {
            sound: totals.sound() && agrees,
            sum: Datoshi(totals.balance).to_string(),
            transfers: totals.transfers,
            chain: chain.map(|seen| ChainSide {
                height: seen.height,
                next: seen.next,
                chain: seen.chain.to_string(),
                ledger: seen.ledger.to_string(),
                transit: seen.transit.to_string(),
                open: seen.open,
            }),
        })
    }

    /// Books what is in transit and belongs to no payment on the operator's account.
    pub async fn write_off(
        &self,
        who: &Principal,
        request: &WriteOffRequest,
    ) -> Result<WriteOffView, ApiError> {
        self.authorise_operating_bank(who)?;
        let bank = self.bank()?;
        let now = self.inner.clock.now();
        self.log(AuditEntry::new(
            now,
            who.actor(),
            "gas.write-off",
            request.name.as_str(),
        ))
        .await?;
        let amount = bank.write_off(&request.name).await.map_err(failed)?;
        Ok(WriteOffView {
            amount: amount.to_string(),
        })
    }

    /// First credit of a project that was just made. It is made up for with the next start, should this fail.
    pub(crate) async fn first_credit(&self, project: &ProjectName) {
        if let Some(bank) = &self.inner.bank
            && let Err(error) = bank.open_account(project).await
        {
            tracing::warn!(%project, %error, "no first credit");
        }
    }

    /// Writes an act down.
    pub(crate) async fn log(&self, entry: AuditEntry) -> Result<(), Error> {
        let written = self.inner.audit.append(entry).await;
        written.map(drop).map_err(Error::from)
    }
}
