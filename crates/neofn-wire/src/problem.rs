//! RFC 9457 problem documents, with our own members beside the standard ones.

use crate::UnitsView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every error answers, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default, ToSchema)]
pub struct Problem {
    /// Link to the page of the code, relative to the documentation.
    #[serde(rename = "type")]
    pub type_: String,
    /// The catalogue's title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Same as `message`; the standard's own member.
    pub detail: String,
    /// `NF0207`.
    pub code: String,
    /// Short text: `Function not found`, `Function execution failed`, else the title.
    pub error: String,
    /// What was wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// Of a failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Vec<String>>,
    /// Of a failed run.
    #[serde(default, rename = "invocationId", skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// Of a failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<UnitsView>,
    /// Of a failed run: `at handler (index.ts:3:10)`, in the user's own source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Vec<String>>,
    /// Of a failed run: the source around the place that threw, with a marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// Of a failed run, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Of a failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of a refused deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Vec<DiagnosticView>>,
    /// Which stage of a deployment refused: validate, compile, snapshot, test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Our internal trace id, for reports.
    #[serde(default, rename = "traceId", skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// A finding in a user's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiagnosticView {
    /// The rule.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// Relative to the project.
    pub file: String,
    /// From 1; 0 for none.
    pub line: u32,
    /// From 1; 0 for none.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The lines around the place with a marker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub frame: String,
}
