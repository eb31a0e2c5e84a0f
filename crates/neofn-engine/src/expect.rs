//! Compares a smoke test's result with what is expected: members that are given must be equal, others are free.

use serde_json::Value;

/// Where and how `result` differs; `None` when it fits.
pub(crate) fn mismatch(expect: &Value, result: &Value) -> Option<String> {
    differ(&mut String::from("result"), expect, result)
}

fn differ(path: &mut String, expect: &Value, result: &Value) -> Option<String> {
    let depth = path.len();
    match (expect, result) {
        (Value::Object(expect), Value::Object(result)) => expect.iter().find_map(|(name, value)| {
            path.truncate(depth);
            path.push('.');
            path.push_str(name);
            match result.get(name) {
                Some(found) => differ(path, value, found),
                None => Some(format!("{path} is missing, expected {}", short(value))),
            }
        }),
        (Value::Array(expect), Value::Array(result)) if expect.len() == result.len() => expect
            .iter()
            .zip(result)
            .enumerate()
            .find_map(|(i, (value, found))| {
                path.truncate(depth);
                path.push_str(&format!("[{i}]"));
                differ(path, value, found)
            }),
        // JSON has one kind of number: 1 and 1.0 are the same
        (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => None,
        _ if expect == result => None,
        _ => Some(format!("{path} is {}, expected {}", short(result), short(expect))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn given_members_must_be_equal_and_others_are_free() {
        let result = json!({"ok": true, "n": 1, "deep": {"a": [1, {"b": 2, "c": 3}], "x": null}});
        for fits in [
            json!({}),
            json!({"ok": true}),
            json!({"n": 1.0}),
            json!({"deep": {"a": [1, {"b": 2}]}}),
            result.clone(),
        ] {
            assert_eq!(mismatch(&fits, &result), None, "{fits}");
        }
        for (differs, message) in [
            (json!({"ok": false}), "result.ok is true, expected false"),
            (json!({"no": 1}), "result.no is missing, expected 1"),
            (
                json!({"deep": {"a": [1, {"b": 3}]}}),
                "result.deep.a[1].b is 2, expected 3",
            ),
            (
                json!({"deep": {"a": [1]}}),
                r#"result.deep.a is [1,{"b":2,"c":3}], expected [1]"#,
            ),
        ] {
            assert_eq!(mismatch(&differs, &result).as_deref(), Some(message));
        }
        assert_eq!(
            mismatch(&json!([]), &json!(null)).as_deref(),
            Some("result is null, expected []")
        );
    }
}
