//! JavaScript and TypeScript sources in, one validated, bundled, minified ES module and its source map out.
//!
//! The node side holds a handle and never parses tenant code; parsing, checking and bundling happen in a child process
//! that confines itself first, serves one request and exits. Knows no store, no runtime and no transport.

mod compiler;
mod exit;
mod frame;
mod place;
mod process;
mod request;
mod upload;
mod validate;
mod wire;

pub mod child;
pub mod rules;
pub mod source_map;

pub use compiler::{Compiler, CompilerOptions};
pub use frame::code_frame;
pub use request::{CompileError, CompileRequest, Compiled, SourceLimits, Stage, Timings};
