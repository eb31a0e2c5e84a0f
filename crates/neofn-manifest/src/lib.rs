//! The manifest `neofn.toml`: parsed strictly, with findings that point into the file.
//!
//! Knows no file system, no network and no command line: text in, a typed [`Manifest`] or findings out.

mod frame;
mod function;
mod json;
mod model;
mod parse;
mod request;
mod schema;
mod similar;
mod walk;

pub use frame::{Place, frame};
pub use model::{FunctionConfig, FunctionLimits, Manifest, SmokeTest};
pub use parse::{FINDINGS_MAX, FUNCTIONS_MAX, MANIFEST_BYTES_MAX, ManifestError, parse};
pub use request::Source;
pub use schema::json_schema;
pub use similar::closest;
