//! A role of our own binary confines itself here, first thing after exec: namespaces, Landlock, seccomp, limits.
//!
//! This is the second of two boundaries around tenants' code; the first is the engine's. It fails closed: what a
//! role requires and the machine does not give is an error, never a warning. Knows nothing of what the role runs.

mod confine;
mod error;
mod filter;
mod limits;
mod locked;
mod namespaces;
mod paths;
mod policy;
mod probe;
mod resident;
mod secretive;
mod shim;
mod sys;
mod tether;

pub use confine::{Confined, confine};
#[doc(hidden)]
pub use confine::{Layers, confine_with};
pub use error::JailError;
pub use locked::LockedMemory;
pub use policy::{Class, Policy, Tier};
pub use probe::{Finding, Probe, probe, require};
pub use resident::resident_bytes;
pub use secretive::keep_memory_private;
pub use tether::Tether;
