//! What an expression computes with: values when it runs, types when it is checked.

use super::decimal::Decimal;
use neofn_types::{Hash256, ScriptHash};
use num_bigint::BigInt;
use std::cmp::Ordering;
use std::fmt;

/// Bits of the largest integer, sign included: that of the NeoVM.
pub(crate) const INTEGER_BITS_MAX: u64 = 256;
/// Bytes that can be read as an integer, as in the NeoVM.
const INTEGER_BYTES_MAX: usize = 32;
/// How much of a value a message shows.
const SHOWN_CHARS_MAX: usize = 80;
/// How many items of a list a message shows.
const SHOWN_ITEMS_MAX: usize = 4;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: what is absent, and the null of chain and JSON.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of up to 256 bits.
    Int(BigInt),
    /// A fraction; only JSON has them.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// Bytes as the chain keeps them; a script hash is 20 of them, little-endian.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// Members by key, in order.
    Map(Vec<(Value, Value)>),
}

/// What is known of a value before it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Nothing is known.
    Any,
    /// Null.
    Null,
    /// Bool.
    Bool,
    /// Int.
    Int,
    /// Decimal.
    Decimal,
    /// Text.
    Text,
    /// Bytes of unknown meaning.
    Bytes,
    /// An account or a contract: 20 bytes.
    Hash160,
    /// A transaction or a block: 32 bytes.
    Hash256,
    /// A compressed public key: 33 bytes.
    PublicKey,
    /// Array.
    Array,
    /// Map.
    Map,
}

impl Type {
    /// In words, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "a value of unknown type",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Decimal => "a decimal number",
            Self::Text => "a string",
            Self::Bytes => "bytes",
            Self::Hash160 => "an address (Hash160)",
            Self::Hash256 => "a hash (Hash256)",
            Self::PublicKey => "a public key",
            Self::Array => "an array",
            Self::Map => "a map",
        }
    }
    /// Whether values of this type are bytes underneath.
    #[must_use]
    pub fn is_bytes(self) -> bool {
        matches!(
            self,
            Self::Bytes | Self::Hash160 | Self::Hash256 | Self::PublicKey
        )
    }
    /// Whether values of this type are numbers.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Decimal)
    }
}

impl Value {
    /// The type as far as the value shows it.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Decimal(_) => Type::Decimal,
            Self::Text(_) => Type::Text,
            Self::Bytes(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Map(_) => Type::Map,
        }
    }

    /// An integer, or null when it is larger than any of the chain.
    #[must_use]
    pub fn int(n: impl Into<BigInt>) -> Self {
        let n = n.into();
        if n.bits() < INTEGER_BITS_MAX || n == -(BigInt::from(1u8) << (INTEGER_BITS_MAX - 1)) {
            Self::Int(n)
        } else {
            Self::Null
        }
    }

    /// A JSON value. A number that is larger than any of the chain becomes null.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => match n.to_string().parse::<Decimal>() {
                Ok(number) => match number.to_integer() {
                    Some(n) => Self::int(n.clone()),
                    None => Self::Decimal(number),
                },
                Err(_) => Self::Null,
            },
            serde_json::Value::String(s) => Self::Text(s.clone()),
            serde_json::Value::Array(items) => Self::Array(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(members) => Self::Map(
                members
                    .iter()
                    .map(|(k, v)| (Self::Text(k.clone()), Self::from_json(v)))
                    .collect(),
            ),
        }
    }

    /// Bytes as the NeoVM reads them as an integer: little-endian, two's complement.
    #[must_use]
    pub fn bytes_to_int(bytes: &[u8]) -> Option<BigInt> {
        (bytes.len() <= INTEGER_BYTES_MAX).then(|| BigInt::from_signed_bytes_le(bytes))
    }

    /// The number, when this is one or bytes that the NeoVM would take for one.
    pub(crate) fn as_number(&self) -> Option<Decimal> {
        match self {
            Self::Int(n) => Some(Decimal::from_integer(n.clone())),
            Self::Decimal(d) => Some(d.clone()),
            Self::Bytes(bytes) => Self::bytes_to_int(bytes).map(Decimal::from_integer),
            _ => None,
        }
    }

    /// Equality as the language means it: a string equals bytes that spell it, or the hash that it writes in any
    /// notation; an integer equals bytes that the NeoVM reads as it.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(text), Self::Bytes(bytes)) | (Self::Bytes(bytes), Self::Text(text)) => {
                text.as_bytes() == bytes.as_slice() || writes_hash(text, bytes)
            }
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Int(_) | Self::Decimal(_), Self::Int(_) | Self::Decimal(_) | Self::Bytes(_))
            | (Self::Bytes(_), Self::Int(_) | Self::Decimal(_)) => {
                match (self.as_number(), other.as_number()) {
                    (Some(a), Some(b)) => a == b,
                    _ => false,
                }
            }
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            _ => self == other,
        }
    }

    /// Order of numbers and of strings; `None` for everything else.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => Some(self.as_number()?.cmp(&other.as_number()?)),
        }
    }

    /// What reading the value costs, in steps; what its items hold is not read.
    pub(crate) fn weight(&self) -> u64 {
        self.size().saturating_add(1)
    }

    /// Items, or 64 bytes each.
    pub(crate) fn size(&self) -> u64 {
        const BYTES_PER_STEP: usize = 64;
        let length = match self {
            Self::Text(s) => s.len() / BYTES_PER_STEP,
            Self::Bytes(b) => b.len() / BYTES_PER_STEP,
            Self::Array(items) => items.len(),
            Self::Map(members) => members.len(),
            _ => 0,
        };
        u64::try_from(length).unwrap_or(u64::MAX)
    }
}

/// Whether `text` writes the hash that `bytes` are, as address or as `0x…`.
fn writes_hash(text: &str, bytes: &[u8]) -> bool {
    match bytes.len() {
        20 => text
            .parse::<ScriptHash>()
            .is_ok_and(|hash| hash.0.as_slice() == bytes),
        32 => parse_hash256(text).is_some_and(|hash| hash.as_slice() == bytes),
        _ => false,
    }
}

/// `0x` and 64 digits as the chain displays them, to bytes as it keeps them.
pub(crate) fn parse_hash256(text: &str) -> Option<[u8; 32]> {
    text.parse::<Hash256>().ok().map(|hash| hash.0)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl fmt::Display for Value {
    /// For messages: short, and as one would write it in a filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Decimal(n) => write!(f, "{n}"),
            Self::Text(s) => write!(f, "{:?}", shorten(s)),
            Self::Bytes(bytes) => match <[u8; 20]>::try_from(bytes.as_slice()) {
                Ok(hash) => write!(f, "{}", ScriptHash(hash)),
                Err(_) => match std::str::from_utf8(bytes) {
                    Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => {
                        write!(f, "{:?}", shorten(text))
                    }
                    _ => write!(f, "hex(\"{}\")", shorten(&hex::encode(bytes))),
                },
            },
            Self::Array(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().take(SHOWN_ITEMS_MAX).enumerate() {
                    if n > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{item}")?;
                }
                if items.len() > SHOWN_ITEMS_MAX {
                    write!(f, ", … {} items", items.len())?;
                }
                f.write_str("]")
            }
            Self::Map(members) => write!(f, "a map of {} members", members.len()),
        }
    }
}
