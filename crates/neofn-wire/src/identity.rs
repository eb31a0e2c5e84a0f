//! Signing in, projects, members and keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of POST `/auth/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who is to sign.
    pub address: String,
}

/// A challenge: sign either of the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeView {
    /// Its name, in decimal.
    pub nonce: String,
    /// The text to sign.
    pub message: String,
    /// The challenge of NEP-20, for a wallet's `authenticate`.
    #[schema(value_type = Object)]
    pub nep20: serde_json::Value,
    /// When it ends.
    pub expires: String,
}

/// One of several signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignerProof {
    /// Compressed, in hex.
    pub pubkey: String,
    /// r and s, in hex or base64.
    pub signature: String,
    /// What the wallet put before the message, as it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// With NEP-20: the answer's own time, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u32>,
}

/// Body of POST `/auth/login`: `pubkey` and `signature` for an account with one key; `signers` for one with several
/// (then with its `script`) or for a contract's (then without).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account.
    pub address: String,
    /// Of the challenge.
    pub nonce: String,
    /// Compressed, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<String>,
    /// r and s, in hex or base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The layout, when the caller knows it; another one is then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the wallet put before the message, as it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// With NEP-20: the answer's own time, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u32>,
    /// The verification script of an account with several keys, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Several people's signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<SignerProof>,
}

/// Body of POST `/auth/refresh`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Good for one exchange.
    pub refresh_token: String,
}

/// Tokens of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokensView {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// Good for one exchange.
    pub refresh_token: String,
    /// When the session ends, whatever is done in it.
    pub session_expires: String,
    /// Who.
    pub address: String,
}

/// Answer of POST `/auth/logout`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedOut {
    /// Whether there was a session to end.
    pub success: bool,
}

/// Answer of GET `/auth/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// `account` or `key`.
    pub kind: String,
    /// The address, or the id of the key.
    pub id: String,
    /// Whether it runs this node.
    pub operator: bool,
    /// Of a person: roles. Of a key: none.
    pub roles: Vec<RoleView>,
    /// Of a project's key: the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Of a project's key: what it may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// A role somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleView {
    /// The project.
    pub project: String,
    /// The one function, when it is not the whole project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// What.
    pub role: String,
}

/// Body of POST `/api/v1/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectRequest {
    /// Its name.
    pub name: String,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectView {
    /// Its name.
    pub name: String,
    /// When it was made; absent when it was before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// What the caller is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Answer of GET `/api/v1/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// By name.
    pub projects: Vec<ProjectView>,
    /// The cursor of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of PUT `/api/v1/members/{project}/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// viewer, operator, developer, admin or owner.
    pub role: String,
    /// For one function alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}

/// Someone in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Who.
    pub address: String,
    /// What.
    pub role: String,
    /// The one function, when it is not the whole project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Since when.
    pub added_at: String,
    /// Who added them.
    pub added_by: String,
    /// An owner whom others made, and who did nothing as one yet: not counted as an owner of the project.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invited: bool,
}

/// Answer of GET `/api/v1/members/{project}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// Of the whole project first.
    pub members: Vec<MemberView>,
}

/// Answer of DELETE `/api/v1/projects/{project}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectDeleted {
    /// Always true.
    pub success: bool,
    /// Functions that went with it.
    pub functions: u32,
    /// Secrets that were destroyed; the keys that they were under are, too.
    pub secrets: u32,
    /// Keys that are revoked now.
    pub keys_revoked: u32,
}

/// Answer of a change of members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberChanged {
    /// Always true.
    pub success: bool,
    /// Keys that the one who left had made, and that are revoked now.
    pub keys_revoked: u32,
}

/// Body of POST `/api/v1/keys/{project}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// What people call it.
    pub name: String,
    /// read, invoke, operate, deploy, secrets, money, manage.
    pub scopes: Vec<String>,
    /// When it ends, in seconds from now; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// Who made it, or the key that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The key that it was made with; it is revoked with that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

/// Answer of POST `/api/v1/keys/{project}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyCreated {
    /// The key itself: shown now and never again.
    pub key: String,
    /// What is known of it.
    #[serde(flatten)]
    pub view: KeyView,
}

/// Answer of GET `/api/v1/keys/{project}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// Oldest first; revoked ones too.
    pub keys: Vec<KeyView>,
}
