//! Who had something run, in one line: what a statement of charges says beside the amount. Knows no credentials and no
//! policies; whoever decides about rights has types of its own.

use crate::FunctionKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// `account:N…`, `key:ID NAME`, `cron:NAME`, `block:NAME`, `event:NAME`, `function:PROJECT/NAME`, `node` or `anonymous`.
/// Cheap to clone: it goes with every call.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "std::borrow::Cow<'_, str>", into = "String")]
pub struct Caller(Arc<str>);

impl Caller {
    /// The longest; what is beyond is cut off.
    pub const BYTES_MAX: usize = 192;

    /// From words. Control characters become spaces, so that one line stays one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text.floor_char_boundary(Self::BYTES_MAX);
        let text = text.get(..end).unwrap_or_default();
        match text.contains(char::is_control) {
            true => Self(text.replace(char::is_control, " ").into()),
            false => Self(text.into()),
        }
    }
    /// A function that called another one.
    #[must_use]
    pub fn function(key: &FunctionKey) -> Self {
        Self::new(&format!("function:{key}"))
    }
    /// The node itself, for work that nobody asked for.
    #[must_use]
    pub fn node() -> Self {
        Self::new("node")
    }
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl From<std::borrow::Cow<'_, str>> for Caller {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        Self::new(&text)
    }
}
impl From<Caller> for String {
    fn from(caller: Caller) -> Self {
        caller.as_str().to_owned()
    }
}
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_one_bounded_line() {
        assert_eq!(Caller::new("key:01 my\r\nkey\0").as_str(), "key:01 my  key ");
        let long = Caller::new(&"ä".repeat(200));
        assert_eq!(long.as_str().len(), Caller::BYTES_MAX);
        assert!(long.as_str().chars().all(|c| c == 'ä'));
        let json = serde_json::to_string(&Caller::node()).unwrap();
        assert_eq!(json, "\"node\"");
        assert_eq!(serde_json::from_str::<Caller>(&json).unwrap(), Caller::node());
    }
}
