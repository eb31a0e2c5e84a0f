//! When and what next: back-off, slots, fair lanes, and the scheduler made of them. Sans-io: no clock, no randomness,
//! no store.

mod backoff;
mod lanes;
mod scheduler;
mod slots;

pub use backoff::{Backoff, Next};
pub use lanes::Lanes;
pub use scheduler::{Go, Scheduler, Wait};
pub use slots::{Caps, Refused, Share, Slots};
