//! What the names of an expression may mean, and where their types come from.

use super::value::Type;
use crate::spec::TriggerKind;
use neofn_types::ScriptHash;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Type of a parameter, as contract manifests name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// Anything.
    Any,
    /// A boolean.
    Boolean,
    /// An integer of up to 256 bits.
    Integer,
    /// Bytes.
    ByteArray,
    /// UTF-8 text.
    String,
    /// A script hash.
    Hash160,
    /// A transaction or block hash.
    Hash256,
    /// A compressed public key.
    PublicKey,
    /// A signature.
    Signature,
    /// A list.
    Array,
    /// A map.
    Map,
    /// An iterator or another thing that has no value outside the machine.
    InteropInterface,
    /// Nothing.
    Void,
}

impl ParameterType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Any,
        Self::Boolean,
        Self::Integer,
        Self::ByteArray,
        Self::String,
        Self::Hash160,
        Self::Hash256,
        Self::PublicKey,
        Self::Signature,
        Self::Array,
        Self::Map,
        Self::InteropInterface,
        Self::Void,
    ];
    /// As contract manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "Any",
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::ByteArray => "ByteArray",
            Self::String => "String",
            Self::Hash160 => "Hash160",
            Self::Hash256 => "Hash256",
            Self::PublicKey => "PublicKey",
            Self::Signature => "Signature",
            Self::Array => "Array",
            Self::Map => "Map",
            Self::InteropInterface => "InteropInterface",
            Self::Void => "Void",
        }
    }
    /// What expressions see.
    #[must_use]
    pub fn value_type(self) -> Type {
        match self {
            Self::Any | Self::InteropInterface | Self::Void => Type::Any,
            Self::Boolean => Type::Bool,
            Self::Integer => Type::Int,
            Self::ByteArray | Self::Signature => Type::Bytes,
            Self::String => Type::Text,
            Self::Hash160 => Type::Hash160,
            Self::Hash256 => Type::Hash256,
            Self::PublicKey => Type::PublicKey,
            Self::Array => Type::Array,
            Self::Map => Type::Map,
        }
    }
}
impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A type that contract manifests do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a type of contract parameters")]
pub struct ParseParameterTypeError(String);

impl FromStr for ParameterType {
    type Err = ParseParameterTypeError;
    fn from_str(s: &str) -> Result<Self, ParseParameterTypeError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str() == s)
            .ok_or_else(|| ParseParameterTypeError(s.chars().take(40).collect()))
    }
}
impl Serialize for ParameterType {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for ParameterType {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// A parameter of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ParameterType,
}

/// What is known of a notification's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameters {
    /// Nobody has looked yet: every name may be one. For checks without a chain.
    Unchecked,
    /// The contract's manifest does not say: by position only.
    Unknown,
    /// Their names and types.
    Known(Vec<Parameter>),
}

/// What an expression is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Decides which fields exist.
    pub kind: TriggerKind,
    /// The parameters, for notifications.
    pub parameters: Parameters,
}

/// What a contract's manifest says of one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The event's parameters.
    Parameters(Vec<Parameter>),
    /// The contract has no such event; it has these.
    NoSuchEvent(Vec<String>),
    /// There is no such contract on the chain.
    NoContract,
    /// Nobody asked the chain.
    NotAsked,
}

/// Gives the checker the parameters of contracts' events; a deployment looks them up on chain beforehand.
pub trait Abi {
    /// The parameters of `event` of `contract`.
    fn event(&self, contract: ScriptHash, event: &str) -> Lookup;
}
