//! Accounts by what they are for. Knows nothing of balances.

use super::State;
use neofn_types::{ParseIdError, ProjectName, UnixMillis};
use std::fmt;
use std::str::FromStr;

/// One side of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// What a project has to spend.
    Project(ProjectName),
    /// What the platform has earned.
    Fees,
    /// The GAS on chain. Every datoshi that the others own is owed by this one, so that all of them sum to zero: its
    /// balance is the negative of what the chain says.
    Treasury,
    /// Between the ledger's word and the chain's: a payment that is in a block leaves here by what the block says, and
    /// enters by what was asked for. Anything that stays is a difference.
    Transit,
    /// Deposits that name nobody.
    Suspense,
    /// What the operator gives away: first credit and refills.
    Allocation,
    /// The operator's own.
    Operator,
}

impl Account {
    /// The lowest that balance less holds may be; none where it has no bound.
    #[must_use]
    pub const fn floor(&self) -> Option<i64> {
        match self {
            Self::Treasury | Self::Transit => None,
            _ => Some(0),
        }
    }
    /// The project that it belongs to.
    #[must_use]
    pub const fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::Project(name) => Some(name),
            _ => None,
        }
    }
}
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(name) => write!(f, "project:{name}"),
            Self::Fees => f.write_str("fees"),
            Self::Treasury => f.write_str("treasury"),
            Self::Transit => f.write_str("transit"),
            Self::Suspense => f.write_str("suspense"),
            Self::Allocation => f.write_str("allocation"),
            Self::Operator => f.write_str("operator"),
        }
    }
}
impl FromStr for Account {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let fail = || ParseIdError(text.chars().take(80).collect(), "ledger account");
        if let Some(name) = text.strip_prefix("project:") {
            return name.parse().map(Self::Project).map_err(|_| fail());
        }
        match text {
            "fees" => Ok(Self::Fees),
            "treasury" => Ok(Self::Treasury),
            "transit" => Ok(Self::Transit),
            "suspense" => Ok(Self::Suspense),
            "allocation" => Ok(Self::Allocation),
            "operator" => Ok(Self::Operator),
            _ => Err(fail()),
        }
    }
}
impl serde::Serialize for Account {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> serde::Deserialize<'de> for Account {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// An account as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Which.
    pub account: Account,
    /// What it has.
    pub state: State,
    /// Since its first transfer.
    pub opened_at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let accounts = [
            Account::Project("shop".parse().unwrap()),
            Account::Fees,
            Account::Treasury,
            Account::Transit,
            Account::Suspense,
            Account::Allocation,
            Account::Operator,
        ];
        for account in accounts {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for bad in ["", "project:", "project:A", "Fees", "project:fees/x"] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }
}
