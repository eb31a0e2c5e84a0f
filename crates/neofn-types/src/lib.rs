//! The vocabulary every other crate speaks: names, ids, units, limits, grants, time, errors.
//!
//! Knows no vendor, no transport and no storage; nothing here does I/O.

mod caller;
mod catalogue;
mod datoshi;
mod diagnostic;
mod error;
mod frame;
mod grants;
mod hash256;
mod ids;
mod json_text;
mod limits;
mod names;
mod net;
mod runtime_kind;
mod script_hash;
mod similar;
mod time;
mod trace;
mod units;

pub use caller::Caller;
pub use catalogue::{Code, CodeInfo, Retry};
pub use datoshi::Datoshi;
pub use diagnostic::{Diagnostic, Severity};
pub use error::Error;
pub use frame::{Place, frame};
pub use grants::{
    ChainGrant, ChainWrite, GRANT_CONTRACTS_MAX, GRANT_NAMES_MAX, GrantError, Grants, SecretGrant,
    parse_contract,
};
pub use hash256::Hash256;
pub use ids::{Attempt, Digest, Fence, FunctionKey, InvocationId, ParseIdError, Version};
pub use json_text::JsonText;
pub use limits::{
    LimitError, Limits, MEMORY_STEP_BYTES, ParseQuantityError, parse_bytes, parse_duration_ms, parse_memory,
};
pub use names::{FunctionName, NameError, ProjectName, SecretName};
pub use net::{HostPattern, NetGrant, NetGrantError, Scheme};
pub use runtime_kind::{ParseRuntimeKindError, RuntimeKind};
pub use script_hash::{ParseScriptHashError, ScriptHash};
pub use similar::closest;
pub use time::{Clock, Entropy, UnixMillis};
pub use trace::{TraceContext, TraceParseError};
pub use units::{Units, UnitsBill};
