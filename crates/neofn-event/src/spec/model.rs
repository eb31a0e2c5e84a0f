//! Triggers, once they are known to be right.

use super::kind::TriggerKind;
use super::name::TriggerName;
use super::options::Options;
use crate::filter::{Expression, Parameter};
use crate::schedule::Schedule;
use neofn_types::ScriptHash;

/// All triggers of a function.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Triggers(pub Vec<TriggerSpec>);

impl Triggers {
    /// What the one of this name waits for.
    #[must_use]
    pub fn of(&self, name: &TriggerName) -> Option<&On> {
        self.0.iter().find(|t| t.name == *name).map(|t| &t.on)
    }
}

/// One trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerSpec {
    /// Unique within the function; `notification-1` when nobody named it.
    pub name: TriggerName,
    /// What it waits for.
    pub on: On,
    /// A condition on the event.
    pub filter: Option<Expression>,
    /// How its events are delivered.
    pub options: Options,
}

/// What a trigger waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// Blocks.
    Block(BlockOn),
    /// Transactions.
    Transaction(TransactionOn),
    /// Notifications.
    Notification(NotificationOn),
    /// Executions.
    Execution(ExecutionOn),
    /// Time.
    Cron(CronOn),
    /// CloudEvents.
    Event(EventOn),
    /// HTTP requests.
    Http(HttpOn),
}

impl On {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Block(_) => TriggerKind::Block,
            Self::Transaction(_) => TriggerKind::Transaction,
            Self::Notification(_) => TriggerKind::Notification,
            Self::Execution(_) => TriggerKind::Execution,
            Self::Cron(_) => TriggerKind::Cron,
            Self::Event(_) => TriggerKind::Event,
            Self::Http(_) => TriggerKind::Http,
        }
    }
    /// When, for time.
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Cron(cron) => Some(&cron.schedule),
            _ => None,
        }
    }
}

/// Blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockOn {
    /// Blocks whose height is a multiple of this; 1 is every block.
    pub every: u32,
}

/// Which executions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateFilter {
    /// Those that succeeded.
    Halt,
    /// Those that failed.
    Fault,
    /// All.
    Any,
}
impl StateFilter {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Fault => "fault",
            Self::Any => "any",
        }
    }
    /// Whether an execution that ended so counts.
    #[must_use]
    pub fn admits(self, halted: bool) -> bool {
        match self {
            Self::Halt => halted,
            Self::Fault => !halted,
            Self::Any => true,
        }
    }
}

/// Which part of a block's processing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Transactions.
    Application,
    /// What the block does before and after its transactions: fees, rewards.
    System,
    /// Both.
    Any,
}
impl Phase {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::System => "system",
            Self::Any => "any",
        }
    }
    /// Whether something of a transaction (or of the block itself) counts.
    #[must_use]
    pub fn admits(self, of_transaction: bool) -> bool {
        match self {
            Self::Application => of_transaction,
            Self::System => !of_transaction,
            Self::Any => true,
        }
    }
}

/// Transactions; what is absent is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOn {
    /// Who pays the fees: the first signer.
    pub sender: Option<ScriptHash>,
    /// Any of the signers.
    pub signer: Option<ScriptHash>,
    /// A contract that the script itself calls.
    pub contract: Option<ScriptHash>,
    /// How it ended.
    pub state: StateFilter,
}

/// Notifications; what is absent is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationOn {
    /// Who notified.
    pub contract: Option<ScriptHash>,
    /// Name of the notification.
    pub event: Option<String>,
    /// How the execution ended.
    pub state: StateFilter,
    /// Which part of the block.
    pub phase: Phase,
    /// Names and types: written by the user, or found in the contract's manifest when it was deployed.
    pub parameters: Option<Vec<Parameter>>,
}

/// Executions of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionOn {
    /// How it ended.
    pub state: StateFilter,
    /// Who pays the fees.
    pub sender: Option<ScriptHash>,
    /// A contract that the script itself calls.
    pub contract: Option<ScriptHash>,
}

/// Time.
#[derive(Debug, Clone, PartialEq)]
pub struct CronOn {
    /// When.
    pub schedule: Schedule,
    /// What becomes of runs that nobody was there for.
    pub missed: Missed,
    /// `data` of the event.
    pub data: Option<serde_json::Value>,
}

/// What becomes of runs that were missed while the node was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missed {
    /// They are left out.
    Skip,
    /// One run makes up for all of them.
    Once,
    /// Every one of them runs, up to a bound.
    All,
}
impl Missed {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

/// CloudEvents by their attributes; `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOn {
    /// Pattern of the type.
    pub ty: Option<String>,
    /// Pattern of the source.
    pub source: Option<String>,
    /// Pattern of the subject.
    pub subject: Option<String>,
}

/// Requests to `/f/{project}/{function}/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOn {
    /// Methods in capital letters; empty: any.
    pub methods: Vec<String>,
    /// Pattern of the path below the function, like `/hooks/*`.
    pub path: Option<String>,
}

impl EventOn {
    /// Whether an event with these attributes is wanted.
    #[must_use]
    pub fn admits(&self, ty: &str, source: &str, subject: Option<&str>) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|p| glob(p, text));
        fits(&self.ty, ty)
            && fits(&self.source, source)
            && match (&self.subject, subject) {
                (None, _) => true,
                (Some(pattern), Some(subject)) => glob(pattern, subject),
                (Some(_), None) => false,
            }
    }
}

impl HttpOn {
    /// Whether a request is wanted. `path` begins with `/`.
    #[must_use]
    pub fn admits(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m.eq_ignore_ascii_case(method)))
            && self.path.as_ref().is_none_or(|p| glob(p, path))
    }
}

/// `*` stands for any characters, everything else for itself. Linear but for the last star's retries, which the
/// lengths of both texts bound.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return text.is_empty();
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let middle: Vec<&str> = parts.collect();
    let Some((last, middle)) = middle.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Triggers {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The one that is called `name`.
    #[must_use]
    pub fn get(&self, name: &TriggerName) -> Option<&TriggerSpec> {
        self.0.iter().find(|t| t.name == *name)
    }
    /// The triggers that wait for requests; none of them means that every request is wanted.
    pub fn http(&self) -> impl Iterator<Item = &HttpOn> {
        self.0.iter().filter_map(|t| match &t.on {
            On::Http(http) => Some(http),
            _ => None,
        })
    }
    /// The contracts and events whose parameters have to be looked up on chain before a check.
    pub fn lookups(&self) -> impl Iterator<Item = (ScriptHash, &str)> {
        self.0.iter().filter_map(|t| match &t.on {
            On::Notification(NotificationOn {
                contract: Some(contract),
                event: Some(event),
                parameters: None,
                ..
            }) if crate::native::event(*contract, event).is_none() => Some((*contract, event.as_str())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("com.example.*", "com.example.a.b", true),
            ("com.example.*", "com.example", false),
            ("*.created", "order.created", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac", false),
            ("ab*b", "ab", false),
            ("exact", "exactly", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
