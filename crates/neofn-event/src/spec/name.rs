//! Names of triggers, and the key under which an event has its effect once.

use neofn_types::{Digest, FunctionKey, FunctionName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A trigger's name within its function; the rule is that of function names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TriggerName(Arc<str>);

/// Text that is no name of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a trigger's name has lower case letters, digits, '-' and '_' inside, and at most 64 of them")]
pub struct TriggerNameError;

impl TriggerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl FromStr for TriggerName {
    type Err = TriggerNameError;
    fn from_str(text: &str) -> Result<Self, TriggerNameError> {
        text.parse::<FunctionName>()
            .map(|_| Self(Arc::from(text)))
            .map_err(|_| TriggerNameError)
    }
}
impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
impl Serialize for TriggerName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for TriggerName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A trigger among all: `project/function/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TriggerId {
    /// The function that it runs.
    pub function: FunctionKey,
    /// Its name within the function.
    pub name: TriggerName,
}

impl TriggerId {
    /// Joins a function and a name.
    #[must_use]
    pub fn new(function: FunctionKey, name: TriggerName) -> Self {
        Self { function, name }
    }
    /// The effect key: an event that reaches a trigger twice is one invocation.
    #[must_use]
    pub fn effect_key(&self, event_id: &str) -> Digest {
        Digest::of_parts(&[
            b"neofn/effect/v1",
            self.to_string().as_bytes(),
            event_id.as_bytes(),
        ])
    }
}
impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.function, self.name)
    }
}

/// Text that is no `project/function/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a trigger: write project/function/name")]
pub struct ParseTriggerIdError(String);

impl FromStr for TriggerId {
    type Err = ParseTriggerIdError;
    fn from_str(text: &str) -> Result<Self, ParseTriggerIdError> {
        let fail = || ParseTriggerIdError(text.chars().take(200).collect());
        let mut parts = text.split('/');
        let (Some(project), Some(function), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(fail());
        };
        Ok(Self {
            function: FunctionKey::new(
                project.parse().map_err(|_| fail())?,
                function.parse().map_err(|_| fail())?,
            ),
            name: name.parse().map_err(|_| fail())?,
        })
    }
}
