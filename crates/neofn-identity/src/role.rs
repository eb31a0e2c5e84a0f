//! Roles of people, and powers: the groups of actions that roles and keys are made of.
//!
//! Which role has which power is not said here: that is `policies/roles.cedar`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! words {
    ($(#[$doc:meta])* $ty:ident, $error:ident, $what:literal: $($(#[$vdoc:meta])* $name:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $ty { $($(#[$vdoc])* #[serde(rename = $word)] $name,)* }
        impl $ty {
            /// All of them.
            pub const ALL: &'static [$ty] = &[$($ty::$name,)*];
            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($ty::$name => $word,)* }
            }
        }
        /// A word that is none of them.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{0:?} is no {what}; there are {all}", what = $what, all = list($ty::ALL.iter().map(|w| w.as_str())))]
        pub struct $error(pub String);
        impl FromStr for $ty {
            type Err = $error;
            fn from_str(s: &str) -> Result<Self, $error> {
                match s { $($word => Ok($ty::$name),)* other => Err($error(other.chars().take(40).collect())) }
            }
        }
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

fn list(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

words! {
    /// What a person is in a project, or for one function of it.
    Role, RoleParseError, "role":
    /// Sees, changes nothing.
    Viewer = "viewer",
    /// Runs and keeps running what others made.
    Operator = "operator",
    /// Makes functions.
    Developer = "developer",
    /// Manages people, keys and money.
    Admin = "admin",
    /// Everything, other owners too.
    Owner = "owner",
}

words! {
    /// A group of actions. A key carries some of them; a role is some of them.
    Power, PowerParseError, "scope":
    /// See functions, versions, invocations, logs, triggers.
    Read = "read",
    /// Run functions and send events.
    Invoke = "invoke",
    /// Switch, roll back, retry, replay.
    Operate = "operate",
    /// Make, change and remove functions.
    Deploy = "deploy",
    /// Set and destroy secrets; their values are never shown to anybody.
    Secrets = "secrets",
    /// Withdraw, set limits of spending.
    Money = "money",
    /// Members, keys.
    Manage = "manage",
    /// What only owners do: other owners, the end of a project.
    Own = "own",
}

/// A set of powers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Powers(u16);

impl Powers {
    /// What a key without named scopes carries: the daily work on functions.
    pub const DAILY: Self = Self::of(&[Power::Read, Power::Invoke, Power::Operate, Power::Deploy]);
    /// All of them.
    pub const ALL: Self = Self::of(Power::ALL);

    /// These.
    #[must_use]
    pub const fn of(powers: &[Power]) -> Self {
        let mut bits = 0;
        let mut rest = powers;
        while let [power, tail @ ..] = rest {
            bits |= 1 << (*power as u16);
            rest = tail;
        }
        Self(bits)
    }
    /// Whether it is in here.
    #[must_use]
    pub const fn has(self, power: Power) -> bool {
        self.0 & (1 << (power as u16)) != 0
    }
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Each.
    pub fn iter(self) -> impl Iterator<Item = Power> {
        Power::ALL.iter().copied().filter(move |p| self.has(*p))
    }
}
impl FromIterator<Power> for Powers {
    fn from_iter<I: IntoIterator<Item = Power>>(powers: I) -> Self {
        powers
            .into_iter()
            .fold(Self::default(), |all, p| Self(all.0 | Self::of(&[p]).0))
    }
}
impl fmt::Display for Powers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Power::as_str).collect();
        f.write_str(&words.join(" "))
    }
}
impl fmt::Debug for Powers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}
impl FromStr for Powers {
    type Err = PowerParseError;
    fn from_str(s: &str) -> Result<Self, PowerParseError> {
        s.split_ascii_whitespace().map(str::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sets_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert_eq!(Powers::ALL.iter().count(), Power::ALL.len());
        for powers in [Powers::default(), Powers::DAILY, Powers::ALL] {
            assert_eq!(powers.to_string().parse(), Ok(powers));
        }
        assert!(Powers::DAILY.has(Power::Deploy) && !Powers::DAILY.has(Power::Manage));
        assert_eq!(
            "boss".parse::<Role>().unwrap_err().to_string(),
            "\"boss\" is no role; there are viewer, operator, developer, admin, owner"
        );
    }
}
