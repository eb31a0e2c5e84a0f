//! Literals that mean more than they look like: addresses, hashes, keys, amounts. Resolved when a filter is checked.

use super::decimal::Decimal;
use super::function::Function;
use super::value::{Type, Value, parse_hash256};
use base64::Engine as _;
use neofn_types::ScriptHash;

/// Digits behind the point of an amount of GAS.
const GAS_DECIMALS: u32 = 8;

/// An address, a script hash or a native contract's name.
pub(crate) fn script_hash(text: &str) -> Option<ScriptHash> {
    text.parse().ok().or_else(|| crate::native::contract(text))
}

/// What `text` is for a value of type `ty`; the error says what is expected.
pub(crate) fn text_as(text: &str, ty: Type) -> Result<Value, &'static str> {
    match ty {
        Type::Hash160 => script_hash(text)
            .map(|hash| Value::Bytes(hash.0.to_vec()))
            .ok_or("an address, a script hash (0x and 40 digits) or the name of a native contract"),
        Type::Hash256 => parse_hash256(text)
            .map(|hash| Value::Bytes(hash.to_vec()))
            .ok_or("a hash: 0x and 64 digits"),
        Type::PublicKey => hex::decode(text)
            .ok()
            .filter(|key| key.len() == 33)
            .map(Value::Bytes)
            .ok_or("a compressed public key: 66 hexadecimal digits"),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

/// The value of a function of a literal; the error says what is expected.
pub(crate) fn constant(function: Function, argument: &Value) -> Result<(Value, Type), &'static str> {
    match (function, argument) {
        (Function::Hex, Value::Text(text)) => hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .map(|bytes| (Value::Bytes(bytes), Type::Bytes))
            .map_err(|_| "pairs of hexadecimal digits, like hex('0102')"),
        (Function::Base64, Value::Text(text)) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(|bytes| (Value::Bytes(bytes), Type::Bytes))
            .map_err(|_| "base64, like base64('AQI=')"),
        (Function::Address, Value::Text(text)) => {
            text_as(text, Type::Hash160).map(|value| (value, Type::Hash160))
        }
        (Function::Gas, Value::Text(text)) => gas(text.parse().ok()),
        (Function::Gas, Value::Int(n)) => gas(Some(Decimal::from_integer(n.clone()))),
        (Function::Gas, Value::Decimal(n)) => gas(Some(n.clone())),
        _ => Err("a literal in quotation marks"),
    }
}

fn gas(amount: Option<Decimal>) -> Result<(Value, Type), &'static str> {
    amount
        .and_then(|amount| amount.shifted(GAS_DECIMALS))
        .map(|datoshi| (Value::int(datoshi), Type::Int))
        .ok_or("an amount with at most eight digits behind the point, like gas('1.5')")
}
