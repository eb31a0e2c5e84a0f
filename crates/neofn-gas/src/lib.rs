//! Units: the schedule as data, and the meter that follows it.
//!
//! Knows nothing of functions, storage or money.

mod meter;
mod schedule;

pub use meter::{Meter, OverLimit, Stopped};
pub use schedule::{FUEL_PER_UNIT, HostCharge, MEMORY_PAGE_BYTES, Price, SCHEDULE_V1, Schedule};
