//! Runs functions: QuickJS-ng in WebAssembly and users' own WebAssembly, in jailed child processes.

pub mod port;
pub mod sandbox;
