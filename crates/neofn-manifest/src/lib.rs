//! The manifest `neofn.toml`: parsed strictly, with findings that point into the file.
//!
//! Knows no file system, no network and no command line: text in, a typed [`Manifest`] or findings out.

mod function;
mod json;
mod model;
mod on;
mod parse;
mod request;
mod schema;
mod walk;

pub use model::{FunctionConfig, FunctionLimits, Manifest, SmokeTest};
pub use neofn_types::{Place, closest, frame};
pub use parse::{FINDINGS_MAX, FUNCTIONS_MAX, MANIFEST_BYTES_MAX, ManifestError, parse};
pub use request::Source;
pub use schema::json_schema;
