//! A contract's methods, and values between JSON and the virtual machine by the types that its manifest names.
//!
//! Results are shown as events show parameters (`neofn_trigger::parameter_json`), and all of that is taken as an
//! argument: integers as decimal strings, accounts as addresses, bytes as `0x…`.

use crate::overlay::Refusal;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use neofn_chain::stack::StackItem;
use neofn_event::ParameterType;
use neofn_types::{Code, Hash256, parse_contract};
use num_bigint::BigInt;
use serde_json::Value;

/// Bits of the machine's largest integer, sign included.
const INTEGER_BITS_MAX: u64 = 256;
/// Longest decimal notation of one, with its sign.
const DIGITS_MAX: usize = 79;
/// How many of a contract's methods a message lists.
const LISTED_MAX: usize = 20;

/// What a contract can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Methods(Vec<Method>);

/// One method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method {
    name: String,
    parameters: Vec<(String, ParameterType)>,
    pub(crate) returns: ParameterType,
}

fn type_of(value: Option<&Value>) -> ParameterType {
    let name = value.and_then(Value::as_str);
    name.and_then(|n| n.parse().ok()).unwrap_or(ParameterType::Any)
}

impl Method {
    fn of(json: &Value) -> Option<Self> {
        let parameters = json.get("parameters").and_then(Value::as_array);
        Some(Self {
            name: json.get("name")?.as_str()?.to_owned(),
            parameters: parameters
                .into_iter()
                .flatten()
                .map(|p| {
                    let name = p.get("name").and_then(Value::as_str).unwrap_or_default();
                    (name.to_owned(), type_of(p.get("type")))
                })
                .collect(),
            returns: type_of(json.get("returntype")),
        })
    }
    fn shown(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, ty)| format!("{name}: {}", ty.as_str()))
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }
    /// The arguments as the machine takes them.
    pub(crate) fn arguments(&self, given: &[Value]) -> Result<Vec<StackItem>, Refusal> {
        let pairs = self.parameters.iter().zip(given);
        pairs
            .map(|((name, ty), value)| {
                item(*ty, value).map_err(|why| {
                    let what = format!("{}: argument `{name}` ({}): {why}", self.name, ty.as_str());
                    (Code::ContractMethod, what)
                })
            })
            .collect()
    }
}

impl Methods {
    /// From a manifest as nodes give it.
    pub(crate) fn of(manifest: &Value) -> Self {
        let methods = manifest.pointer("/abi/methods").and_then(Value::as_array);
        Self(methods.into_iter().flatten().filter_map(Method::of).collect())
    }
    /// The method with this name that takes so many arguments.
    pub(crate) fn find(&self, name: &str, arguments: usize) -> Result<&Method, Refusal> {
        let fits = |m: &&Method| m.name == name && m.parameters.len() == arguments;
        if let Some(method) = self.0.iter().find(fits) {
            return Ok(method);
        }
        let named: Vec<String> = self
            .0
            .iter()
            .filter(|m| m.name == name)
            .map(Method::shown)
            .collect();
        let shown: String = name.chars().take(60).collect();
        let message = if named.is_empty() {
            let all = self.0.iter().filter(|m| !m.name.starts_with('_'));
            let all: Vec<&str> = all.map(|m| m.name.as_str()).take(LISTED_MAX).collect();
            format!(
                "the contract has no method {shown:?}; it has, among others, {}",
                all.join(", ")
            )
        } else {
            format!(
                "{shown:?} was given {arguments} arguments, but it is {}",
                named.join(" or ")
            )
        };
        Err((Code::ContractMethod, message))
    }
}

/// `{type, value}`: a value that carries its type.
fn typed(value: &Value) -> Option<(ParameterType, &Value)> {
    let object = value.as_object().filter(|o| o.len() == 2)?;
    let ty = match object.get("type")?.as_str()? {
        // as nodes write results
        "ByteString" | "Buffer" => ParameterType::ByteArray,
        name => name.parse().ok()?,
    };
    Some((ty, object.get("value")?))
}

fn hex_bytes(text: &str, length: Option<usize>) -> Result<Vec<u8>, String> {
    let digits = text
        .strip_prefix("0x")
        .ok_or("bytes are a Uint8Array or hexadecimal digits after 0x")?;
    let bytes = hex::decode(digits).map_err(|_| "not hexadecimal digits after 0x".to_owned())?;
    match length {
        Some(length) if bytes.len() != length => Err(format!("{length} bytes, not {}", bytes.len())),
        _ => Ok(bytes),
    }
}

fn integer(text: &str) -> Result<StackItem, String> {
    let parsed: Option<BigInt> = (text.len() <= DIGITS_MAX).then(|| text.parse().ok()).flatten();
    match parsed {
        Some(n) if n.bits() < INTEGER_BITS_MAX => Ok(StackItem::Integer(n)),
        _ => Err("a whole number of at most 256 bits".to_owned()),
    }
}

/// The machine's form of a JSON value of no particular type; the error says what it cannot be.
pub fn contract_value(value: &Value) -> Result<StackItem, String> {
    item(ParameterType::Any, value)
}

/// The machine's form of a JSON value.
pub(crate) fn item(ty: ParameterType, value: &Value) -> Result<StackItem, String> {
    if let Some((ty, inner)) = typed(value) {
        return match (ty, inner) {
            // bytes of any length and meaning, as the sandbox writes a Uint8Array
            (ParameterType::ByteArray, Value::String(text)) if !text.starts_with("0x") => BASE64
                .decode(text)
                .map(StackItem::ByteString)
                .map_err(|_| "not base64".to_owned()),
            (ParameterType::Map, Value::Array(pairs)) => {
                let pair = |p: &Value| {
                    let member = |name| {
                        let member = p.get(name).ok_or("a pair without key or value".to_owned())?;
                        item(ParameterType::Any, member)
                    };
                    Ok((member("key")?, member("value")?))
                };
                let pairs: Result<Vec<_>, String> = pairs.iter().map(pair).collect();
                Ok(StackItem::Map(pairs?))
            }
            (ty, inner) => plain_item(ty, inner),
        };
    }
    plain_item(ty, value)
}

fn plain_item(ty: ParameterType, value: &Value) -> Result<StackItem, String> {
    use ParameterType as P;
    let found = match value {
        Value::Null => return Ok(StackItem::Null),
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    match (ty, value) {
        (P::Any | P::Boolean, Value::Bool(b)) => Ok(StackItem::Boolean(*b)),
        (P::Any | P::Integer, Value::Number(n)) => integer(&n.to_string()),
        (P::Integer, Value::String(text)) => integer(text),
        (P::Any | P::String, Value::String(text)) => Ok(text.as_str().into()),
        (P::ByteArray, Value::String(text)) => hex_bytes(text, None).map(StackItem::ByteString),
        (P::Signature, Value::String(text)) => hex_bytes(text, Some(64)).map(StackItem::ByteString),
        (P::PublicKey, Value::String(text)) => {
            let text = format!("0x{}", text.strip_prefix("0x").unwrap_or(text));
            hex_bytes(&text, Some(33)).map(StackItem::ByteString)
        }
        (P::Hash160, Value::String(text)) => parse_contract(text)
            .map(StackItem::from)
            .map_err(|_| "neither an address nor a script hash".to_owned()),
        (P::Hash256, Value::String(text)) => text
            .parse()
            .map(|hash: Hash256| StackItem::ByteString(hash.0.to_vec()))
            .map_err(|_| "not a hash: 0x and 64 digits".to_owned()),
        (P::Any | P::Array, Value::Array(items)) => {
            let items: Result<_, _> = items.iter().map(|v| item(P::Any, v)).collect();
            Ok(StackItem::Array(items?))
        }
        (P::Any | P::Map, Value::Object(members)) => {
            let pairs: Result<_, String> = members
                .iter()
                .map(|(key, v)| Ok((key.as_str().into(), item(P::Any, v)?)))
                .collect();
            Ok(StackItem::Map(pairs?))
        }
        (P::InteropInterface | P::Void, _) => Err("cannot be given from outside the chain".to_owned()),
        (ty, _) => Err(format!("{found} cannot be {}", ty.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_trigger::parameter_json;
    use serde_json::json;

    fn methods() -> Methods {
        Methods::of(&json!({"abi": {"methods": [
            {"name": "transfer", "parameters": [
                {"name": "from", "type": "Hash160"}, {"name": "to", "type": "Hash160"},
                {"name": "amount", "type": "Integer"}, {"name": "data", "type": "Any"}], "returntype": "Boolean"},
            {"name": "_deploy", "parameters": [], "returntype": "Void"},
            {"name": "symbol", "parameters": [], "returntype": "String"}]}}))
    }

    #[test]
    fn arguments_become_what_the_manifest_says() {
        let found = methods();
        let transfer = found.find("transfer", 4).unwrap();
        let big = "57896044618658097711785492504343953926634992332820282019728792003956564819967";
        let items = transfer
            .arguments(&[
                json!("NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd"),
                json!("0x6ad777fb3bfedf20f654cccc728598253273e050"),
                json!(big),
                json!(["text", 5, true, null, {"type": "ByteArray", "value": "AQI="}, {"k": {"type": "Hash160", "value": "GAS"}}]),
            ])
            .unwrap();
        assert_eq!(items[0], items[1]);
        assert_eq!(items[2].to_integer().unwrap().to_string(), big);
        let data = items[3].as_items().unwrap();
        assert_eq!(
            data[..4],
            ["text".into(), 5.into(), StackItem::Boolean(true), StackItem::Null]
        );
        assert_eq!(data[4], StackItem::ByteString(vec![1, 2]));
        assert_eq!(
            parameter_json(&data[5], ParameterType::Any)["k"]
                .as_str()
                .unwrap()
                .len(),
            42
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        let found = methods();
        let transfer = found.find("transfer", 4).unwrap();
        let good = [json!("GAS"), json!("NEO"), json!(1), json!(null)];
        let digits = "9".repeat(100_000);
        for (at, bad, says) in [
            (
                0,
                json!("nobody"),
                "`from` (Hash160): neither an address nor a script hash",
            ),
            (1, json!(7), "`to` (Hash160): a number cannot be Hash160"),
            (2, json!(1.5), "`amount` (Integer): a whole number"),
            (2, json!(digits), "`amount` (Integer): a whole number"),
            (2, json!(true), "`amount` (Integer): a boolean cannot be Integer"),
            (
                3,
                json!({"type": "ByteArray", "value": "0xzz"}),
                "`data` (Any): not hexadecimal",
            ),
        ] {
            let mut given = good.clone();
            given[at] = bad;
            let (code, message) = transfer.arguments(&given).unwrap_err();
            assert!(message.contains(says), "{message}");
            assert_eq!(code, Code::ContractMethod);
        }
        for (name, count, says) in [
            (
                "transfer",
                3,
                "given 3 arguments, but it is transfer(from: Hash160, to: Hash160, amount: Integer, data: Any)",
            ),
            (
                "transfre",
                4,
                "no method \"transfre\"; it has, among others, transfer, symbol",
            ),
        ] {
            let message = found.find(name, count).unwrap_err().1;
            assert!(message.contains(says), "{message}");
        }
    }
}
