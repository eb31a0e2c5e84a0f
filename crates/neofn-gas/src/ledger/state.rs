//! The arithmetic of one account. Every backend calls this and nothing else to change a balance.

use super::{Account, Purpose, Refused, Source};
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
    /// Of the balance, what the operator gave and nothing was spent of: it pays for calls and fees, and does not leave.
    pub credit: Datoshi,
}

impl State {
    /// What can be spent.
    #[must_use]
    pub fn available(&self) -> Datoshi {
        Datoshi(self.balance.0.saturating_sub(self.held.0))
    }
    /// What can be taken out. What is set aside for calls may yet be paid by credit, so this is rather too little.
    #[must_use]
    pub fn own(&self) -> Datoshi {
        Datoshi(self.available().0.saturating_sub(self.credit.0).max(0))
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
    /// After `amount` has gone for a purpose: of a part of a hold, the hold's.
    pub fn debit(&self, account: &Account, purpose: Purpose, amount: Datoshi) -> Result<Self, Refused> {
        let balance = self.balance.checked_sub(amount).ok_or(Refused::Overflow)?;
        let credit = match purpose.taken_from() {
            Source::Credit if amount > self.credit => {
                return Err(Refused::Insufficient {
                    account: account.clone(),
                    available: self.credit,
                    needed: amount,
                });
            }
            Source::Credit | Source::CreditFirst => self.credit.0.saturating_sub(amount.0),
            // what has left already may have been credit after all
            Source::Own => self.credit.0.min(balance.0),
        };
        let credit = Datoshi(credit.max(0));
        Self {
            balance,
            credit,
            ..*self
        }
        .check(account, self, amount)
    }
    /// After `amount` has come for a purpose.
    pub fn credit(&self, purpose: Purpose, amount: Datoshi) -> Result<Self, Refused> {
        let balance = self.balance.checked_add(amount).ok_or(Refused::Overflow)?;
        let credit = match purpose {
            Purpose::Allocation | Purpose::Refill => self.credit.checked_add(amount),
            _ => Some(self.credit),
        };
        Ok(Self {
            balance,
            credit: credit.ok_or(Refused::Overflow)?,
            ..*self
        })
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
    /// What a hold that wants `amount` and can do with `at_least` gets. What is to leave for good is the account's own.
    pub fn hold_up_to(
        &self,
        account: &Account,
        purpose: Purpose,
        (amount, at_least): (Datoshi, Datoshi),
    ) -> Result<Datoshi, Refused> {
        let there = match purpose.taken_from() {
            Source::Own => self.own(),
            _ => self.available(),
        };
        let most = match account.floor() {
            Some(floor) => there.0.saturating_sub(floor),
            None => i64::MAX,
        };
        let got = amount.0.min(most);
        if got < at_least.0 || got <= 0 {
            return Err(Refused::Insufficient {
                account: account.clone(),
                available: there,
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
        let s = State::default().credit(Purpose::Deposit, Datoshi(10)).unwrap();
        let s = s.hold(&shop(), Datoshi(7)).unwrap();
        assert!(s.debit(&shop(), Purpose::Charge, Datoshi(4)).is_err());
        assert!(s.hold(&shop(), Datoshi(4)).is_err());
        assert!(s.debit(&shop(), Purpose::Charge, Datoshi(3)).is_ok());
        assert_eq!(
            s.hold_up_to(&shop(), Purpose::Lease, (Datoshi(9), Datoshi(2))),
            Ok(Datoshi(3))
        );
        assert!(
            s.hold_up_to(&shop(), Purpose::Lease, (Datoshi(9), Datoshi(4)))
                .is_err()
        );
        assert!(s.unhold(Datoshi(8)).is_err());
    }

    #[test]
    fn only_the_chains_side_goes_below_zero() {
        let s = State::default();
        assert!(s.debit(&Account::Treasury, Purpose::Deposit, Datoshi(4)).is_ok());
        assert!(s.debit(&Account::Transit, Purpose::Movement, Datoshi(4)).is_ok());
        for account in [
            shop(),
            Account::Fees,
            Account::Suspense,
            Account::Allocation,
            Account::Operator,
        ] {
            assert!(
                s.debit(&account, Purpose::Funding, Datoshi(1)).is_err(),
                "{account}"
            );
        }
        assert!(
            s.debit(&Account::Treasury, Purpose::Deposit, Datoshi(i64::MAX))
                .unwrap()
                .debit(&Account::Treasury, Purpose::Deposit, Datoshi(9))
                .is_err()
        );
    }

    #[test]
    fn credit_is_spent_first_and_does_not_leave() {
        let s = State::default().credit(Purpose::Deposit, Datoshi(10)).unwrap();
        let spent = s.debit(&shop(), Purpose::Charge, Datoshi(8)).unwrap();
        // what was spent before it was given does not make it its own
        let s = spent.credit(Purpose::Refill, Datoshi(5)).unwrap();
        assert_eq!(
            (s.credit, s.own(), s.available()),
            (Datoshi(5), Datoshi(2), Datoshi(7))
        );
        for purpose in [Purpose::Withdrawal, Purpose::Transfer] {
            assert!(s.hold_up_to(&shop(), purpose, (Datoshi(3), Datoshi(3))).is_err());
            assert!(s.hold_up_to(&shop(), purpose, (Datoshi(2), Datoshi(2))).is_ok());
        }
        assert!(
            s.hold_up_to(&shop(), Purpose::NetworkFee, (Datoshi(7), Datoshi(7)))
                .is_ok()
        );
        // fees of what leaves are its own money, too: the hold's purpose says so
        let sent = s.hold(&shop(), Datoshi(2)).unwrap();
        assert_eq!(sent.own(), Datoshi(0));
        let sent = sent.unhold(Datoshi(2)).unwrap();
        let sent = sent.debit(&shop(), Purpose::Withdrawal, Datoshi(2)).unwrap();
        assert_eq!((sent.credit, sent.balance), (Datoshi(5), Datoshi(5)));
        // only credit is taken back
        assert!(s.debit(&shop(), Purpose::Reclaim, Datoshi(6)).is_err());
        let left = s.debit(&shop(), Purpose::Reclaim, Datoshi(4)).unwrap();
        assert_eq!((left.credit, left.own()), (Datoshi(1), Datoshi(2)));
        // what has left all the same leaves no credit behind that is not there
        let beyond = s.debit(&shop(), Purpose::Transfer, Datoshi(6)).unwrap();
        assert_eq!((beyond.credit, beyond.balance), (Datoshi(1), Datoshi(1)));
    }

    proptest! {
        #[test]
        fn what_leaves_is_never_more_than_was_paid_in(steps in proptest::collection::vec((0u8..6, 1i64..1000), 0..300)) {
            let mut s = State::default();
            let (mut paid_in, mut left, mut sending) = (0i64, 0i64, Vec::new());
            for (what, amount) in steps {
                let amount = Datoshi(amount);
                let next = match what {
                    0 => s.credit(Purpose::Deposit, amount),
                    1 => s.credit(Purpose::Refill, amount),
                    2 => s.debit(&shop(), Purpose::Charge, amount),
                    3 => s.debit(&shop(), Purpose::Reclaim, amount),
                    4 => s
                        .hold_up_to(&shop(), Purpose::Withdrawal, (amount, amount))
                        .and_then(|got| s.hold(&shop(), got)),
                    _ => match sending.pop() {
                        Some(held) => s
                            .unhold(held)
                            .and_then(|s| s.debit(&shop(), Purpose::Withdrawal, held))
                            .inspect(|_| left += held.0),
                        None => continue,
                    },
                };
                if let Ok(next) = next {
                    match what {
                        0 => paid_in += amount.0,
                        4 => sending.push(amount),
                        _ => {}
                    }
                    s = next;
                }
                prop_assert!(left + sending.iter().map(|h| h.0).sum::<i64>() <= paid_in);
                prop_assert!(s.credit.0 >= 0 && s.credit <= s.balance && s.available().0 >= 0);
            }
        }

        #[test]
        fn no_order_of_steps_breaks_the_floor(steps in proptest::collection::vec((0u8..5, 1i64..1000), 0..200)) {
            let mut s = State::default();
            for (what, amount) in steps {
                let amount = Datoshi(amount);
                let next = match what {
                    0 => s.credit(Purpose::Deposit, amount),
                    1 => s.debit(&shop(), Purpose::Charge, amount),
                    2 => s.hold(&shop(), amount),
                    3 => s.unhold(amount),
                    _ => s.unhold(amount).and_then(|s| s.debit(&shop(), Purpose::Lease, amount)),
                };
                s = next.unwrap_or(s);
                prop_assert!(s.available().0 >= 0 && s.held.0 >= 0);
            }
        }
    }
}
