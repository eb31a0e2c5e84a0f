//! Units: the schedule as data, and the meter that follows it. Money: the ledger in which units become GAS.
//!
//! Knows nothing of functions' code, of storage (see [`port`]) and of how a chain is spoken to.

mod bank;
pub mod ledger;
mod meter;
pub mod port;
mod purse;
mod schedule;

pub use bank::{
    Asked, Bank, BankError, BankOptions, Closed, Deposits, Estate, Given, Limits, Needs, Policy, Reconciled,
    Refill, Report, Sponsorship, Suspended, TREASURY_PROJECT, Withdrawal,
};
pub use meter::{Meter, OverLimit, Stopped};
pub use purse::{LeaseOptions, Purses, Reservation, ReserveError};
pub use schedule::{FUEL_PER_UNIT, HostCharge, MEMORY_PAGE_BYTES, Price, SCHEDULE_V1, Schedule};
