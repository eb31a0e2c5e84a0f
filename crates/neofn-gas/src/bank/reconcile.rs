//! The ledger against the chain. Knows what must be equal, and changes nothing but on the operator's word.

use super::{Bank, BankError, PAYMENTS};
use crate::ledger::{Account, Purpose, TransferId};
use crate::port::HoldFilter;
use neofn_types::Datoshi;
use serde::{Deserialize, Serialize};

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
}

impl Reconciled {
    /// Whether both speak of the same block: otherwise a difference means nothing yet.
    #[must_use]
    pub const fn comparable(&self) -> bool {
        self.next == self.height + 1
    }
    /// Whether nothing is missing on either side. While payments are open, transit may be on its way.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.comparable() && self.chain == self.ledger && (self.open > 0 || self.transit == Datoshi::ZERO)
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
        let state = |row: Option<crate::ledger::AccountRow>| row.map(|r| r.state.balance).unwrap_or_default();
        let ledger = state(self.store().account(&Account::Treasury).await?);
        let transit = state(self.store().account(&Account::Transit).await?);
        let mut open = 0;
        for purpose in PAYMENTS {
            let filter = HoldFilter {
                purpose,
                project: None,
                open: true,
                limit: 1_000,
            };
            open += u32::try_from(self.store().holds(filter).await?.len()).unwrap_or(u32::MAX);
        }
        Ok(Reconciled {
            height,
            next: mark.next,
            chain,
            ledger: Datoshi(ledger.0.saturating_neg()),
            transit,
            open,
        })
    }

    /// Writes a difference off: the operator bears it, or has it. Under a name, so that it is done once.
    pub async fn write_off(&self, name: &str) -> Result<Datoshi, BankError> {
        let _one = self.0.active.lock().await;
        let seen = self.reconcile().await?;
        if seen.open > 0 {
            return Err(BankError::Request(format!(
                "{} payments have not ended; what is in transit may be theirs",
                seen.open
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
