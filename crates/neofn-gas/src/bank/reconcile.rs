//! The ledger against the chain. Knows what must be equal, and changes nothing but on the operator's word.

use super::activity::name_of;
use super::{Bank, BankError, PAYMENTS};
use crate::ledger::{Account, Purpose, TransferId};
use crate::port::{HoldFilter, PaymentState, Treasury};
use neofn_types::Datoshi;
use serde::{Deserialize, Serialize};

/// How often the books are read again because a payment ended meanwhile.
const READS_MAX: u32 = 5;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The height whose balance this is.
    pub height: u64,
    /// The next block that the ledger needs.
    pub next: u64,
    /// What the chain says.
    pub chain: Datoshi,
    /// What the ledger says that the chain holds.
    pub ledger: Datoshi,
    /// Above zero: payments that the ledger counts and no block has shown. Below: GAS that left and belongs to no payment.
    pub transit: Datoshi,
    /// Payments that have not ended.
    pub open: u32,
    /// Of these, those that were signed, and so may be on chain or come there.
    pub signed: u32,
    /// What is set aside for those: the most that they can take with them.
    pub held: Datoshi,
}

impl Reconciled {
    /// Whether both speak of the same block: otherwise a difference means nothing yet.
    #[must_use]
    pub const fn comparable(&self) -> bool {
        self.next == self.height + 1
    }
    /// What the chain has beyond the ledger; below zero, what it lacks.
    #[must_use]
    pub const fn missing(&self) -> Datoshi {
        Datoshi(self.chain.0.saturating_sub(self.ledger.0))
    }
    /// What of the transit no payment accounts for. Below zero it is GAS that somebody took away with the treasury's key
    /// without asking this ledger: a thief, or this node itself before it was restored.
    #[must_use]
    pub const fn stray(&self) -> Datoshi {
        let unexplained = Datoshi(self.transit.0.saturating_add(self.held.0));
        match self.signed {
            0 => self.transit,
            // a payment may be in a block and not yet written down as ended; it takes no more than was set aside
            _ if unexplained.0 < 0 => unexplained,
            _ => Datoshi::ZERO,
        }
    }
    /// Whether nothing is missing on either side. While payments are open, transit may be on its way.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.comparable() && self.missing() == Datoshi::ZERO && self.stray() == Datoshi::ZERO
    }
    /// As [`Reconciled::sound`], with nothing on its way: what the signer must see before it is enabled again.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.sound() && self.transit == Datoshi::ZERO
    }
}

impl Bank {
    /// Compares.
    pub async fn reconcile(&self) -> Result<Reconciled, BankError> {
        let treasury = self.0.options.treasury.as_ref().ok_or(BankError::NoTreasury)?;
        let mark = self.mark().await?;
        let routes = self.routes().await?;
        let ours: Vec<_> = routes
            .treasury
            .iter()
            .chain(routes.deposit.keys())
            .copied()
            .collect();
        let (height, chain) = treasury.balance(&ours).await?;
        let ledger = self.on(&Account::Treasury).await?;
        let mut before = self.on(&Account::Transit).await?;
        let mut waiting = self.waiting(&**treasury).await?;
        for _ in 0..READS_MAX {
            // a payment that ended in between is in neither
            let after = self.on(&Account::Transit).await?;
            if after == before {
                break;
            }
            before = after;
            waiting = self.waiting(&**treasury).await?;
        }
        let seen = Reconciled {
            height,
            next: mark.next,
            chain,
            ledger: Datoshi(ledger.0.saturating_neg()),
            transit: before,
            ..waiting
        };
        if seen.comparable() {
            *self.0.reconciled.lock() = Some(seen);
        }
        Ok(seen)
    }

    /// What the last comparison of the same block showed; none before the first, and where another node compares.
    #[must_use]
    pub fn reconciled(&self) -> Option<Reconciled> {
        *self.0.reconciled.lock()
    }

    async fn on(&self, account: &Account) -> Result<Datoshi, BankError> {
        let row = self.store().account(account).await?;
        Ok(row.map(|row| row.state.balance).unwrap_or_default())
    }

    /// Counts open payments. One that is not signed has moved nothing, whatever the chain shows.
    async fn waiting(&self, treasury: &dyn Treasury) -> Result<Reconciled, BankError> {
        let mut seen = Reconciled {
            height: 0,
            next: 0,
            chain: Datoshi::ZERO,
            ledger: Datoshi::ZERO,
            transit: Datoshi::ZERO,
            open: 0,
            signed: 0,
            held: Datoshi::ZERO,
        };
        for purpose in PAYMENTS {
            let filter = HoldFilter {
                purpose,
                project: None,
                open: true,
                limit: 1_000,
            };
            for hold in self.store().holds(filter).await? {
                seen.open = seen.open.saturating_add(1);
                let state = match name_of(&hold) {
                    Some(name) => treasury.state(&name).await?,
                    None => None,
                };
                if !matches!(
                    state,
                    None | Some(PaymentState::Never | PaymentState::Waiting { tx: None })
                ) {
                    seen.signed = seen.signed.saturating_add(1);
                    seen.held = Datoshi(seen.held.0.saturating_add(hold.left.0));
                }
            }
        }
        Ok(seen)
    }

    /// Writes a difference off: the operator bears it, or has it. Under a name, so that it is done once.
    pub async fn write_off(&self, name: &str) -> Result<Datoshi, BankError> {
        let _one = self.0.active.lock().await;
        let seen = self.reconcile().await?;
        if seen.signed > 0 {
            return Err(BankError::Request(format!(
                "{} payments were sent and have not ended; what is in transit may be theirs",
                seen.signed
            )));
        }
        let (debit, credit) = match seen.transit.0.signum() {
            0 => return Ok(Datoshi::ZERO),
            // more left the chain than payments account for
            -1 => (Account::Operator, Account::Transit),
            _ => (Account::Transit, Account::Operator),
        };
        let amount = Datoshi(seen.transit.0.saturating_abs());
        let id = TransferId::of("write-off", &[name.as_bytes()]);
        self.give(id, Purpose::Adjustment, debit, credit, amount).await?;
        Ok(seen.transit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(transit: i64, signed: u32, held: i64) -> Reconciled {
        Reconciled {
            height: 9,
            next: 10,
            chain: Datoshi(50),
            ledger: Datoshi(50),
            transit: Datoshi(transit),
            open: 3,
            signed,
            held: Datoshi(held),
        }
    }

    #[test]
    fn what_no_payment_accounts_for_is_not_sound() {
        assert!(seen(0, 0, 0).sound() && seen(0, 0, 0).settled());
        // a theft: the ledger followed the chain, so both sides agree
        assert!(!seen(-5, 0, 0).sound());
        assert_eq!(seen(-5, 0, 0).stray(), Datoshi(-5));
        // on its way, and as much as was set aside
        assert!(seen(-5, 1, 5).sound() && !seen(-5, 1, 5).settled());
        assert!(seen(5, 1, 9).sound());
        // a theft while a smaller payment is on its way
        assert_eq!(seen(-50, 2, 9).stray(), Datoshi(-41));
        assert!(!seen(-50, 2, 9).sound());
        let behind = Reconciled {
            next: 9,
            ..seen(0, 0, 0)
        };
        let differs = Reconciled {
            chain: Datoshi(49),
            ..seen(0, 0, 0)
        };
        assert!(!behind.sound() && !differs.sound());
        assert_eq!(differs.missing(), Datoshi(-1));
    }
}
