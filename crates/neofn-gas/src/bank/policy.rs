//! What the operator agreed with a project. Kept as JSON; members that are not known are refused, so that a misspelt one
//! is not a silent default.

use super::{Bank, BankError};
use neofn_types::{Datoshi, ProjectName, ScriptHash};
use serde::{Deserialize, Serialize};

/// Who pays the fees of transactions that a project's functions send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sponsorship {
    /// The project.
    #[default]
    Off,
    /// The operator, from what it gives away.
    Platform,
}

/// Credit when a balance falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refill {
    /// When less than this can be spent.
    pub below: Datoshi,
    /// Up to this.
    pub to: Datoshi,
}

/// Bounds of withdrawals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most of one withdrawal; none: what the account has.
    #[serde(default)]
    pub withdrawal_max: Option<Datoshi>,
}

/// Most tokens that one policy names.
const TOKENS_MAX: usize = 64;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Fees of transactions.
    #[serde(default)]
    pub sponsorship: Sponsorship,
    /// Credit at a threshold; at most once an hour.
    #[serde(default)]
    pub refill: Option<Refill>,
    /// Withdrawals.
    #[serde(default)]
    pub limits: Limits,
    /// Tokens of the platform's accounts, beside GAS, that the project's transactions may give away.
    #[serde(default)]
    pub tokens: Vec<ScriptHash>,
}

impl Policy {
    fn check(&self) -> Result<(), BankError> {
        let zero = Datoshi::ZERO;
        if self.tokens.len() > TOKENS_MAX {
            return Err(BankError::Request(format!(
                "at most {TOKENS_MAX} tokens are named"
            )));
        }
        let sound = self.refill.is_none_or(|r| r.below > zero && r.to >= r.below)
            && self.limits.withdrawal_max.is_none_or(|max| max >= zero);
        if sound {
            Ok(())
        } else {
            Err(BankError::Request(
                "a refill goes from a threshold above zero up to at least the same amount".to_owned(),
            ))
        }
    }
}

pub(super) fn decode(text: &str) -> Result<Policy, BankError> {
    serde_json::from_str(text).map_err(|e| BankError::Request(format!("stored policy: {e}")))
}

impl Bank {
    /// What was agreed; the default when nothing was.
    pub async fn policy(&self, project: &ProjectName) -> Result<Policy, BankError> {
        match self.store().policy(project).await? {
            Some(text) => decode(&text),
            None => Ok(Policy::default()),
        }
    }
    /// Agrees.
    pub async fn set_policy(&self, project: &ProjectName, policy: Policy) -> Result<(), BankError> {
        policy.check()?;
        let text = serde_json::to_string(&policy).map_err(|e| BankError::Request(e.to_string()))?;
        Ok(self.store().set_policy(project, text).await?)
    }
}
