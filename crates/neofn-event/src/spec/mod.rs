//! Triggers: which events run a function, and how.
//!
//! One reader ([`Triggers::read`]) for manifests, deployment requests and stored versions; it reports all mistakes
//! with their places. Written back by `Serialize` in the same form: kinds, and under each a list.

mod check;
mod finding;
mod kind;
mod members;
mod model;
mod name;
mod options;
mod read;
mod write;

pub use check::{Checked, Unasked};
pub use finding::{Finding, Step, Target};
pub use kind::TriggerKind;
pub use model::{
    BlockOn, CronOn, EventOn, ExecutionOn, HttpOn, Missed, NotificationOn, On, Phase, StateFilter,
    TransactionOn, TriggerSpec, Triggers,
};
pub use name::{TriggerId, TriggerName, TriggerNameError};
pub use options::{Batch, LagAction, MaxLag, Options, Order, Start};
pub use read::{PER_FUNCTION_MAX, keys};
