//! Who may do what: the one table, and the one place that reads it.
//!
//! Knows no transport. A use case names its [`Action`]; an action without a row does not compile.

use neofn_identity::Principal;
use neofn_types::{Code, Error, ProjectName};

/// Who may take an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody.
    Open,
    /// Anybody if the function is public, else as [`Rule::Member`].
    PublicOrMember,
    /// Keys that reach the project.
    Member,
    /// Any key.
    AnyKey,
    /// Operator keys.
    Operator,
    /// Operator keys, and callers on this machine.
    OperatorOrLoopback,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $rule:ident;)*) => {
        /// What a caller can ask for: one per use case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }
        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];
            /// Who may take it.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $(Action::$name => Rule::$rule,)* }
            }
        }
    };
}

actions! {
    /// Make or replace a function.
    Deploy: Member;
    /// Change a function.
    Patch: Member;
    /// Remove a function.
    Delete: Member;
    /// See a function.
    ReadFunction: Member;
    /// See the functions of a project.
    ListFunctions: Member;
    /// See the versions of a function.
    ListVersions: Member;
    /// Make an older version live.
    Rollback: Member;
    /// Run a function, or queue a run.
    Invoke: PublicOrMember;
    /// Call a function's own HTTP endpoint.
    Endpoint: PublicOrMember;
    /// Run a function without keeping anything.
    Estimate: Member;
    /// See the logs of a function.
    ReadLogs: Member;
    /// See the invocations of a function.
    ListInvocations: Member;
    /// See an invocation.
    ReadInvocation: Member;
    /// Run an ended invocation again without keeping anything.
    Replay: Member;
    /// Send CloudEvents to the triggers of a project.
    Publish: Member;
    /// See events that reached triggers.
    ListEvents: Member;
    /// See triggers.
    ListTriggers: Member;
    /// Try a trigger on what happened.
    TestTrigger: Member;
    /// Pause or resume a trigger.
    SwitchTrigger: Member;
    /// See what failed for good.
    ListDeadLetters: Member;
    /// Try again what failed for good, or drop it.
    RedoDeadLetters: Member;
    /// Look at the chain.
    ReadChain: AnyKey;
    /// See the transactions that a project sent.
    ReadTransactions: Member;
    /// Send transactions with the node's own accounts: call contracts, deploy and update them.
    SendTransactions: Operator;
    /// See and change the accounts that sign, and what they may sign.
    ManageSigner: Operator;
    /// See the nodes of the cluster.
    ListServices: Operator;
    /// See counters of the node.
    Metrics: OperatorOrLoopback;
    /// See whether the node is alive and ready.
    Health: Open;
    /// Read the documentation.
    Docs: Open;
}

/// What a request is about, as far as the table needs it.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The node as a whole.
    Node {
        /// Whether the caller is on this machine.
        loopback: bool,
    },
    /// Something in a project.
    Project {
        /// Which.
        project: &'a ProjectName,
        /// What an outsider is told: that it does not exist.
        hidden_as: Code,
        /// Whether it is a function that anybody may invoke.
        public: bool,
    },
}

/// Decides. Without valid credentials: 401. With them but out of reach: as if it did not exist.
pub fn authorise(who: &Principal, action: Action, target: Target<'_>) -> Result<(), Error> {
    let member = match target {
        Target::Node { .. } => who.is_operator(),
        Target::Project { project, .. } => who.reaches(project),
    };
    let allowed = match (action.rule(), target) {
        (Rule::Open, _) => true,
        (Rule::PublicOrMember, Target::Project { public, .. }) => public || member,
        (Rule::AnyKey, Target::Node { .. }) => *who != Principal::Anonymous,
        (Rule::OperatorOrLoopback, Target::Node { loopback }) => loopback || member,
        (Rule::Operator, Target::Node { .. }) => member,
        (Rule::Member, Target::Project { .. }) => member,
        // a project's rule asked of the node, or the reverse: nobody's right
        (Rule::PublicOrMember | Rule::Member, Target::Node { .. })
        | (Rule::OperatorOrLoopback | Rule::Operator | Rule::AnyKey, Target::Project { .. }) => false,
    };
    match (allowed, who, target) {
        (true, ..) => Ok(()),
        (false, Principal::Anonymous, _) => Err(Code::Unauthenticated.into()),
        (false, Principal::Key { .. }, Target::Node { .. }) => Err(Code::Forbidden.into()),
        (false, Principal::Key { .. }, Target::Project { hidden_as, .. }) => Err(hidden_as.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_identity::{KeyId, Scope};

    fn key(scope: Scope) -> Principal {
        Principal::Key {
            id: KeyId([0; 8]),
            scope,
        }
    }

    /// Every action, every kind of caller: what is answered. A new action must be added here.
    #[test]
    fn every_action_against_every_caller() {
        let own: ProjectName = "own".parse().unwrap();
        let other: ProjectName = "other".parse().unwrap();
        let callers = [
            Principal::Anonymous,
            key(Scope::Project(other)),
            key(Scope::Project(own.clone())),
            key(Scope::Operator),
        ];
        let ask = |action: Action, public: bool| -> Vec<u16> {
            let target = match action {
                Action::Metrics
                | Action::Health
                | Action::Docs
                | Action::ReadChain
                | Action::SendTransactions
                | Action::ListServices
                | Action::ManageSigner => Target::Node { loopback: public },
                _ => Target::Project {
                    project: &own,
                    hidden_as: Code::FunctionNotFound,
                    public,
                },
            };
            callers
                .iter()
                .map(|who| {
                    authorise(who, action, target)
                        .err()
                        .map_or(200, |e| e.code.info().status)
                })
                .collect()
        };
        for action in Action::ALL {
            let (private, open) = match action {
                Action::Deploy
                | Action::Patch
                | Action::Delete
                | Action::ReadFunction
                | Action::ListFunctions
                | Action::ListVersions
                | Action::Rollback
                | Action::Estimate
                | Action::ReadLogs
                | Action::ListInvocations
                | Action::ReadInvocation
                | Action::Replay
                | Action::Publish
                | Action::ListEvents
                | Action::ListTriggers
                | Action::TestTrigger
                | Action::SwitchTrigger
                | Action::ListDeadLetters
                | Action::RedoDeadLetters
                | Action::ReadTransactions => ([401, 404, 200, 200], [401, 404, 200, 200]),
                Action::Invoke | Action::Endpoint => ([401, 404, 200, 200], [200; 4]),
                Action::ReadChain => ([401, 200, 200, 200], [401, 200, 200, 200]),
                // being on this machine is not enough
                Action::SendTransactions | Action::ManageSigner | Action::ListServices => {
                    ([401, 403, 403, 200], [401, 403, 403, 200])
                }
                Action::Metrics => ([401, 403, 403, 200], [200; 4]),
                Action::Health | Action::Docs => ([200; 4], [200; 4]),
            };
            assert_eq!(ask(*action, false), private, "{action:?}");
            assert_eq!(ask(*action, true), open, "{action:?} of something public");
        }
    }
}
