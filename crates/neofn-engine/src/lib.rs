//! Deploys, admits, dispatches and settles: the path of a call, without any edge.
//!
//! Knows no HTTP and no storage vendor (see [`port`]).

mod engine;
mod follow;
mod options;
pub mod port;
pub mod request;
mod service;
mod stats;

pub use engine::{Engine, FunctionState};
pub use follow::{Follow, Followed, LogEntry};
pub use options::{EngineOptions, Ports};
pub use service::Service;
pub use stats::{DURATION_BOUNDS_US, EngineStats, HistogramData, UNITS_BOUNDS};
