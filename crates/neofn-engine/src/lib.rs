//! Deploys, admits, dispatches and settles: the path of a call, without any edge.
//!
//! Knows no HTTP and no storage vendor (see [`port`]).

mod cache;
mod call;
mod chain;
mod charging;
mod compiler;
mod deploy;
mod dispatch;
mod emit;
mod engine;
mod error;
mod expect;
mod explain;
mod follow;
mod gate;
mod host;
mod kv;
mod lead;
mod manage;
mod neo;
mod options;
mod outside;
mod overlay;
pub mod port;
mod queue;
mod recorder;
mod replay;
pub mod request;
mod rotation;
mod run;
mod service;
mod stack;
mod stats;
pub mod triggers;

pub use engine::{Engine, FunctionState};
pub use explain::{Lane, Waits};
pub use follow::{Follow, Followed, LogEntry};
pub use lead::{Among, Leading};
pub use neo::contract_value;
pub use neofn_sched::{Refused, Wait};
pub use options::{EngineOptions, Ports};
pub use service::Service;
pub use stats::{DURATION_BOUNDS_US, EngineStats, HistogramData, UNITS_BOUNDS};
pub use triggers::{ChainSettings, ChainState, TriggerStats};
