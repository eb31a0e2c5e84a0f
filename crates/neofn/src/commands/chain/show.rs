//! Blocks, transactions, scripts and stack items in words. Decides no colours and writes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_types::{Datoshi, ScriptHash};
use serde_json::Value;

/// Most characters of a value in a line.
const VALUE_CHARS_MAX: usize = 120;

/// A member; null when it is not there.
pub fn at<'v>(value: &'v Value, member: &str) -> &'v Value {
    value.get(member).unwrap_or(&Value::Null)
}

/// A member as text; `-` when it is not there.
pub fn text(value: &Value, member: &str) -> String {
    match value.get(member) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A member that is an array.
pub fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value
        .get(member)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Datoshi as GAS.
pub fn gas(value: &Value) -> String {
    let datoshi = value.as_str().and_then(|t| t.parse().ok());
    datoshi.map_or_else(|| "-".to_owned(), |n| Datoshi(n).to_string())
}

/// The sum of the two fees of a transaction, as GAS.
fn fees(tx: &Value) -> String {
    let fee = |name: &str| tx[name].as_str().and_then(|t| t.parse().ok()).map(Datoshi);
    let sum = fee("systemFee")
        .zip(fee("networkFee"))
        .and_then(|(a, b)| a.checked_add(b));
    sum.map_or_else(|| "-".to_owned(), |sum| sum.to_string())
}

fn shortened(text: String) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain("…".chars()).collect()
}

/// A stack item in a line: accounts as addresses, text as text, other bytes as digits.
pub fn stack(item: &Value) -> String {
    shortened(item_text(item))
}

fn item_text(item: &Value) -> String {
    // of a notification: its values without an array around them
    if let Value::Array(items) = item {
        let items: Vec<String> = items.iter().map(item_text).collect();
        return format!("[{}]", items.join(", "));
    }
    let value = &item["value"];
    match (item["type"].as_str().unwrap_or_default(), value) {
        ("ByteString" | "Buffer" | "ByteArray", Value::String(text)) => BASE64
            .decode(text)
            .map_or_else(|_| text.clone(), |bytes| bytes_text(&bytes)),
        ("Array" | "Struct", Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(item_text).collect();
            format!("[{}]", items.join(", "))
        }
        ("Map", Value::Array(pairs)) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|p| format!("{}: {}", item_text(&p["key"]), item_text(&p["value"])))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        ("Any", _) | (_, Value::Null) => "null".to_owned(),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    if let Ok(hash) = <[u8; 20]>::try_from(bytes) {
        return ScriptHash(hash).to_address();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => {
            let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("0x{digits}")
        }
    }
}

/// `GasToken Transfer [null, N…, 5]`
pub fn notification(n: &Value) -> String {
    let contract = n["name"].as_str().or(n["contract"].as_str()).unwrap_or("-");
    format!("  {contract} {} {}", text(n, "event"), stack(&n["state"]))
}

fn execution(e: &Value, indent: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{indent}{} {}, {} GAS to run",
        text(e, "trigger"),
        text(e, "state"),
        gas(&e["gas"])
    )];
    if let Some(why) = e["exception"].as_str() {
        lines.push(format!("{indent}  {why}"));
    }
    if !list(e, "stack").is_empty() {
        lines.push(format!("{indent}  returned {}", stack(&e["stack"])));
    }
    lines.extend(
        list(e, "notifications")
            .iter()
            .map(|n| format!("{indent}{}", notification(n))),
    );
    lines
}

/// What running a transaction did, a line each.
pub fn effects(executions: &[Value]) -> Vec<String> {
    executions.iter().flat_map(|e| execution(e, "  ")).collect()
}

fn transaction_lines(tx: &Value, indent: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{indent}{} from {}, {} GAS fees",
        text(tx, "hash"),
        text(tx, "sender"),
        fees(tx)
    )];
    let inner = format!("{indent}  ");
    lines.extend(list(tx, "executions").iter().flat_map(|e| execution(e, &inner)));
    lines
}

/// A block with its transactions.
pub fn block(block: &Value) -> String {
    let transactions = list(block, "transactions");
    let mut lines = vec![
        format!("block {}", text(block, "height")),
        format!("hash         {}", text(block, "hash")),
        format!("previous     {}", text(block, "previous")),
        format!("time         {}", text(block, "time")),
        format!("size         {} bytes", text(block, "size")),
        format!("transactions {}", transactions.len()),
    ];
    lines.extend(transactions.iter().flat_map(|tx| transaction_lines(tx, "  ")));
    let own: Vec<String> = list(block, "executions")
        .iter()
        .filter(|e| !list(e, "notifications").is_empty())
        .flat_map(|e| execution(e, "  "))
        .collect();
    if !own.is_empty() {
        lines.push("of the block itself".to_owned());
        lines.extend(own);
    }
    lines.join("\n")
}

/// A transaction with what it did.
pub fn transaction(tx: &Value) -> String {
    let included = &tx["included"];
    let place = match included.get("height") {
        Some(height) => format!("block {height}, {}", text(included, "time")),
        None => "not in a block yet".to_owned(),
    };
    let mut lines = transaction_lines(tx, "");
    lines.insert(1, format!("  {place}"));
    lines.insert(
        2,
        format!(
            "  valid until {}, {} bytes",
            text(tx, "validUntil"),
            text(tx, "size")
        ),
    );
    for signer in list(tx, "signers") {
        let account = text(signer, "account");
        let address = account
            .parse()
            .map_or(account, |hash: ScriptHash| hash.to_address());
        let scope = signer.get("scope").or(signer.get("scopes"));
        let scope = scope.map_or_else(String::new, |s| {
            s.as_str().map_or_else(|| s.to_string(), str::to_owned)
        });
        lines.insert(3, format!("  signed by {address} {scope}"));
    }
    lines.join("\n")
}

/// A script's instructions and calls.
pub fn script(decoded: &Value) -> String {
    let rows: Vec<Vec<String>> = list(decoded, "instructions")
        .iter()
        .map(|i| {
            let shown = i.get("meaning").or(i.get("operand")).and_then(Value::as_str);
            vec![
                text(i, "offset"),
                text(i, "opcode"),
                shortened(shown.unwrap_or_default().to_owned()),
            ]
        })
        .collect();
    let mut lines = vec![crate::render::table(&["OFFSET", "OPCODE", "OPERAND"], &rows)];
    lines.extend(list(decoded, "calls").iter().map(|call| {
        let contract = call["name"].as_str().or(call["contract"].as_str()).unwrap_or("-");
        format!("calls {contract}.{}", text(call, "method"))
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::stack;
    use serde_json::json;

    #[test]
    fn what_contracts_say_is_readable() {
        let address = json!({"type": "ByteString", "value": "UAxDJZhYKMzMVPYg3/47+3fXahg="});
        let text = stack(&json!({"type": "Array", "value": [
            {"type": "Any"}, address, {"type": "Integer", "value": "5"}, {"type": "ByteString", "value": "aGk="},
            {"type": "ByteString", "value": "AAE="}, {"type": "Boolean", "value": true}]}));
        assert!(text.starts_with("[null, N"), "{text}");
        assert!(text.ends_with(", 5, \"hi\", 0x0001, true]"), "{text}");
        assert_eq!(stack(&json!([{"type": "Integer", "value": "7"}])), "[7]");
        let long = stack(&json!({"type": "ByteString", "value": "A".repeat(400)}));
        assert_eq!(long.chars().count(), 121);
    }
}
