//! What a version is made of, and what a function is beside its versions.

use neofn_event::Triggers;
use neofn_types::{
    Digest, FunctionKey, FunctionName, Grants, JsonText, Limits, RuntimeKind, UnixMillis, Version,
};
use serde::{Deserialize, Serialize};

/// An optional event that a deployment must answer before it goes live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmokeTest {
    /// The event to send.
    pub event: JsonText,
    /// What must be in the result: members given here must be equal, others are free. Absent: any success.
    pub expect: Option<JsonText>,
}

/// Everything that makes a version what it is. Two equal specs are the same version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionSpec {
    /// Which runtime.
    pub runtime: RuntimeKind,
    /// The file with the handler, relative to the project.
    pub main: String,
    /// Over the uploaded files, sorted by path.
    pub source: Digest,
    /// Whether anybody may invoke it.
    pub public: bool,
    /// Its limits.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// Events that run it, beside requests.
    #[serde(default, skip_serializing_if = "Triggers::is_empty")]
    pub on: Triggers,
    /// The smoke test.
    pub test: Option<SmokeTest>,
    /// Functions of the project that its source names in `ctx.invoke`. Found in the source, so no part of the digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<FunctionName>,
}

/// Where a version's compiled form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// The artifact's bytes.
    pub artifact: Digest,
    /// The engine that runs it.
    pub engine: Digest,
    /// The bundled code, from which the artifact can be made again for a newer engine.
    pub code: Digest,
    /// The source map of that code, absent for WebAssembly.
    pub source_map: Option<Digest>,
    /// The uploaded files, as JSON `{path: text}`: what code frames are cut from. Absent for WebAssembly.
    pub files: Option<Digest>,
}

/// An immutable version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Whose.
    pub key: FunctionKey,
    /// From 1.
    pub version: Version,
    /// Over `spec` and the engine.
    pub digest: Digest,
    /// When it was deployed.
    pub created_at: UnixMillis,
    /// What it is.
    pub spec: VersionSpec,
    /// Its compiled form.
    pub artifact: ArtifactRef,
}

impl VersionSpec {
    /// The digest of a version: the spec and the engine that runs it.
    #[must_use]
    pub fn digest(&self, engine: Digest) -> Digest {
        let mut value = serde_json::to_value(self).map(sorted).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.remove("calls");
        }
        Digest::of_parts(&[b"neofn/version/v1", value.to_string().as_bytes(), &engine.0])
    }
}

/// Objects with their members by name: whether a map keeps the order it was written in depends on features that
/// other crates of the binary switch on, and a digest must not.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> =
                members.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// A function: what is outside its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Project and name.
    pub key: FunctionKey,
    /// A stable id for outside systems, a UUID.
    pub id: neofn_types::InvocationId,
    /// The version that `live` points to.
    pub live: Version,
    /// Off answers 409.
    pub active: bool,
    /// How often it ran to an end.
    pub invocation_count: u64,
    /// First deployment.
    pub created_at: UnixMillis,
    /// Last deployment, rollback or switch.
    pub updated_at: UnixMillis,
}
