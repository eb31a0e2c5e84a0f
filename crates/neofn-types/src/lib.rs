//! The vocabulary every other crate speaks: names, ids, units, limits, grants, time, errors.
//!
//! Knows no vendor, no transport and no storage; nothing here does I/O.

mod catalogue;
mod diagnostic;
mod error;
mod grants;
mod ids;
mod limits;
mod names;
mod runtime_kind;
mod time;
mod trace;
mod units;

pub use catalogue::{Code, CodeInfo, Retry};
pub use diagnostic::{Diagnostic, Severity};
pub use error::Error;
pub use grants::Grants;
pub use ids::{Attempt, Digest, Fence, FunctionKey, InvocationId, ParseIdError, Version};
pub use limits::{LimitError, Limits, ParseQuantityError, parse_bytes, parse_duration_ms, parse_memory};
pub use names::{FunctionName, NameError, ProjectName};
pub use runtime_kind::{ParseRuntimeKindError, RuntimeKind};
pub use time::{Clock, Entropy, UnixMillis};
pub use trace::{TraceContext, TraceParseError};
pub use units::{Units, UnitsBill};
