//! Who calls, and what that reaches.

use crate::{KeyId, Power, Powers, Role, SessionId};
use neofn_types::{Caller, FunctionKey, FunctionName, ProjectName, ScriptHash, UnixMillis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a key reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything on this node.
    Operator,
    /// One project.
    Project(ProjectName),
}

/// A key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Of its secret.
    pub hash: [u8; 32],
    /// What it reaches.
    pub scope: Scope,
    /// What it may do there. Of no account for an operator's key, which may do everything.
    pub powers: Powers,
    /// What people call it; may be empty.
    pub name: String,
    /// Who made it, or the keys that it was made with; none when the node did.
    pub created_by: Option<ScriptHash>,
    /// The key that it was made with, when it was made with one. It is revoked with that one, and does not outlast it.
    pub parent: Option<KeyId>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

impl KeyRecord {
    /// The record of a key made now by the node itself, that never ends.
    #[must_use]
    pub fn new(key: &crate::ApiKey, scope: Scope, at: UnixMillis) -> Self {
        Self {
            id: key.id,
            hash: key.hash(),
            powers: match scope {
                Scope::Operator => Powers::ALL,
                Scope::Project(_) => Powers::DAILY,
            },
            scope,
            name: String::new(),
            created_by: None,
            parent: None,
            created_at: at,
            expires_at: None,
            revoked_at: None,
        }
    }
    /// Whether it is valid at `now`.
    #[must_use]
    pub fn valid_at(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A role of an account in a project, or for one function of it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The project.
    pub project: ProjectName,
    /// The one function, when it is not the whole project.
    pub function: Option<FunctionName>,
    /// What the account is there.
    pub role: Role,
}

/// A signed-in account and all its roles, as they were when the call came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub account: ScriptHash,
    /// In which session.
    pub session: SessionId,
    /// Whether it is among the node's operators.
    pub operator: bool,
    /// Where it is what.
    pub memberships: Vec<Membership>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// No credentials.
    Anonymous,
    /// A valid key.
    Key {
        /// Which.
        id: KeyId,
        /// What it reaches.
        scope: Scope,
        /// What it may do there.
        powers: Powers,
        /// What people call it; may be empty.
        name: String,
        /// Who made it, as they are now; none when the node did.
        maker: Option<Arc<SignedIn>>,
    },
    /// A person with a valid access token.
    Account(Arc<SignedIn>),
}

impl Principal {
    /// Whose powers bound it, beside its own: those of whoever made a key.
    #[must_use]
    pub fn maker(&self) -> Option<Self> {
        match self {
            Self::Key { maker, .. } => maker.clone().map(Self::Account),
            _ => None,
        }
    }
    /// Whether it belongs to a project in any way, be it for one function alone.
    #[must_use]
    pub fn is_of(&self, project: &ProjectName) -> bool {
        self.reaches(project)
            || matches!(self, Self::Account(who) if who.memberships.iter().any(|m| m.project == *project))
    }
    /// Whether it belongs to a project as a whole. What it may do there is the policies' to say.
    #[must_use]
    pub fn reaches(&self, project: &ProjectName) -> bool {
        self.is_operator()
            || match self {
                Self::Anonymous => false,
                Self::Key { scope, .. } => *scope == Scope::Project(project.clone()),
                Self::Account(who) => who
                    .memberships
                    .iter()
                    .any(|m| m.function.is_none() && m.project == *project),
            }
    }
    /// Whether it belongs to a function's project, or was let in to that function.
    #[must_use]
    pub fn reaches_function(&self, key: &FunctionKey) -> bool {
        self.reaches(&key.project)
            || matches!(self, Self::Account(who) if who.memberships.iter().any(|m| {
                m.project == key.project && m.function.as_ref() == Some(&key.function)
            }))
    }
    /// Whether it may see the node as a whole.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key { scope, .. } => *scope == Scope::Operator,
            Self::Account(who) => who.operator,
        }
    }
    /// The account, when it is a person.
    #[must_use]
    pub fn account(&self) -> Option<ScriptHash> {
        match self {
            Self::Account(who) => Some(who.account),
            _ => None,
        }
    }
    /// As the audit log names it.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Key { id, .. } => format!("key:{id}"),
            Self::Account(who) => format!("account:{}", who.account.to_address()),
        }
    }
    /// As a statement of charges names it: a key with what people call it, too.
    #[must_use]
    pub fn caller(&self) -> Caller {
        match self {
            Self::Key { id, name, .. } if !name.is_empty() => Caller::new(&format!("key:{id} {name}")),
            _ => Caller::new(&self.actor()),
        }
    }
    /// Whether a key carries a power; people's powers come from their roles.
    #[must_use]
    pub fn key_has(&self, power: Power) -> bool {
        matches!(self, Self::Key { powers, .. } if powers.has(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_for_a_function_reaches_that_function_alone() {
        let key = |text: &str| {
            let (project, function) = text.split_once('/').unwrap();
            FunctionKey::new(project.parse().unwrap(), function.parse().unwrap())
        };
        let shop = key("shop/hello");
        let who = Principal::Account(Arc::new(SignedIn {
            account: ScriptHash([1; 20]),
            session: SessionId([1; 16]),
            operator: false,
            memberships: vec![Membership {
                project: shop.project.clone(),
                function: Some(shop.function.clone()),
                role: Role::Viewer,
            }],
        }));
        assert!(who.reaches_function(&shop));
        assert!(!who.reaches(&shop.project));
        assert!(!who.reaches_function(&key("shop/other")));
        assert!(!who.reaches_function(&key("other/hello")));
        assert!(!who.is_operator());
    }
}
