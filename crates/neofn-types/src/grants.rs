//! What a function may reach. Everything is denied unless granted here.

use crate::{Datoshi, ScriptHash};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// Most contracts that one grant names.
pub const GRANT_CONTRACTS_MAX: usize = 32;
/// Contracts that a manifest may call by name: they have the same hash on every network.
const NAMED: [(&str, &str); 2] = [
    ("GAS", "0xd2a4cff31913016155e38e474a2c06d08be276cf"),
    ("NEO", "0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"),
];

/// The `allow` table of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `ctx.kv`: the project's key-value namespace.
    pub kv: bool,
    /// `ctx.neo`: the chain.
    pub chain: ChainGrant,
}

/// What a function may do with the chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChainGrant {
    /// Nothing.
    #[default]
    None,
    /// Read.
    Read,
    /// Read, and send transactions within bounds.
    Write(ChainWrite),
}

/// The bounds of what a function may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainWrite {
    /// The contracts that it may call; sorted, each once, never empty.
    pub contracts: Vec<ScriptHash>,
    /// The most fees that the transactions of one run may cost together.
    pub gas: Datoshi,
}

impl ChainGrant {
    /// Whether the chain may be read.
    #[must_use]
    pub fn reads(&self) -> bool {
        !matches!(self, Self::None)
    }
    /// What may be sent.
    #[must_use]
    pub fn writes(&self) -> Option<&ChainWrite> {
        match self {
            Self::Write(write) => Some(write),
            Self::None | Self::Read => None,
        }
    }
}

/// A `write` grant that says nothing sensible, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrantError(pub String);

/// A contract by script hash, or by name where the name means the same everywhere: `GAS`, `NEO`.
pub fn parse_contract(text: &str) -> Result<ScriptHash, GrantError> {
    let named = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let hash = named.map_or(text, |(_, hash)| hash);
    hash.parse().map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        GrantError(format!(
            "{shown:?} is no contract: write its script hash (0x and 40 digits), GAS or NEO"
        ))
    })
}

impl ChainWrite {
    /// The grant in its one normal form.
    pub fn new<'t>(contracts: impl IntoIterator<Item = &'t str>, gas: &str) -> Result<Self, GrantError> {
        let mut hashes: Vec<ScriptHash> = contracts
            .into_iter()
            .take(GRANT_CONTRACTS_MAX + 1)
            .map(parse_contract)
            .collect::<Result<_, _>>()?;
        hashes.sort_unstable();
        hashes.dedup();
        if !(1..=GRANT_CONTRACTS_MAX).contains(&hashes.len()) {
            return Err(GrantError(format!(
                "`contracts` names 1 to {GRANT_CONTRACTS_MAX} contracts"
            )));
        }
        let amount = gas.parse::<Datoshi>().ok().filter(|gas| gas.0 > 0);
        let gas = amount.ok_or_else(|| {
            let shown: String = gas.chars().take(60).collect();
            GrantError(format!(
                "`gas` is {shown:?}, but must be an amount of GAS such as \"0.5\""
            ))
        })?;
        Ok(Self {
            contracts: hashes,
            gas,
        })
    }
    /// Whether the contract may be called.
    #[must_use]
    pub fn names(&self, contract: ScriptHash) -> bool {
        self.contracts.binary_search(&contract).is_ok()
    }
}

/// As people write it.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default, rename = "Grants")]
#[derive(Default)]
struct Readable {
    /// `ctx.kv`: the project's key-value namespace.
    kv: bool,
    /// `ctx.neo`: `"read"`, or `{ write = { contracts = ["0x…"], gas = "0.5" } }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<ReadableChain>,
}

/// What a function may do with the chain.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ReadableChain {
    /// Read only.
    Read,
    /// Read, and send transactions within bounds.
    Write(ReadableWrite),
}

/// The bounds of what a function may send.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadableWrite {
    /// The contracts that it may call: script hashes, `GAS` or `NEO`.
    #[schemars(length(min = 1, max = 32))]
    contracts: Vec<String>,
    /// The most fees, in GAS, that the transactions of one run may cost together.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,8})?$"))]
    gas: String,
}

/// Between processes of one build.
#[derive(Serialize, Deserialize)]
struct Compact {
    kv: bool,
    chain: CompactChain,
}
#[derive(Serialize, Deserialize)]
enum CompactChain {
    None,
    Read,
    Write(Vec<ScriptHash>, i64),
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if !s.is_human_readable() {
            let chain = match &self.chain {
                ChainGrant::None => CompactChain::None,
                ChainGrant::Read => CompactChain::Read,
                ChainGrant::Write(write) => CompactChain::Write(write.contracts.clone(), write.gas.0),
            };
            return Compact { kv: self.kv, chain }.serialize(s);
        }
        // what is not granted is absent: the spec of a version from before a grant existed keeps its digest
        let chain = match &self.chain {
            ChainGrant::None => None,
            ChainGrant::Read => Some(ReadableChain::Read),
            ChainGrant::Write(write) => Some(ReadableChain::Write(ReadableWrite {
                contracts: write.contracts.iter().map(ScriptHash::to_string).collect(),
                gas: write.gas.to_string(),
            })),
        };
        Readable { kv: self.kv, chain }.serialize(s)
    }
}
impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if !d.is_human_readable() {
            let compact = Compact::deserialize(d)?;
            let chain = match compact.chain {
                CompactChain::None => ChainGrant::None,
                CompactChain::Read => ChainGrant::Read,
                CompactChain::Write(contracts, gas) => ChainGrant::Write(ChainWrite {
                    contracts,
                    gas: Datoshi(gas),
                }),
            };
            return Ok(Self {
                kv: compact.kv,
                chain,
            });
        }
        let readable = Readable::deserialize(d)?;
        let chain = match readable.chain {
            None => ChainGrant::None,
            Some(ReadableChain::Read) => ChainGrant::Read,
            Some(ReadableChain::Write(write)) => {
                let write = ChainWrite::new(write.contracts.iter().map(String::as_str), &write.gas);
                ChainGrant::Write(write.map_err(de::Error::custom)?)
            }
        };
        Ok(Self {
            kv: readable.kv,
            chain,
        })
    }
}
impl schemars::JsonSchema for Grants {
    fn schema_name() -> Cow<'static, str> {
        Readable::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Readable::json_schema(generator)
    }
}

impl fmt::Display for ChainGrant {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Read => f.write_str("\"read\""),
            Self::Write(write) => {
                f.write_str("{ write = { contracts = [")?;
                for (i, contract) in write.contracts.iter().enumerate() {
                    write!(f, "{}\"{contract}\"", if i == 0 { "" } else { ", " })?;
                }
                write!(f, "], gas = \"{}\" }} }}", write.gas)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write() -> Grants {
        Grants {
            kv: true,
            chain: ChainGrant::Write(ChainWrite::new(["NEO", "gas", "GAS"], "0.50").unwrap()),
        }
    }

    #[test]
    fn reads_back_in_text_and_between_processes() {
        let text = r#"{"kv":true,"chain":{"write":{"contracts":["0xd2a4cff31913016155e38e474a2c06d08be276cf","0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"],"gas":"0.5"}}}"#;
        assert_eq!(serde_json::from_str::<Grants>(text).unwrap(), write());
        for grants in [
            Grants::default(),
            write(),
            Grants {
                kv: false,
                chain: ChainGrant::Read,
            },
        ] {
            let json = serde_json::to_string(&grants).unwrap();
            assert_eq!(serde_json::from_str::<Grants>(&json).unwrap(), grants);
            let bytes = postcard::to_stdvec(&grants).unwrap();
            assert_eq!(postcard::from_bytes::<Grants>(&bytes).unwrap(), grants);
        }
    }

    #[test]
    fn what_is_not_granted_leaves_no_trace() {
        assert_eq!(
            serde_json::to_string(&Grants::default()).unwrap(),
            r#"{"kv":false}"#
        );
        assert_eq!(
            serde_json::from_str::<Grants>(r#"{"kv":false}"#).unwrap(),
            Grants::default()
        );
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (contracts, gas, says) in [
            (vec![], "1", "1 to 32"),
            (vec!["0x12"], "1", "\"0x12\" is no contract"),
            (vec!["GAS"], "0", "amount of GAS"),
            (vec!["GAS"], "-1", "amount of GAS"),
            (vec!["GAS"], "much", "\"much\""),
        ] {
            let error = ChainWrite::new(contracts, gas).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        for bad in [
            r#"{"chain":"write"}"#,
            r#"{"chain":{"write":{"contracts":["GAS"]}}}"#,
            r#"{"chain":{"write":{"contracts":["GAS"],"gas":"1","more":1}}}"#,
        ] {
            assert!(serde_json::from_str::<Grants>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_the_line_of_a_manifest() {
        assert_eq!(
            write().chain.to_string(),
            "{ write = { contracts = [\"0xd2a4cff31913016155e38e474a2c06d08be276cf\", \"0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5\"], gas = \"0.5\" } }"
        );
    }
}
