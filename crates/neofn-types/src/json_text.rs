//! JSON that is carried as text: as long as what was sent. A tree of it takes up to eighty times as much, so that one is
//! made where it is looked into, and not kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// A value as its text. Two are equal when their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// As it was written.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }
    /// The value as a tree. Half of a surrogate pair is JSON that has none.
    pub fn tree(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        // what a tree writes is JSON
        Self(RawValue::from_string(value.to_string()).unwrap_or_default())
    }
}
impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}
impl Eq for JsonText {}
impl Default for JsonText {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}
impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_kept_as_it_came_and_a_tree_is_made_of_it() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Holder {
            event: JsonText,
            expect: Option<JsonText>,
        }
        let text = r#"{"event":{ "b":100, "a":[] },"expect":null}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(holder.event.get(), r#"{ "b":100, "a":[] }"#);
        assert_eq!(holder.expect, None);
        assert_eq!(serde_json::to_string(&holder).unwrap(), text);
        let tree = serde_json::to_value(&holder).unwrap();
        assert_eq!(tree, json!({"event": {"b": 100, "a": []}, "expect": null}));
        let of_tree: Holder = serde_json::from_value(tree.clone()).unwrap();
        assert_eq!(of_tree.event.tree().unwrap(), tree["event"]);
        assert_eq!(JsonText::from(&tree["event"]), of_tree.event);
        assert!(serde_json::from_str::<Holder>("{}").is_err());
        assert_eq!(JsonText::default().tree().unwrap(), Value::Null);
        let half: JsonText = serde_json::from_str(r#"["\ud800"]"#).unwrap();
        assert!(half.tree().is_err());
    }
}
