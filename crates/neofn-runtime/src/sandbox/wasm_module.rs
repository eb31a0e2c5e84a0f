//! Users' own WebAssembly modules: commands for WASI preview 1, JSON event in, JSON result out.
//!
//! ```text
//! compile(module, memory_bytes) -> Result<artifact, Failure>     in the compile child: a large module takes seconds
//! identity() -> Digest                                           what compiled it and can run it
//! WasmEngine::new(slots) -> Result<WasmEngine, WasmLoadError>    one in each sandbox child; tick() every 1-5 ms
//! WasmVersion::load(&engine, artifact) -> Result<WasmVersion, WasmLoadError>
//! start(&version, CallInput, &Interrupt) -> Step                 always Done: a module calls no services
//! ```
//! The event is on standard input, the result is the one JSON value on standard output (nothing means null), each line
//! on standard error is a log line. A module sees no file, no network, no environment; its clock stands still but for
//! its own sleeps, which cost no time; its randomness comes from the recorded seed. Knows nothing of processes.

mod check;
mod compile;
mod config;
mod limiter;
mod lines;
mod output;
mod run;
mod segments;
mod state;
mod wasi;

pub use compile::compile;
pub use config::{WasmEngine, WasmLoadError, identity};
pub use run::{WasmVersion, start};

/// Largest module that is compiled.
pub const MODULE_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod pricing;
#[cfg(test)]
mod tests;
