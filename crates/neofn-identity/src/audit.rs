//! What was done, by whom: entries of the audit log. How they are chained and proved is the log's own affair.

use neofn_types::{ProjectName, UnixMillis};

/// One act that matters to security or money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: UnixMillis,
    /// In which project, when in one.
    pub project: Option<ProjectName>,
    /// Who: `account:N…`, `key:…`, `node`.
    pub actor: String,
    /// What: `member.set`, `key.revoke`, …
    pub action: String,
    /// On what: an address, a key's id, a name. Never a secret.
    pub target: String,
    /// More of it, in plain words; may be empty. Never a secret.
    pub detail: String,
}

impl AuditEntry {
    /// An act outside of any project.
    #[must_use]
    pub fn new(at: UnixMillis, actor: impl Into<String>, action: &str, target: impl Into<String>) -> Self {
        Self {
            at,
            project: None,
            actor: actor.into(),
            action: action.to_owned(),
            target: target.into(),
            detail: String::new(),
        }
    }
    /// In a project.
    #[must_use]
    pub fn within(mut self, project: &ProjectName) -> Self {
        self.project = Some(project.clone());
        self
    }
    /// With more words.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
