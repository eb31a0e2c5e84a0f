//! The rules of entries, beside those of one account: what makes sense, what is the same as before, what a part of a hold
//! may be, and what counts against budgets. Rows name accounts by the numbers that their store gave them.

use super::{Account, BudgetRow, Hold, Purpose, Refused, Transfer, TransferId, Written};
use neofn_types::{Datoshi, FunctionName, ProjectName, UnixMillis};

/// A transfer that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTransfer {
    /// Why.
    pub purpose: Purpose,
    /// Number of the account that has less.
    pub debit: i64,
    /// Number of the account that has more.
    pub credit: i64,
    /// How much.
    pub amount: Datoshi,
    /// The hold that it is a part of.
    pub hold: Option<TransferId>,
}

/// A hold that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHold {
    /// Its name.
    pub id: TransferId,
    /// Why.
    pub purpose: Purpose,
    /// Number of the account whose money it is.
    pub debit: i64,
    /// Number of the account that it is for.
    pub credit: i64,
    /// How much it got.
    pub amount: Datoshi,
    /// How much of that is left.
    pub left: Datoshi,
    /// The function that it is about.
    pub function: Option<FunctionName>,
}

/// What money of an account goes for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What the operator gave, and then its own.
    CreditFirst,
    /// What the operator gave alone.
    Credit,
    /// Its own alone.
    Own,
}

impl Purpose {
    /// Where money of this purpose is taken from: what is used up is paid by credit first, and credit does not leave.
    #[must_use]
    pub const fn taken_from(self) -> Source {
        match self {
            Self::Reclaim => Source::Credit,
            Self::Withdrawal | Self::Transfer => Source::Own,
            _ => Source::CreditFirst,
        }
    }
}

/// What one step takes out of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub id: TransferId,
    /// The hold.
    pub hold: TransferId,
    /// How much.
    pub amount: Datoshi,
    /// When.
    pub at: UnixMillis,
}

/// Whose spending it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The project's.
    pub project: &'a ProjectName,
    /// And this function's.
    pub function: Option<&'a FunctionName>,
}

impl<'a> Scope<'a> {
    /// Where money of this purpose counts against budgets.
    #[must_use]
    pub fn of(purpose: Purpose, debit: &'a Account, function: Option<&'a FunctionName>) -> Option<Self> {
        let project = debit.project().filter(|_| Purpose::BUDGETED.contains(&purpose))?;
        Some(Self { project, function })
    }
}

fn same(is: bool, id: TransferId, amount: Datoshi) -> Result<Written, Refused> {
    if is {
        Ok(Written::Before(amount))
    } else {
        Err(Refused::Mismatch(id))
    }
}

impl Transfer {
    /// Whether it can be meant.
    pub fn check(&self) -> Result<(), Refused> {
        if self.amount <= Datoshi::ZERO {
            return Err(Refused::Senseless("a transfer is of more than nothing"));
        }
        if self.debit == self.credit {
            return Err(Refused::Senseless("a transfer is between two accounts"));
        }
        Ok(())
    }
}

impl Hold {
    /// Whether it can be meant.
    pub fn check(&self) -> Result<(), Refused> {
        if self.amount <= Datoshi::ZERO || self.at_least > self.amount {
            return Err(Refused::Senseless(
                "a hold is of more than nothing, and wants no less than it needs",
            ));
        }
        if self.debit == self.credit {
            return Err(Refused::Senseless("a hold is between two accounts"));
        }
        Ok(())
    }
}

impl KnownTransfer {
    /// The answer to the same transfer once more; `debit` and `credit` are the numbers of its accounts.
    pub fn again(&self, t: &Transfer, debit: Option<i64>, credit: Option<i64>) -> Result<Written, Refused> {
        let is = self.purpose == t.purpose
            && Some(self.debit) == debit
            && Some(self.credit) == credit
            && self.amount == t.amount
            && self.hold.is_none();
        same(is, t.id, t.amount)
    }
    /// The answer to the same part of a hold once more.
    pub fn posted_again(&self, part: &Part) -> Result<Written, Refused> {
        let is = self.hold == Some(part.hold) && self.amount == part.amount;
        same(is, part.id, part.amount)
    }
}

impl KnownHold {
    /// The answer to the same hold once more. How much it got depended on what was there, so the amount is not compared.
    pub fn again(&self, h: &Hold, debit: Option<i64>, credit: Option<i64>) -> Result<Written, Refused> {
        let is = self.purpose == h.purpose && Some(self.debit) == debit && Some(self.credit) == credit;
        same(is, h.id, self.amount)
    }
    /// What is left when `amount` is taken out.
    pub fn less(&self, amount: Datoshi) -> Result<Datoshi, Refused> {
        if amount <= Datoshi::ZERO {
            return Err(Refused::Senseless("a part of a hold is more than nothing"));
        }
        if amount > self.left {
            return Err(Refused::HoldSpent {
                hold: self.id,
                left: self.left,
                needed: amount,
            });
        }
        Ok(Datoshi(self.left.0.saturating_sub(amount.0)))
    }
}

impl Part {
    /// The answer to the same release once more, of which `amount` was given back.
    pub fn released_again(&self, amount: Datoshi) -> Result<Written, Refused> {
        same(amount == self.amount, self.id, self.amount)
    }
}

impl BudgetRow {
    /// A hold has set this aside.
    pub fn hold(&mut self, amount: Datoshi) {
        self.held = Datoshi(self.held.0.saturating_add(amount.0));
    }
    /// A hold has this less. A budget that is younger than the hold never counted it.
    pub fn unhold(&mut self, amount: Datoshi) {
        self.held = Datoshi(self.held.0.saturating_sub(amount.0).max(0));
    }
}
