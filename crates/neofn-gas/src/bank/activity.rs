//! What the bank does by itself, with every block and now and then: idempotent, without input, harmless to repeat and to
//! kill between any two steps. What is to be done is what open holds say.

use super::cover::managed_of;
use super::policy::decode;
use super::requests::amount_of;
use super::{Bank, BankError, PAYMENTS};
use crate::ledger::{Account, Detail, Entry, HoldRow, Purpose, TransferId, UsageLine};
use crate::port::{HoldFilter, Payment, PaymentError, PaymentName, PaymentState, Treasury};
use neofn_types::{Datoshi, Hash256, UnixMillis};
use std::time::Duration;

/// Holds that one activation looks at.
const OPEN_MAX: u32 = 1_000;
/// Ended holds of calls are kept so long: a late repetition of one is then still known.
const HOLDS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Removed at a time.
const PRUNE_MAX: u32 = 5_000;

/// What an activation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Payments and fees that were looked at.
    pub open: u32,
    /// Of these, ended now.
    pub ended: u32,
    /// Of these, not moved because something failed; the log says what.
    pub failed: u32,
    /// Accounts that were given credit.
    pub refilled: u32,
}

impl Bank {
    /// Moves every withdrawal and fee as far as it goes, refills, and forgets what is old.
    pub async fn activate(&self) -> Result<Report, BankError> {
        let _one = self.0.active.lock().await;
        let mut report = Report::default();
        if let Some(treasury) = self.0.options.treasury.clone() {
            for purpose in PAYMENTS {
                self.holds(&*treasury, purpose, &mut report).await?;
            }
        }
        self.refill(&mut report).await?;
        let now = self.0.options.clock.now();
        let before = UnixMillis(
            now.0
                .saturating_sub(i64::try_from(HOLDS_KEPT.as_millis()).unwrap_or(0)),
        );
        self.store().prune_holds(before, PRUNE_MAX).await?;
        Ok(report)
    }

    async fn holds(
        &self,
        treasury: &dyn Treasury,
        purpose: Purpose,
        report: &mut Report,
    ) -> Result<(), BankError> {
        let filter = HoldFilter {
            purpose,
            project: None,
            open: true,
            limit: OPEN_MAX,
        };
        for hold in self.store().holds(filter).await? {
            report.open += 1;
            match self.drive(treasury, &hold).await {
                Ok(true) => report.ended += 1,
                Ok(false) => {}
                Err(error) => {
                    report.failed += 1;
                    tracing::warn!(hold = %hold.id, %error, "payment not moved");
                }
            }
        }
        Ok(())
    }

    /// Whether it has ended.
    async fn drive(&self, treasury: &dyn Treasury, hold: &HoldRow) -> Result<bool, BankError> {
        let Some(name) = name_of(hold) else {
            return Ok(false);
        };
        let state = match treasury.state(&name).await? {
            Some(state) => state,
            // what a project asked for is submitted by whoever holds its fees; until it was seen it may still come
            None if hold.purpose != Purpose::Withdrawal => return self.give_up_unseen(hold).await,
            None => {
                let Some(payment) = payment(hold, self.0.options.withdrawal_fee_max) else {
                    return Ok(false);
                };
                // what is not signed now is not asked for now: it waits where it is, and nothing is lost by that
                if treasury.ready().is_err() {
                    return Ok(false);
                }
                match treasury.pay(payment).await {
                    Ok(state) => state,
                    Err(PaymentError::Refused(why)) => {
                        return self.refused(treasury, hold, &name, &why).await;
                    }
                    Err(later) => return Err(later.into()),
                }
            }
        };
        let (tx, fees, halted) = match state {
            PaymentState::Waiting { .. } => return Ok(false),
            PaymentState::Never => {
                self.write_one(self.void(hold)).await?;
                return Ok(true);
            }
            PaymentState::Faulted { tx, fees } => (tx, fees, false),
            PaymentState::Paid { tx, fees } => (tx, fees, true),
        };
        if let PaymentName::Managed(managed) = name {
            self.settle(treasury, managed, tx, (fees, halted)).await?;
            return Ok(true);
        }
        let moved = match halted {
            true => treasury.moved(tx, &self.routes().await?.all()).await?,
            false => Datoshi::ZERO,
        };
        for answer in self.store().write(self.paid(hold, moved, fees, tx)).await? {
            answer?;
        }
        Ok(true)
    }

    /// A refusal says that nothing was signed. It is believed only when the manager knows of nothing, either.
    async fn refused(
        &self,
        treasury: &dyn Treasury,
        hold: &HoldRow,
        name: &PaymentName,
        why: &str,
    ) -> Result<bool, BankError> {
        if treasury.state(name).await?.is_some() {
            return Ok(false);
        }
        tracing::warn!(hold = %hold.id, why, "withdrawal refused; its money goes back");
        self.write_one(self.void(hold)).await?;
        Ok(true)
    }

    /// Fees that were set aside for a transaction that nobody has seen for an hour: whoever set them aside died before it
    /// asked for the transaction. Should it ask again, they are set aside anew.
    async fn give_up_unseen(&self, hold: &HoldRow) -> Result<bool, BankError> {
        let now = self.0.options.clock.now();
        if now.since(hold.at) < Duration::from_secs(3_600) {
            return Ok(false);
        }
        self.write_one(self.void(hold)).await?;
        Ok(true)
    }

    fn void(&self, hold: &HoldRow) -> Entry {
        Entry::Void {
            hold: hold.id,
            at: self.0.options.clock.now(),
        }
    }

    /// What left, what it cost, and the rest back. Never more than the hold has: a difference shows in transit.
    fn paid(&self, hold: &HoldRow, amount: Datoshi, fees: Datoshi, tx: Hash256) -> Vec<Entry> {
        let at = self.0.options.clock.now();
        let amount = amount.min(hold.left);
        let fees = fees.min(Datoshi(hold.left.0.saturating_sub(amount.0)));
        let post = |what: &str, amount, purpose| Entry::Post {
            id: TransferId::of(what, &[&hold.id.0]),
            hold: hold.id,
            amount,
            purpose,
            at,
            detail: Detail {
                tx: Some(tx),
                units: None,
                ..hold.detail.clone()
            },
        };
        let mut entries = Vec::new();
        if amount > Datoshi::ZERO {
            entries.push(post("paid", amount, Purpose::Withdrawal));
        }
        if fees > Datoshi::ZERO {
            entries.push(post("paid-fees", fees, Purpose::NetworkFee));
        }
        entries.push(self.void(hold));
        entries
    }

    async fn refill(&self, report: &mut Report) -> Result<(), BankError> {
        let hour = UsageLine::hour_of(self.0.options.clock.now());
        for (project, policy) in self.store().policies().await? {
            let Some(refill) = decode(&policy)?.refill else {
                continue;
            };
            let available = self.balance(&project).await?.state.available();
            if available >= refill.below {
                continue;
            }
            let amount = Datoshi(refill.to.0.saturating_sub(available.0));
            // once an hour at most: a loop that burns credit does not burn it all
            let id = TransferId::of("refill", &[project.as_ref().as_bytes(), &hour.0.to_be_bytes()]);
            if self.store().transfer(id).await?.is_some() {
                continue;
            }
            let name = format!("refill/{project}/{}", hour.0);
            let funded = self.fund_for(amount, &name).await;
            if let Err(BankError::Refused(why)) = funded {
                tracing::warn!(%project, %why, "not refilled");
                continue;
            }
            funded?;
            let to = Account::Project(project.clone());
            let given = self.give(id, Purpose::Refill, Account::Allocation, to, amount);
            match given.await {
                Ok(_) => report.refilled += 1,
                Err(BankError::Refused(why)) => tracing::warn!(%project, %why, "not refilled"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(super) fn name_of(hold: &HoldRow) -> Option<PaymentName> {
    match hold.purpose {
        Purpose::Withdrawal => Some(PaymentName::Payment {
            project: hold.debit.project()?.clone(),
            idempotency: hold.id.idempotency(),
        }),
        Purpose::NetworkFee | Purpose::Sponsored | Purpose::Transfer => {
            Some(PaymentName::Managed(managed_of(hold)?))
        }
        _ => None,
    }
}
fn payment(hold: &HoldRow, fee_max: Datoshi) -> Option<Payment> {
    let amount = amount_of(hold);
    Some(Payment {
        project: hold.debit.project()?.clone(),
        idempotency: hold.id.idempotency(),
        to: hold.detail.party?,
        amount,
        fee_max: fee_max.min(Datoshi(hold.left.0.saturating_sub(amount.0))),
    })
}
