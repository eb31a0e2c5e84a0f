//! The arithmetic of one account. Every backend calls this and nothing else to change a balance.

use super::{Account, Refused};
use neofn_types::Datoshi;
use serde::{Deserialize, Serialize};

/// What an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Credits less debits.
    pub balance: Datoshi,
    /// Of that, what holds have set aside.
    pub held: Datoshi,
    /// What holds of others would bring.
    pub incoming: Datoshi,
}

impl State {
    /// What can be spent.
    #[must_use]
    pub fn available(&self) -> Datoshi {
        Datoshi(self.balance.0.saturating_sub(self.held.0))
    }
    fn check(self, account: &Account, before: &Self, needed: Datoshi) -> Result<Self, Refused> {
        match account.floor() {
            Some(floor) if self.available().0 < floor => Err(Refused::Insufficient {
                account: account.clone(),
                available: before.available(),
                needed,
            }),
            _ => Ok(self),
        }
    }
    /// After `amount` has gone.
    pub fn debit(&self, account: &Account, amount: Datoshi) -> Result<Self, Refused> {
        let balance = self.balance.checked_sub(amount).ok_or(Refused::Overflow)?;
        Self { balance, ..*self }.check(account, self, amount)
    }
    /// After `amount` has come.
    pub fn credit(&self, amount: Datoshi) -> Result<Self, Refused> {
        let balance = self.balance.checked_add(amount).ok_or(Refused::Overflow)?;
        Ok(Self { balance, ..*self })
    }
    /// After `amount` was set aside.
    pub fn hold(&self, account: &Account, amount: Datoshi) -> Result<Self, Refused> {
        let held = self.held.checked_add(amount).ok_or(Refused::Overflow)?;
        Self { held, ..*self }.check(account, self, amount)
    }
    /// After `amount` was set aside for it.
    pub fn expect(&self, amount: Datoshi) -> Result<Self, Refused> {
        let incoming = self.incoming.checked_add(amount).ok_or(Refused::Overflow)?;
        Ok(Self { incoming, ..*self })
    }
    /// After a hold of its own has `amount` less.
    pub fn unhold(&self, amount: Datoshi) -> Result<Self, Refused> {
        let held = less(self.held, amount)?;
        Ok(Self { held, ..*self })
    }
    /// After a hold for it has `amount` less.
    pub fn unexpect(&self, amount: Datoshi) -> Result<Self, Refused> {
        let incoming = less(self.incoming, amount)?;
        Ok(Self { incoming, ..*self })
    }
    /// What a hold that wants `amount` and can do with `at_least` gets.
    pub fn hold_up_to(
        &self,
        account: &Account,
        amount: Datoshi,
        at_least: Datoshi,
    ) -> Result<Datoshi, Refused> {
        let available = match account.floor() {
            Some(floor) => self.available().0.saturating_sub(floor),
            None => i64::MAX,
        };
        let got = amount.0.min(available);
        if got < at_least.0 || got <= 0 {
            return Err(Refused::Insufficient {
                account: account.clone(),
                available: self.available(),
                needed: at_least,
            });
        }
        Ok(Datoshi(got))
    }
}

/// A hold counter below zero would be a defect of whoever keeps the holds; it is refused like any overflow.
fn less(from: Datoshi, amount: Datoshi) -> Result<Datoshi, Refused> {
    from.checked_sub(amount)
        .filter(|rest| rest.0 >= 0)
        .ok_or(Refused::Overflow)
}

/// Sums over the whole ledger. Sound: see [`Totals::sound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Of all balances.
    pub balance: i64,
    /// Of what accounts have set aside.
    pub held: i64,
    /// Of what accounts expect.
    pub incoming: i64,
    /// Of what open holds have left.
    pub left: i64,
    /// Accounts below their floor.
    pub below_floor: u64,
    /// Accounts whose balance is not the sum of their transfers.
    pub disagreeing: u64,
    /// Transfers ever.
    pub transfers: u64,
}
impl Totals {
    /// Whether every rule holds.
    #[must_use]
    pub const fn sound(&self) -> bool {
        self.balance == 0
            && self.held == self.incoming
            && self.held == self.left
            && self.below_floor == 0
            && self.disagreeing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shop() -> Account {
        Account::Project("shop".parse().unwrap())
    }

    #[test]
    fn what_is_held_cannot_be_spent() {
        let s = State::default().credit(Datoshi(10)).unwrap();
        let s = s.hold(&shop(), Datoshi(7)).unwrap();
        assert!(s.debit(&shop(), Datoshi(4)).is_err());
        assert!(s.hold(&shop(), Datoshi(4)).is_err());
        assert!(s.debit(&shop(), Datoshi(3)).is_ok());
        assert_eq!(s.hold_up_to(&shop(), Datoshi(9), Datoshi(2)), Ok(Datoshi(3)));
        assert!(s.hold_up_to(&shop(), Datoshi(9), Datoshi(4)).is_err());
        assert!(s.unhold(Datoshi(8)).is_err());
    }

    #[test]
    fn only_the_chains_side_goes_below_zero() {
        let s = State::default();
        assert!(s.debit(&Account::Treasury, Datoshi(4)).is_ok());
        assert!(s.debit(&Account::Transit, Datoshi(4)).is_ok());
        for account in [
            shop(),
            Account::Fees,
            Account::Suspense,
            Account::Allocation,
            Account::Operator,
        ] {
            assert!(s.debit(&account, Datoshi(1)).is_err(), "{account}");
        }
        assert!(
            s.debit(&Account::Treasury, Datoshi(i64::MAX))
                .unwrap()
                .debit(&Account::Treasury, Datoshi(9))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn no_order_of_steps_breaks_the_floor(steps in proptest::collection::vec((0u8..5, 1i64..1000), 0..200)) {
            let mut s = State::default();
            for (what, amount) in steps {
                let amount = Datoshi(amount);
                let next = match what {
                    0 => s.credit(amount),
                    1 => s.debit(&shop(), amount),
                    2 => s.hold(&shop(), amount),
                    3 => s.unhold(amount),
                    _ => s.unhold(amount).and_then(|s| s.debit(&shop(), amount)),
                };
                s = next.unwrap_or(s);
                prop_assert!(s.available().0 >= 0 && s.held.0 >= 0);
            }
        }
    }
}
