//! Deploying a function.

use crate::{DiagnosticView, FunctionView};
use neofn_types::JsonText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Body of POST `/api/functions/projects/{project}`. Exactly one of `source`, `files` and `module`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// Its name.
    pub function_name: String,
    /// One file; `index.ts` unless `main` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Several files, by path relative to the project, npm packages under `node_modules/` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, String>>,
    /// A WebAssembly module in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The file with the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// `js` (default) or `wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Whether it may be invoked without credentials; default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Limits; what is absent has the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsRequest>,
    /// Grants, at most 256 KiB: `{"kv": true, "chain": "read"}`; to send: `{"chain": {"write": {"contracts": ["0x…"], "gas": "0.5"}}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub allow: Option<JsonText>,
    /// Triggers by kind, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub on: Option<JsonText>,
    /// A smoke test that must pass before the version goes live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<SmokeTestRequest>,
}

/// Limits as a manifest writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsRequest {
    /// Units a run may be charged, 10 000 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// Wall clock, `"30s"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Memory, `"64MiB"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Runs at the same time, 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A smoke test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeTestRequest {
    /// The event to send, at most 1 MiB.
    #[schema(value_type = Object)]
    pub event: JsonText,
    /// Members that the result must have, at most 256 KiB; absent: any success will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub expect: Option<JsonText>,
}

/// 201 when the function is new, else 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeployResponse {
    /// Always true.
    pub success: bool,
    /// The function as it is now.
    pub function: FunctionView,
    /// Whether the content was live already, so that no version was made.
    pub unchanged: bool,
    /// Findings that did not stop it.
    pub warnings: Vec<DiagnosticView>,
    /// Milliseconds by stage: validate, compile, snapshot, test, publish.
    pub timings: BTreeMap<String, f64>,
}
