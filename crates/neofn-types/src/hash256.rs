//! The name of a block or a transaction.

use crate::ParseIdError;
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a block's or a transaction's unsigned form. The bytes are as hashed; displayed reversed with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash256(pub [u8; 32]);

impl Hash256 {
    /// The parent of the first block.
    pub const ZERO: Self = Self([0; 32]);
}
impl FromStr for Hash256 {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|_| ParseIdError(text.chars().take(80).collect(), "block or transaction hash"))?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}
impl fmt::Display for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes.reverse();
        write!(f, "0x{}", hex::encode(bytes))
    }
}
impl fmt::Debug for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl serde::Serialize for Hash256 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> serde::Deserialize<'de> for Hash256 {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_reversed_and_read_back() {
        let text = "0xfe87ea116dd113fef7ca370bf4a48c16fa0f7870cb01979661e7afb562fdc91c";
        let hash: Hash256 = text.parse().unwrap();
        assert_eq!((hash.0[31], hash.to_string()), (0xfe, text.to_owned()));
        assert_eq!(text.trim_start_matches("0x").parse(), Ok(hash));
        for bad in ["", "0x", &text[..64], "0xzz"] {
            assert!(bad.parse::<Hash256>().is_err(), "{bad}");
        }
    }
}
