//! Units: metered work. Never to be mixed with GAS, the token.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Metered work, priced by schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Units(pub u64);

impl Units {
    /// Sum, `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
    /// Difference, zero at the least.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What one run was charged, by kind. `total` is the sum of the other four, or the limit when the run hit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct UnitsBill {
    /// All together.
    pub total: u64,
    /// For being run at all.
    pub base: u64,
    /// Executed instructions (fuel).
    pub compute: u64,
    /// Memory high-water mark above the snapshot's.
    pub memory: u64,
    /// Host calls, logging included.
    pub host: u64,
    /// Version of the schedule that these figures follow.
    pub schedule: u32,
}
