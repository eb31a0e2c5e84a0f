//! From units to GAS. Knows no account.

use neofn_types::{Datoshi, Units};
use serde::{Deserialize, Serialize};

/// Datoshi per million units: an operator's setting, recorded with every charge. Zero: units are counted and cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitPrice(pub u64);

/// What the price is for.
const PER_UNITS: u128 = 1_000_000;

impl UnitPrice {
    /// The highest that can be set: 100 000 GAS per million units. Keeps every product within range.
    pub const MAX: Self = Self(10_000_000_000_000);

    /// Whether anything costs anything.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.0 == 0
    }
    /// What so many units cost, rounded up to a datoshi; at most what an amount can hold.
    #[must_use]
    pub fn of(self, units: Units) -> Datoshi {
        let product = u128::from(units.0) * u128::from(self.0.min(Self::MAX.0));
        Datoshi(i64::try_from(product.div_ceil(PER_UNITS)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_and_stays_in_range() {
        assert_eq!(UnitPrice(0).of(Units(5_000_000)), Datoshi(0));
        assert_eq!(UnitPrice(1).of(Units(1)), Datoshi(1));
        assert_eq!(UnitPrice(100_000).of(Units(1_000_000)), Datoshi(100_000));
        assert_eq!(UnitPrice(100_000).of(Units(1_000_001)), Datoshi(100_001));
        assert_eq!(UnitPrice(u64::MAX).of(Units(u64::MAX)), Datoshi(i64::MAX));
    }
}
