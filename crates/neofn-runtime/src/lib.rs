//! Runs functions: QuickJS-ng in WebAssembly and users' own WebAssembly, in jailed child processes.

pub mod child;
pub mod parent;
pub mod port;
mod proto;
pub mod sandbox;
#[cfg(test)]
mod still;

pub use parent::{Pool, PoolOptions};
