//! What an attempt costs, to be written together with its end. Knows no store.

use super::{Detail, Entry, Purpose, TransferId, UnitPrice};
use neofn_types::{Caller, Datoshi, Fence, FunctionName, InvocationId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A charge on its way into the transaction that ends its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Whose attempt it was.
    pub function: FunctionName,
    /// What it is taken from.
    pub hold: TransferId,
    /// How much; zero: nothing is moved.
    pub amount: Datoshi,
    /// For so many units.
    pub units: u64,
    /// At this price.
    pub price: UnitPrice,
    /// Whether the hold was made for this attempt alone: what is left of it is given back with the charge. Of a lease
    /// the rest stays.
    pub closes: bool,
    /// Who had it run.
    pub caller: Option<Caller>,
}

/// A hold of an invocation that has something left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenHold {
    /// Its name.
    pub id: TransferId,
    /// What it has.
    pub left: Datoshi,
    /// What units cost when it was made.
    pub price: UnitPrice,
}

impl Charge {
    /// For an attempt that cannot run: nothing, and the hold goes back.
    #[must_use]
    pub const fn nothing(hold: OpenHold, function: FunctionName) -> Self {
        Self {
            function,
            hold: hold.id,
            amount: Datoshi::ZERO,
            units: 0,
            price: hold.price,
            closes: true,
            caller: None,
        }
    }
    /// What is written for it.
    #[must_use]
    pub fn entries(&self, invocation: InvocationId, fence: Fence, at: UnixMillis) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(2);
        if self.amount > Datoshi::ZERO {
            entries.push(Entry::Post {
                id: TransferId::charge_of(invocation, fence),
                hold: self.hold,
                amount: self.amount,
                purpose: Purpose::Charge,
                at,
                detail: Detail {
                    function: Some(self.function.clone()),
                    invocation: Some(invocation),
                    units: Some(self.units),
                    price: Some(self.price.0),
                    caller: self.caller.clone(),
                    ..Detail::default()
                },
            });
        }
        if self.closes {
            entries.push(Entry::Void { hold: self.hold, at });
        }
        entries
    }
}
