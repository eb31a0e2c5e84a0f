//! Script hashes and addresses: two notations of the same twenty bytes.

use std::fmt;
use std::str::FromStr;

/// First byte of a Neo N3 address, which makes it begin with `N`.
const ADDRESS_VERSION: u8 = 0x35;
/// Bytes of the checksum at the end of an address.
const CHECKSUM_BYTES: usize = 4;
/// Longest text that is looked at: an address has 34 characters, a hash 42.
const TEXT_BYTES_MAX: usize = 64;

/// An account or a contract: RIPEMD-160 of the SHA-256 of its script. The bytes are little-endian, as on chain;
/// displayed reversed with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptHash(pub [u8; 20]);

/// Text that is neither a script hash nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a script hash (0x and 40 digits) nor a Neo N3 address")]
pub struct ParseScriptHashError(pub String);

fn checksum(payload: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(sha2::Sha256::digest(payload)).into()
}

impl ScriptHash {
    /// The contract of GAS: the same on every network.
    pub const GAS: Self = Self([
        0xcf, 0x76, 0xe2, 0x8b, 0xd0, 0x06, 0x2c, 0x4a, 0x47, 0x8e, 0xe3, 0x55, 0x61, 0x01, 0x13, 0x19, 0xf3,
        0xcf, 0xa4, 0xd2,
    ]);
    /// The contract of NEO: the same on every network.
    pub const NEO: Self = Self([
        0xf5, 0x63, 0xea, 0x40, 0xbc, 0x28, 0x3d, 0x4d, 0x0e, 0x05, 0xc4, 0x8e, 0xa3, 0x05, 0xb3, 0xf2, 0xa0,
        0x73, 0x40, 0xef,
    ]);

    /// The Base58Check notation: `N…`.
    #[must_use]
    pub fn to_address(&self) -> String {
        let mut bytes = vec![ADDRESS_VERSION];
        bytes.extend_from_slice(&self.0);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(sum.get(..CHECKSUM_BYTES).unwrap_or_default());
        bs58::encode(bytes).into_string()
    }

    fn from_address(text: &str) -> Option<Self> {
        let bytes = bs58::decode(text).into_vec().ok()?;
        let (payload, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (version, hash) = payload.split_first()?;
        let hash: [u8; 20] = hash.try_into().ok()?;
        (*version == ADDRESS_VERSION && checksum(payload).starts_with(sum)).then_some(Self(hash))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0u8; 20];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        bytes.reverse();
        Some(Self(bytes))
    }
}

impl FromStr for ScriptHash {
    type Err = ParseScriptHashError;
    fn from_str(text: &str) -> Result<Self, ParseScriptHashError> {
        let fail = || ParseScriptHashError(text.chars().take(80).collect());
        if text.len() > TEXT_BYTES_MAX {
            return Err(fail());
        }
        let hex = text.strip_prefix("0x").unwrap_or(text);
        Self::from_hex(hex)
            .or_else(|| Self::from_address(text))
            .ok_or_else(fail)
    }
}
impl fmt::Display for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes.reverse();
        write!(f, "0x{}", hex::encode(bytes))
    }
}
impl fmt::Debug for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl serde::Serialize for ScriptHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> serde::Deserialize<'de> for ScriptHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'de, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_are_the_same_hash() {
        let hash: ScriptHash = "0x6ad777fb3bfedf20f654cccc728598253273e050"
            .parse()
            .expect("hash");
        assert_eq!(hash.to_address(), "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd");
        assert_eq!("NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd".parse(), Ok(hash));
        assert_eq!(hash.0[0], 0x50);
        for bad in [
            "",
            "0x",
            "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rD",
            "0x6ad7",
            "Neo",
            &"N".repeat(10_000),
        ] {
            assert!(bad.parse::<ScriptHash>().is_err(), "{bad}");
        }
    }
}
