//! The composition root: puts a node together, starts it, and ends it.
//!
//! The only place that reads the clock, the random source, the environment and the user's directories.

mod admin_key;
mod alive;
mod audit;
mod backup;
mod bank;
mod chain;
mod child;
mod clock;
mod cluster;
mod cover;
mod engines;
mod files;
mod grpc;
mod log;
mod memory;
mod migrate;
mod node;
mod options;
mod outside;
mod payments;
mod runtime_file;
mod sign_in;
mod signal;
mod signer_lock;
mod storage;
mod tls;
mod treasury;
mod upkeep;
mod worker;

pub use audit::anchor_script;
pub use bank::BankChoice;
pub use chain::ChainFacts;
pub use child::{CHILD_ARGUMENT, child_role};
pub use clock::{OsEntropy, SystemClock, ThreadEntropy};
pub use engines::engine_identities;
pub use log::{LogFormat, log_to_stderr};
pub use migrate::{Moved, MovedKeys, MovedTable, migrate};
pub use neofn_api::RateLimits;
pub use neofn_chain::dev::Keep;
pub use neofn_egress::Cidr;
pub use neofn_gas::ledger::UnitPrice;
pub use node::Node;
pub use options::{
    ChainChoice, ClientCertificate, GrpcListen, NatsLogin, NatsOptions, NodeOptions, PayingWallet,
    PostgresOptions, SecretText, SecretsRoot, TlsOptions, Workers, state_directory,
};
pub use sign_in::AccessOptions;
pub use signal::{Termination, keep_memory_private, runtime};
pub use worker::{WorkerNode, WorkerNodeOptions};
