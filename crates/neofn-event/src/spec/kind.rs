//! The kinds of triggers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of event a trigger waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerKind {
    /// Every block, or every n blocks.
    Block,
    /// Transactions.
    Transaction,
    /// Notifications of contracts.
    Notification,
    /// Executions, by how they end.
    Execution,
    /// Time.
    Cron,
    /// CloudEvents.
    Event,
    /// Requests to the function's own endpoint.
    Http,
}

impl TriggerKind {
    /// Every kind, in the order that they are written.
    pub const ALL: [Self; 7] = [
        Self::Block,
        Self::Transaction,
        Self::Notification,
        Self::Execution,
        Self::Cron,
        Self::Event,
        Self::Http,
    ];
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Transaction => "transaction",
            Self::Notification => "notification",
            Self::Execution => "execution",
            Self::Cron => "cron",
            Self::Event => "event",
            Self::Http => "http",
        }
    }
    /// The kind that is written `text`.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
    /// Whether its events come from blocks.
    #[must_use]
    pub fn is_chain(self) -> bool {
        matches!(
            self,
            Self::Block | Self::Transaction | Self::Notification | Self::Execution
        )
    }
}
impl fmt::Display for TriggerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
