//! Turns readings into a bill.
//!
//! One budget holds every kind: host calls and memory are taken from the sandbox's fuel at the rate of the
//! schedule, so that the limit is met exactly, whatever used it up.

use crate::Schedule;
use neofn_types::{Units, UnitsBill};

/// The limit is below the base charge, so that not even an empty run fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit of {limit} units is below the base charge of {base}")]
pub struct OverLimit {
    /// The limit asked for.
    pub limit: u64,
    /// The base charge of the schedule.
    pub base: u64,
}

/// What one run has used, beside its base charge.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    schedule: &'static Schedule,
    limit: Units,
}

impl Meter {
    /// A meter for a run under `limit`.
    pub fn new(schedule: &'static Schedule, limit: Units) -> Result<Self, OverLimit> {
        if limit.0 < schedule.base {
            return Err(OverLimit {
                limit: limit.0,
                base: schedule.base,
            });
        }
        Ok(Self { schedule, limit })
    }
    /// The fuel to give the sandbox. It pays compute, memory and host calls. A part of a unit is not billed, so the last
    /// unit of the limit may be begun: a limit of what a run is billed is enough for it.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        (self.limit.0 - self.schedule.base)
            .saturating_mul(self.schedule.fuel_per_unit)
            .saturating_add(self.schedule.fuel_per_unit - 1)
    }
    /// Fuel that stands for `units` of memory or host calls.
    #[must_use]
    pub fn fuel_of(&self, units: u64) -> u64 {
        units.saturating_mul(self.schedule.fuel_per_unit)
    }
    /// The bill: `compute_fuel` is what instructions alone used; memory and host are in units.
    /// `exhausted` says that the run was stopped by the limit: it is then charged the limit.
    #[must_use]
    pub fn bill(&self, compute_fuel: u64, memory: u64, host: u64, stopped: Stopped) -> UnitsBill {
        let s = self.schedule;
        let compute = compute_fuel / s.fuel_per_unit;
        let sum = s
            .base
            .saturating_add(compute)
            .saturating_add(memory)
            .saturating_add(host);
        let total = match stopped {
            Stopped::ByLimit => self.limit.0,
            Stopped::No => sum.min(self.limit.0),
        };
        // what the stopping charge did not get paid for is compute's, so that the parts add up
        let compute = total
            .saturating_sub(s.base)
            .saturating_sub(memory)
            .saturating_sub(host);
        UnitsBill {
            total,
            base: s.base,
            compute,
            memory,
            host,
            schedule: s.version,
        }
    }
}

/// Whether the unit limit ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ended otherwise.
    No,
    /// It is charged the whole limit.
    ByLimit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostCharge, SCHEDULE_V1};
    use proptest::prelude::*;

    #[test]
    fn prices_of_the_design() {
        let s = &SCHEDULE_V1;
        assert_eq!(s.host_units(HostCharge::Log, 0), 10);
        assert_eq!(s.host_units(HostCharge::Log, 1), 11);
        assert_eq!(s.host_units(HostCharge::KvPut, 1025), 5_020);
        assert_eq!(s.memory_units(0), 0);
        assert_eq!(s.memory_units(65_537), 20);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_never_pass_the_limit(
            limit in 10_000u64..100_000_000, fuel in 0u64..200_000_000_000, memory in 0u64..10_000, host in 0u64..1_000_000,
        ) {
            let m = Meter::new(&SCHEDULE_V1, Units(limit)).unwrap();
            // a run can only have paid what its budget held
            prop_assume!(fuel + m.fuel_of(memory + host) <= m.fuel());
            let b = m.bill(fuel, memory, host, Stopped::No);
            prop_assert!(b.total <= limit);
            prop_assert_eq!(b.total, b.base + b.compute + b.memory + b.host);
            let b = m.bill(fuel, memory, host, Stopped::ByLimit);
            prop_assert_eq!(b.total, limit);
            prop_assert_eq!(b.total, b.base + b.compute + b.memory + b.host);
        }
    }
}
