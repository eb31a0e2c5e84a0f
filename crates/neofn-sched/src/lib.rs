//! When and what next: back-off, concurrency slots and fair lanes. Sans-io: no clock, no randomness, no store.

mod backoff;
mod lanes;
mod slots;

pub use backoff::{Backoff, Next};
pub use lanes::Lanes;
pub use slots::{Refused, Share, Slots};
