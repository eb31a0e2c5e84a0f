//! When and what next: back-off, breakers, slots, turns, fair lanes, and the scheduler made of them. Sans-io: no clock, no randomness,
//! no store.

mod backoff;
mod breaker;
mod lanes;
mod scale;
mod scheduler;
mod slots;
mod turns;

pub use backoff::{Backoff, Next};
pub use breaker::{BreakerRule, Breakers, Health};
pub use lanes::Lanes;
pub use scale::{Load, Scale, ScaleRule};
pub use scheduler::{Go, Scheduler, Wait};
pub use slots::{Caps, Refused, Share, Slots};
pub use turns::{Candidate, Round, Standing, Turns};
