//! What a function may reach. Everything is denied unless granted here.

use serde::{Deserialize, Serialize};

/// The `allow` table of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// `ctx.kv`: the project's key-value namespace.
    pub kv: bool,
}
