//! Whose money is whose: deposits that named nobody, what a project was given and what it paid in, and an account's end.

use super::requests::{Asked, Withdrawal, withdrawal, withdrawal_id};
use super::{Bank, BankError, Policy, Sponsorship};
use crate::ledger::{Account, Detail, Entry, Purpose, StatementFilter, StatementLine, Transfer, TransferId};
use neofn_types::{Datoshi, ProjectName, ScriptHash, UnixMillis};

/// A deposit that named nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// As it came in.
    pub line: StatementLine,
    /// To whom it was given since, and when.
    pub given: Option<(ProjectName, UnixMillis)>,
}

/// What an account can spend, by where it came from. Credit is spent before a project's own money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estate {
    /// Left of what the operator gave.
    pub credit: Datoshi,
    /// Left of what was paid in.
    pub own: Datoshi,
    /// Set aside beside them, for what is under way.
    pub held: Datoshi,
}

/// An account that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Credit that went back to the operator.
    pub reclaimed: Datoshi,
    /// The project's own money, on its way.
    pub withdrawal: Option<Withdrawal>,
    /// What stays: set aside, or less than it would cost to send.
    pub left: Datoshi,
}

fn attribution(deposit: TransferId) -> TransferId {
    // of the deposit alone: it is given away once, whoever asks
    TransferId::of("attribution", &[&deposit.0])
}

impl Bank {
    /// Deposits that named nobody, newest first, and where the next page begins.
    pub async fn suspense(
        &self,
        filter: StatementFilter,
    ) -> Result<(Vec<Suspended>, Option<u64>), BankError> {
        let lines = self.store().statement(&Account::Suspense, filter).await?;
        let full = u32::try_from(lines.len()).is_ok_and(|n| n == filter.limit);
        let next = lines.last().filter(|_| full).map(|l| l.seq);
        let mut found = Vec::new();
        for line in lines.into_iter().filter(|l| l.amount > Datoshi::ZERO) {
            let given = self.store().transfer(attribution(line.id)).await?;
            let given = given.and_then(|(_, g)| Some((g.other.project()?.clone(), g.at)));
            found.push(Suspended { line, given });
        }
        Ok((found, next))
    }

    /// Gives a deposit that named nobody to whom it belongs.
    pub async fn attribute(
        &self,
        deposit: TransferId,
        project: &ProjectName,
    ) -> Result<Suspended, BankError> {
        let Some((_, line)) = self.store().transfer(deposit).await? else {
            return Err(BankError::Request(format!("{deposit} is no deposit in suspense")));
        };
        if line.other != Account::Suspense {
            return Err(BankError::Request(format!("{deposit} is no deposit in suspense")));
        }
        let at = self.0.options.clock.now();
        let given = Transfer {
            id: attribution(deposit),
            purpose: Purpose::Attribution,
            debit: Account::Suspense,
            credit: Account::Project(project.clone()),
            amount: Datoshi(line.amount.0.saturating_neg()),
            at,
            // so that the project sees which of its payments this is
            detail: Detail {
                tx: line.detail.tx,
                party: line.detail.party,
                ..Detail::default()
            },
        };
        self.write_one(Entry::Transfer(given)).await?;
        // as its own account sees it
        let line = StatementLine {
            other: Account::Treasury,
            amount: Datoshi(line.amount.0.saturating_neg()),
            ..line
        };
        Ok(Suspended {
            line,
            given: Some((project.clone(), at)),
        })
    }

    /// What a project has, by where it came from.
    pub async fn estate(&self, project: &ProjectName) -> Result<Estate, BankError> {
        let state = self.balance(project).await?.state;
        Ok(Estate {
            credit: state.credit.min(state.available()),
            own: state.own(),
            held: state.held,
        })
    }

    /// Whether so much is more than sending it may cost; without a chain nothing can be sent.
    #[must_use]
    pub fn can_be_sent(&self, own: Datoshi) -> bool {
        self.0.options.treasury.is_some() && own > self.0.options.withdrawal_fee_max
    }

    /// Takes back what is left of given credit, once for a name; what a project paid in itself stays its own.
    pub async fn reclaim(&self, project: &ProjectName, name: &str) -> Result<Datoshi, BankError> {
        self.purses().forget(project).await?;
        let amount = self.estate(project).await?.credit;
        if amount <= Datoshi::ZERO {
            return Ok(Datoshi::ZERO);
        }
        let id = TransferId::of("reclaim", &[project.as_ref().as_bytes(), name.as_bytes()]);
        let from = Account::Project(project.clone());
        let taken = self.give(id, Purpose::Reclaim, from, Account::Allocation, amount);
        Ok(taken.await?.amount())
    }

    /// Ends what the operator agreed with a project, sends it its own money, once for the name, and takes back what is left
    /// of the credit. Closing again takes what has come free since. `once` is another text each time.
    pub async fn close(
        &self,
        project: &ProjectName,
        to: Option<ScriptHash>,
        asked: impl Into<Asked<'_>>,
        once: &str,
    ) -> Result<Closed, BankError> {
        let asked = asked.into();
        self.purses().forget(project).await?;
        let sent = self.store().hold(withdrawal_id(project, asked.name)).await?;
        let fees = self.0.options.withdrawal_fee_max;
        let own = self.estate(project).await?.own;
        let amount = Datoshi(own.0.saturating_sub(fees.0));
        if to.is_none() && sent.is_none() && self.can_be_sent(own) {
            return Err(BankError::Request(format!(
                "{own} GAS are the project's own: say where they go"
            )));
        }
        // first: nothing must be given while it is being taken
        let policy = self.policy(project).await?;
        let ended = Policy {
            refill: None,
            sponsorship: Sponsorship::Off,
            tokens: Vec::new(),
            ..policy.clone()
        };
        if ended != policy {
            self.set_policy(project, ended).await?;
        }
        let withdrawal = match (sent, to) {
            (Some(sent), _) => Some(withdrawal(&sent)),
            (None, Some(to)) if amount > Datoshi::ZERO => {
                Some(self.withdraw(project, amount, to, asked).await?)
            }
            (None, _) => None,
        };
        let reclaimed = self.reclaim(project, once).await?;
        let left = self.balance(project).await?.state.balance;
        let on_its_way = withdrawal.as_ref().map_or(0, |w| w.held.0);
        Ok(Closed {
            reclaimed,
            left: Datoshi(left.0.saturating_sub(on_its_way)),
            withdrawal,
        })
    }
}
