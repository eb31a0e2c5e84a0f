//! Events, and the words in which a function says which of them it wants.
//!
//! [`cloud`]: CloudEvents 1.0. [`spec`]: triggers as a manifest or a deployment writes them. [`filter`]: the language
//! of `where`. [`schedule`]: cron expressions. Pure: knows no chain client, no store and no clock.

pub mod cloud;
pub mod filter;
pub mod native;
pub mod schedule;
pub mod spec;

pub use cloud::{CloudEvent, Data, EventError};
pub use filter::{Abi, Lookup, Parameter, ParameterType};
pub use spec::{TriggerId, TriggerKind, TriggerName, TriggerSpec, Triggers};
