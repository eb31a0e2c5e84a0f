//! From events to invocations: chain, time and CloudEvents, each event once.
//!
//! Matching is `neofn_trigger`'s, writing is the store's ([`port`]); here is who reads what when, and what happens to
//! those that fall behind.

mod abi;
mod behind;
mod chain_source;
mod control;
mod cron;
mod delivery;
mod inspect;
pub mod port;
mod publish;
mod recheck;
mod release;
pub mod request;
mod set;

pub(crate) use chain_source::ChainSource;
pub(crate) use control::Control;
pub use control::{ChainSettings, ChainState, TriggerStats};
pub(crate) use cron::Cron;
pub use recheck::Recheck;
pub(crate) use release::Release;
