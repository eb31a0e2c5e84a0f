//! What end-to-end tests stand on: the real binary as a process of its own, plain HTTP, the command line.
//!
//! Knows the product only from outside: its binary, its paths, its answers.
#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for the real world with real deadlines"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop loudly"
)]

mod cli;
mod http;
mod nats;
mod nats_raw;
pub mod neo;
mod node;
mod pki;
mod postgres;
pub mod sim;
mod softhsm;
#[cfg(feature = "stores")]
pub mod stores;
mod tools;
mod wait;
mod worker;
mod wrong_clock;

pub use cli::{Cli, Output};
pub use http::{Answer, Http};
pub use nats::{NatsConfig, NatsServer, nats_server_binary};
pub use nats_raw::{MALFORMED_HEADERS, MALFORMED_SUBJECTS, RawNats};
pub use neo::Neo;
pub use neofn_chain::dev::Keep;
pub use node::{NodeProcess, binary, descendants};
pub use pki::{Authority, Signed};
pub use postgres::Postgres;
pub use softhsm::{TOKEN_PIN, import_key, pin_file, softhsm, with_tokens};
pub use tools::tool;
pub use wait::eventually;
pub use worker::WorkerProcess;
pub use wrong_clock::WrongClock;
