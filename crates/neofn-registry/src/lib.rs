//! Projects, functions, immutable versions and the `live` alias: the words and the rules.
//!
//! Knows no storage (see [`port`]), no runtime and no HTTP.

mod model;
pub mod port;

pub use model::{ArtifactRef, FunctionRecord, SmokeTest, VersionRecord, VersionSpec};
