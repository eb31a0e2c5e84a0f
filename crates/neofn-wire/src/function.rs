//! Functions and their versions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionView {
    /// A stable id, UUID.
    pub id: String,
    /// Its name.
    pub function_name: String,
    /// Its project.
    pub project: String,
    /// The file with the handler.
    pub file_path: String,
    /// `js` or `wasm`.
    pub runtime: String,
    /// Off answers 409.
    pub is_active: bool,
    /// Whether it may be invoked without credentials.
    pub public: bool,
    /// How often it ran to an end.
    pub invocation_count: u64,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601.
    pub updated_at: String,
    /// The live version.
    pub version: u32,
    /// Path to POST an event to.
    pub url: String,
}

/// One function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionAnswer {
    /// Always true.
    pub success: bool,
    /// The function.
    pub function: FunctionView,
}

/// What a function calls in `ctx.invoke` where its source names it, and what calls it so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dependencies {
    /// Functions that the live version names; whether they exist is not said.
    pub calls: Vec<String>,
    /// Functions of the project whose live versions name this one.
    pub called_by: Vec<String>,
}

/// The functions of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionList {
    /// Always true.
    pub success: bool,
    /// By name.
    pub functions: Vec<FunctionView>,
    /// How many are in this answer.
    pub count: usize,
    /// Cursor of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// From 1.
    pub version: u32,
    /// SHA-256 over configuration, source and engine.
    pub digest: String,
    /// ISO 8601.
    pub created_at: String,
    /// Whether `live` points here.
    pub live: bool,
}

/// The versions of a function, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Newest first.
    pub versions: Vec<VersionView>,
    /// Cursor of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of POST `…/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The version to make live; absent: the one before the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// Body of PATCH on a function: `is_active`, or any member of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// Switches on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<std::collections::BTreeMap<String, String>>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// As in a deployment; what is absent stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<crate::LimitsRequest>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub allow: Option<neofn_types::JsonText>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub on: Option<neofn_types::JsonText>,
    /// As in a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<crate::SmokeTestRequest>,
}

/// Answer of DELETE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Always true.
    pub success: bool,
}
