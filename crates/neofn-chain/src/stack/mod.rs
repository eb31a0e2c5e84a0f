//! Values of the virtual machine, and their JSON as nodes write it.
//!
//! Integers have any size (Neo's reach 256 bits), byte strings are bytes: whoever shows them decides what they mean.

mod json;

use num_bigint::BigInt;

/// How deep values may be nested to be read: the JSON of a level is an object and an array, and the JSON reader stops
/// at 128.
pub const DEPTH_MAX: usize = 60;

/// A value of the virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StackItem {
    /// Nothing. Nodes call it `Any`.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(BigInt),
    /// Bytes that do not change: strings and hashes too.
    ByteString(Vec<u8>),
    /// Bytes that a contract may change.
    Buffer(Vec<u8>),
    /// A list.
    Array(Vec<StackItem>),
    /// A list that is copied when it is passed on.
    Struct(Vec<StackItem>),
    /// Pairs in order.
    Map(Vec<(StackItem, StackItem)>),
    /// A place in the script.
    Pointer(u64),
    /// Something that only the node has, such as an iterator.
    Interop(Interop),
}

/// What a node says of a thing that only it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Interop {
    /// An iterator's name within the session of the answer.
    pub iterator: Option<String>,
    /// An iterator's first items, from nodes without sessions.
    pub items: Vec<StackItem>,
    /// Whether there were more items than that.
    pub truncated: bool,
}

impl StackItem {
    /// The type's name, as nodes write it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "Any",
            Self::Boolean(_) => "Boolean",
            Self::Integer(_) => "Integer",
            Self::ByteString(_) => "ByteString",
            Self::Buffer(_) => "Buffer",
            Self::Array(_) => "Array",
            Self::Struct(_) => "Struct",
            Self::Map(_) => "Map",
            Self::Pointer(_) => "Pointer",
            Self::Interop(_) => "InteropInterface",
        }
    }
    /// The bytes of a byte string or buffer.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::ByteString(bytes) | Self::Buffer(bytes) => Some(bytes),
            _ => None,
        }
    }
    /// The elements of a list.
    #[must_use]
    pub fn as_items(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) | Self::Struct(items) => Some(items),
            _ => None,
        }
    }
    /// As a number: an integer, a boolean, or bytes in the machine's own little-endian form.
    #[must_use]
    pub fn to_integer(&self) -> Option<BigInt> {
        match self {
            Self::Integer(n) => Some(n.clone()),
            Self::Boolean(b) => Some(BigInt::from(u8::from(*b))),
            Self::ByteString(b) | Self::Buffer(b) if b.len() <= 32 => Some(BigInt::from_signed_bytes_le(b)),
            _ => None,
        }
    }
    /// As text: a byte string in UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }
    /// As a script hash: twenty bytes.
    #[must_use]
    pub fn to_script_hash(&self) -> Option<neofn_types::ScriptHash> {
        Some(neofn_types::ScriptHash(self.as_bytes()?.try_into().ok()?))
    }
}
impl From<i64> for StackItem {
    fn from(n: i64) -> Self {
        Self::Integer(n.into())
    }
}
impl From<&str> for StackItem {
    fn from(text: &str) -> Self {
        Self::ByteString(text.as_bytes().to_vec())
    }
}
impl From<neofn_types::ScriptHash> for StackItem {
    fn from(hash: neofn_types::ScriptHash) -> Self {
        Self::ByteString(hash.0.to_vec())
    }
}
