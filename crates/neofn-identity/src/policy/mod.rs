//! Authorisation as Cedar policies: built-in files that are always in force, and files of the operator beside them.
//!
//! Knows no transport and no use case: the actions are handed in as a table, each in its group, and the schema is made
//! from it. What is decided depends on nothing but the caller's roles or powers, the action and the resource, so that
//! decisions are remembered.

mod load;
mod names;
mod request;

pub use load::{PolicyError, PolicyFile};

use crate::Principal;
use cedar_policy::{Authorizer, Decision, PolicySet, Schema};
use neofn_types::{FunctionKey, ProjectName};
use parking_lot::RwLock;
use request::Question;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Most decisions remembered; beyond it they are made anew.
const MEMO_MAX: usize = 8_192;

/// Which group an action is in, and with it on what it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// On the node, for anybody.
    Open,
    /// On the node, with any valid credentials.
    SignedIn,
    /// On the node, for people; keys are not people.
    Person,
    /// On the node, for operators and callers on the same machine.
    Observe,
    /// On the node, for operators.
    Administer,
    /// In a project, a power.
    Power(crate::Power),
    /// In a project: [`crate::Power::Invoke`], and open to anybody when the function is public.
    Call,
}

impl Group {
    /// Whether it acts on the node, not in a project.
    #[must_use]
    pub const fn on_node(self) -> bool {
        matches!(
            self,
            Self::Open | Self::SignedIn | Self::Person | Self::Observe | Self::Administer
        )
    }
    fn words(self) -> &'static [&'static str] {
        use crate::Power;
        match self {
            Self::Open => &["open"],
            Self::SignedIn => &["signed-in"],
            Self::Person => &["person"],
            Self::Observe => &["observe"],
            Self::Administer => &["administer"],
            Self::Call => &["invoke", "call"],
            Self::Power(Power::Read) => &["read"],
            Self::Power(Power::Invoke) => &["invoke"],
            Self::Power(Power::Operate) => &["operate"],
            Self::Power(Power::Deploy) => &["deploy"],
            Self::Power(Power::Secrets) => &["secrets"],
            Self::Power(Power::Money) => &["money"],
            Self::Power(Power::Manage) => &["manage"],
            Self::Power(Power::Own) => &["own"],
        }
    }
}

/// An action as policies know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionDecl {
    /// Its name, which no group has.
    pub name: &'static str,
    /// Its group.
    pub group: Group,
}

/// What is acted on.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The node as a whole.
    Node {
        /// Whether the caller is on this machine.
        loopback: bool,
    },
    /// A project, or something in it that belongs to no one function.
    Project(&'a ProjectName),
    /// A function.
    Function {
        /// Which.
        key: &'a FunctionKey,
        /// Whether anybody may call it.
        public: bool,
    },
}

/// The policies in force.
pub struct Policies {
    schema: Schema,
    schema_text: String,
    set: PolicySet,
    authorizer: Authorizer,
    memo: RwLock<HashMap<Question, bool>>,
}

impl Policies {
    /// The built-in ones alone.
    pub fn built_in(actions: &[ActionDecl]) -> Result<Self, PolicyError> {
        Self::with(actions, &[])
    }
    /// With the `.cedar` files of a directory.
    pub fn load(actions: &[ActionDecl], dir: &Path) -> Result<Self, PolicyError> {
        let files = load::read(dir)?;
        let policies = Self::with(actions, &files)?;
        for file in &files {
            let own = format!("{}#", file.name);
            let count = policies
                .set
                .policies()
                .filter(|p| p.id().to_string().starts_with(&own));
            tracing::info!(file = file.name, policies = count.count(), "policies in force");
        }
        if files.is_empty() {
            tracing::warn!(dir = %dir.display(), "no `.cedar` file is there: the built-in policies alone are in force");
        }
        Ok(policies)
    }
    /// With these files.
    pub fn with(actions: &[ActionDecl], files: &[PolicyFile]) -> Result<Self, PolicyError> {
        let schema_text = load::schema_text(actions);
        let schema = load::schema(&schema_text)?;
        let set = load::policies(&schema, files)?;
        Ok(Self {
            schema,
            schema_text,
            set,
            authorizer: Authorizer::new(),
            memo: RwLock::default(),
        })
    }
    /// What policies may speak of, for those who write them.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema_text
    }
    /// Whether the caller may do this. What cannot be asked at all is denied. A key may what whoever made it may too, now: what
    /// is taken from a person is taken from their keys.
    #[must_use]
    pub fn allows(&self, who: &Principal, action: &'static str, on: Resource<'_>) -> bool {
        self.allows_alone(who, action, on)
            && who
                .maker()
                .is_none_or(|maker| self.allows_alone(&maker, action, on))
    }
    fn allows_alone(&self, who: &Principal, action: &'static str, on: Resource<'_>) -> bool {
        let question = Question::new(who, action, on);
        if let Some(known) = self.memo.read().get(&question) {
            return *known;
        }
        let allowed = self.decide(&question);
        let mut memo = self.memo.write();
        if memo.len() >= MEMO_MAX {
            memo.clear();
        }
        memo.insert(question, allowed);
        allowed
    }
    fn decide(&self, question: &Question) -> bool {
        question
            .to_cedar(&self.schema)
            .is_some_and(|(request, entities)| {
                let response = self.authorizer.is_authorized(&request, &self.set, &entities);
                // a policy that fails is no policy; a forbid that fails would be a hole, so nothing is allowed then
                response.decision() == Decision::Allow && response.diagnostics().errors().next().is_none()
            })
    }
}
impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policies({} policies)", self.set.policies().count())
    }
}
