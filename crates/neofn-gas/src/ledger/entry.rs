//! What can be written: a transfer, a hold, and the two ways in which a hold ends. Knows no storage.

use super::Account;
use neofn_types::{
    Caller, Datoshi, Digest, Fence, FunctionName, Hash256, InvocationId, ParseIdError, ScriptHash, UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names a transfer or a hold. Made of what it is for and of nothing else, so that whoever writes it twice, even from two
/// processes, means the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub [u8; 16]);

impl TransferId {
    /// The id of what must happen once: `what`, and what tells it from others of its kind.
    #[must_use]
    pub fn of(what: &str, parts: &[&[u8]]) -> Self {
        let mut all: Vec<&[u8]> = vec![b"neofn/transfer/v1", what.as_bytes()];
        all.extend_from_slice(parts);
        let Digest(hash) = Digest::of_parts(&all);
        let mut id = [0u8; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(id)
    }
    /// What an invocation holds before its first attempt.
    #[must_use]
    pub fn hold_of(invocation: InvocationId) -> Self {
        Self::of("hold", &[invocation.as_bytes()])
    }
    /// What an attempt of an invocation is charged: by the fence of its claim, since attempts are counted anew when a dead
    /// letter is retried. What they named once, in ledgers that are older, began with "charge".
    #[must_use]
    pub fn charge_of(invocation: InvocationId, fence: Fence) -> Self {
        Self::of(
            "charge by fence",
            &[invocation.as_bytes(), &fence.0.to_be_bytes()],
        )
    }
    /// One movement on chain: the `index`th notification of a transaction, or of a block itself.
    #[must_use]
    pub fn of_movement(network: u32, container: &Hash256, index: u32) -> Self {
        Self::of(
            "movement",
            &[&network.to_be_bytes(), &container.0, &index.to_be_bytes()],
        )
    }
    /// What a managed transaction is to be submitted under.
    #[must_use]
    pub fn idempotency(self) -> Digest {
        Digest::of_parts(&[b"neofn/bank", &self.0])
    }
}
impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for TransferId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut id = [0u8; 16];
        hex::decode_to_slice(text, &mut id)
            .map(|()| Self(id))
            .map_err(|_| ParseIdError(text.chars().take(80).collect(), "transfer id"))
    }
}
impl Serialize for TransferId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for TransferId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! purposes {
    ($($variant:ident = $number:literal, $name:literal, $doc:literal;)*) => {
        /// Why money moves. The numbers are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Purpose {
            $(#[doc = $doc] $variant,)*
        }
        impl Purpose {
            /// Every purpose.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// As it is stored.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }
            /// What a stored number means.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
            /// As statements show it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}
purposes! {
    Charge = 1, "charge", "Units of an invocation.";
    Lease = 2, "lease", "Set aside for calls that are charged in memory first.";
    Deposit = 3, "deposit", "GAS that came in on chain.";
    Withdrawal = 4, "withdrawal", "GAS that goes out on chain.";
    NetworkFee = 5, "network-fee", "Fees of a transaction that a project asked for.";
    Sponsored = 6, "sponsored-fee", "The same, paid by the platform.";
    Movement = 7, "movement", "GAS that left the treasury, as a block says.";
    Allocation = 8, "allocation", "First credit of a new account.";
    Refill = 9, "refill", "Credit because a balance fell below its threshold.";
    Reclaim = 10, "reclaim", "Given credit that was taken back.";
    Opening = 11, "opening", "What the treasury held when the ledger began.";
    Attribution = 12, "attribution", "A deposit that was found to be somebody's.";
    Funding = 13, "funding", "Between accounts of the operator.";
    Adjustment = 14, "adjustment", "A difference to the chain, written off by the operator.";
    Transfer = 15, "transfer", "GAS that a transaction of a project gave away.";
}

impl Purpose {
    /// What counts against budgets: what functions and transactions cost and give away. What a project takes out itself is
    /// its own affair.
    pub const BUDGETED: [Self; 4] = [Self::Charge, Self::Lease, Self::NetworkFee, Self::Transfer];
}
impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a transfer is about: for statements and reports, not for rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Which function.
    pub function: Option<FunctionName>,
    /// Which invocation.
    pub invocation: Option<InvocationId>,
    /// Units charged.
    pub units: Option<u64>,
    /// At so many datoshi per million units.
    pub price: Option<u64>,
    /// Which transaction on chain.
    pub tx: Option<Hash256>,
    /// To or from whom on chain.
    pub party: Option<ScriptHash>,
    /// In words; at most [`Detail::NOTE_BYTES_MAX`].
    pub note: Option<String>,
    /// Who had it done; none: the platform by itself, or whoever moved it on chain.
    pub caller: Option<Caller>,
}
impl Detail {
    /// Longest note.
    pub const NOTE_BYTES_MAX: usize = 256;

    /// With a note, cut to what is kept.
    #[must_use]
    pub fn note(mut self, text: &str) -> Self {
        let mut end = text.len().min(Self::NOTE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.note = text.get(..end).map(str::to_owned);
        self
    }
}

/// Money that moves at once, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its name: written at most once.
    pub id: TransferId,
    /// Why.
    pub purpose: Purpose,
    /// Who has less.
    pub debit: Account,
    /// Who has more.
    pub credit: Account,
    /// How much; above zero.
    pub amount: Datoshi,
    /// When.
    pub at: UnixMillis,
    /// About what.
    pub detail: Detail,
}

/// Money set aside: it still belongs to the debit account, which can no longer spend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name: made at most once.
    pub id: TransferId,
    /// Why.
    pub purpose: Purpose,
    /// Whose.
    pub debit: Account,
    /// For whom.
    pub credit: Account,
    /// How much is wanted; above zero.
    pub amount: Datoshi,
    /// How much will do when the account has less.
    pub at_least: Datoshi,
    /// When.
    pub at: UnixMillis,
    /// About what.
    pub detail: Detail,
}

/// One thing to write. Each is done whole or not at all, and a second time changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Moves money.
    Transfer(Transfer),
    /// Sets money aside.
    Hold(Hold),
    /// Moves a part of what a hold has left.
    Post {
        /// The transfer's name.
        id: TransferId,
        /// The hold.
        hold: TransferId,
        /// How much; above zero and at most what is left.
        amount: Datoshi,
        /// Why.
        purpose: Purpose,
        /// When.
        at: UnixMillis,
        /// About what.
        detail: Detail,
    },
    /// Gives a part of what a hold has left back. Its own name keeps it from being done twice.
    Release {
        /// Names it.
        id: TransferId,
        /// The hold.
        hold: TransferId,
        /// How much; above zero and at most what is left.
        amount: Datoshi,
        /// When.
        at: UnixMillis,
    },
    /// Gives back whatever a hold has left. Of one that has ended: nothing.
    Void {
        /// The hold.
        hold: TransferId,
        /// When.
        at: UnixMillis,
    },
}

/// What came of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written: so much moved, is held, or was given back.
    Now(Datoshi),
    /// It had been written before: so much.
    Before(Datoshi),
}
impl Written {
    /// How much.
    #[must_use]
    pub const fn amount(self) -> Datoshi {
        match self {
            Self::Now(amount) | Self::Before(amount) => amount,
        }
    }
}

/// Why an entry was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not enough to spend.
    #[error("{account} has {available} GAS to spend; {needed} GAS are needed")]
    Insufficient {
        /// Whose.
        account: Account,
        /// Balance less holds.
        available: Datoshi,
        /// What would have been taken.
        needed: Datoshi,
    },
    /// A budget's limit.
    #[error(
        "the budget of {what} is {limit} GAS {per}, of which {left} GAS are left; {needed} GAS are needed"
    )]
    Budget {
        /// Project, or project and function.
        what: String,
        /// The limit.
        limit: Datoshi,
        /// `a day`
        per: &'static str,
        /// What is left of it.
        left: Datoshi,
        /// What would have been spent.
        needed: Datoshi,
    },
    /// Another entry has this name.
    #[error("{0} names something else already")]
    Mismatch(TransferId),
    /// There is no such hold.
    #[error("there is no hold {0}")]
    NoHold(TransferId),
    /// A hold has less left.
    #[error("hold {hold} has {left} GAS left, not {needed} GAS")]
    HoldSpent {
        /// Which.
        hold: TransferId,
        /// What it has.
        left: Datoshi,
        /// What was asked for.
        needed: Datoshi,
    },
    /// An amount that is none, or a transfer from an account to itself.
    #[error("{0}")]
    Senseless(&'static str),
    /// A sum that does not fit.
    #[error("the amounts do not fit into 64 bits")]
    Overflow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_one_to_one() {
        let mut numbers = std::collections::BTreeSet::new();
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::from_number(purpose.number()), Some(*purpose));
            assert!(numbers.insert(purpose.number()));
            let json = serde_json::to_string(purpose).unwrap();
            assert!(
                json.contains(purpose.as_str()) || *purpose == Purpose::Sponsored,
                "{json}"
            );
        }
    }

    #[test]
    fn ids_depend_on_everything_and_on_nothing_else() {
        let a = TransferId::of_movement(1, &Hash256::ZERO, 0);
        assert_eq!(a, TransferId::of_movement(1, &Hash256::ZERO, 0));
        assert_ne!(a, TransferId::of_movement(1, &Hash256::ZERO, 1));
        assert_ne!(a, TransferId::of_movement(2, &Hash256::ZERO, 0));
        assert_ne!(a, TransferId::of_movement(1, &Hash256([1; 32]), 0));
        assert_eq!(a.to_string().parse(), Ok(a));
    }

    #[test]
    fn notes_are_cut_between_characters() {
        let note = Detail::default().note(&"ä".repeat(200)).note.unwrap();
        assert_eq!(note.len(), Detail::NOTE_BYTES_MAX);
        assert!(note.chars().all(|c| c == 'ä'));
    }
}
