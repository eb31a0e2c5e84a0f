//! Secrets, and the root that they are kept under. A value comes in and never goes out.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Text that is wiped when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub Zeroizing<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Body of PUT `/api/v1/secrets/{project}/{name}`: a new value, or only settings. What is absent stays as it is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPut {
    /// The new value, 6 bytes to 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub value: Option<SecretText>,
    /// Instead of `value`: bytes that are no text, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub value_base64: Option<SecretText>,
    /// Hosts that the value may be sent to by handle: `api.example.org`, `*.example.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Functions that may use it; empty for every one whose manifest asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions: Option<Vec<String>>,
    /// The latest version that the caller knows, 0 for none: the value is set only if that is still so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u32>,
    /// How long each new version may be read, such as `90d`; `never` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How often the value is to be replaced, such as `30d`; `never` for not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<String>,
    /// The function that replaces it; absent, somebody is reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_by: Option<String>,
    /// Versions that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions_max: Option<u32>,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// The latest version.
    pub version: u32,
    /// Whether the latest version can be read.
    pub readable: bool,
    /// Hosts that the value may be sent to by handle.
    pub hosts: Vec<String>,
    /// Functions that may use it; empty for every one whose manifest asks for it.
    pub functions: Vec<String>,
    /// Versions that are kept.
    pub versions_max: u32,
    /// How long each new version may be read, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// When the value is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationView>,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601.
    pub updated_at: String,
}

/// When a value is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotationView {
    /// How often, ms.
    pub every_ms: u64,
    /// When next, ISO 8601.
    pub due_at: String,
    /// The function that replaces it; absent, somebody is reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}

/// Answer of GET `/api/v1/secrets/{project}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// By name.
    pub secrets: Vec<SecretView>,
    /// `cursor` of the next page; null at the end.
    pub next: Option<String>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretVersionView {
    /// Its number.
    pub version: u32,
    /// `current`, `kept`, `deleted`, `expired` or `destroyed`.
    pub state: String,
    /// Who set it.
    pub by: String,
    /// Equal for equal values of a project, and of no other use.
    pub fingerprint: String,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Answer of GET `/api/v1/secrets/{project}/{name}/versions`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretVersionList {
    /// Newest first.
    pub versions: Vec<SecretVersionView>,
}

/// Body of POST `…/destroy` and `…/undelete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretVersions {
    /// Which versions; absent, the latest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u32>,
    /// The whole secret, with all that is known of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Body of POST `…/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRollback {
    /// The version whose value is to be the newest.
    pub version: u32,
}

/// Answer of what destroys a whole secret or begins a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretDone {
    /// True.
    pub success: bool,
}

/// Answer of what puts the values of a project under a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretsRewrapped {
    /// True.
    pub success: bool,
    /// How many values moved; each kept version is one.
    pub values: u32,
}

/// Body of POST `/api/v1/vault/unseal` and `/api/v1/vault/rotate`: exactly one of them.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootKeyRequest {
    /// A passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub passphrase: Option<SecretText>,
    /// 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<SecretText>,
    /// The key of the token that the node was started with (`--secrets-root`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub configured: bool,
}

/// Answer of GET `/api/v1/vault`, and of what changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultView {
    /// Whether there is a root.
    pub initialised: bool,
    /// Whether nothing can be read.
    pub sealed: bool,
    /// `key`, `passphrase` or `external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// How many roots there were.
    pub generation: u32,
}
