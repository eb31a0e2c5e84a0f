//! The composition root: puts a node together, starts it, and ends it.
//!
//! The only place that reads the clock, the random source, the environment and the user's directories.

mod admin_key;
mod chain;
mod child;
mod clock;
mod engines;
mod files;
mod log;
mod migrate;
mod node;
mod options;
mod payments;
mod runtime_file;
mod signal;
mod storage;

pub use chain::ChainFacts;
pub use child::{CHILD_ARGUMENT, child_role};
pub use clock::{OsEntropy, SystemClock, ThreadEntropy};
pub use engines::engine_identities;
pub use log::{LogFormat, log_to_stderr};
pub use migrate::{Moved, MovedTable, migrate};
pub use neofn_chain::dev::Keep;
pub use node::Node;
pub use options::{
    ChainChoice, GrpcListen, NatsLogin, NatsOptions, NodeOptions, PayingWallet, PostgresOptions, SecretText,
    TlsOptions, state_directory,
};
pub use signal::{Termination, runtime};
