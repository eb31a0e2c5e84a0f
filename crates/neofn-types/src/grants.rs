//! What a function may reach. Everything is denied unless granted here.

use crate::{Datoshi, NetGrant, ScriptHash, SecretName};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// Most contracts that one grant names.
pub const GRANT_CONTRACTS_MAX: usize = 32;
/// Most origins, and most secrets, that one grant names.
pub const GRANT_NAMES_MAX: usize = 64;
/// Contracts that a manifest may call by name: they have the same hash on every network.
const NAMED: [(&str, ScriptHash); 2] = [("GAS", ScriptHash::GAS), ("NEO", ScriptHash::NEO)];

/// The `allow` table of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `ctx.kv`: the project's key-value namespace.
    pub kv: bool,
    /// `ctx.neo`: the chain.
    pub chain: ChainGrant,
    /// `fetch`: other hosts; sorted, each once.
    pub net: Vec<NetGrant>,
    /// `ctx.secrets`: sorted by name, each once.
    pub secrets: Vec<SecretGrant>,
}

/// What a function may do with a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretGrant {
    /// Which.
    pub name: SecretName,
    /// Read its value; without it the function sees a handle alone.
    pub plaintext: bool,
    /// Set a new value.
    pub rotate: bool,
}

impl SecretGrant {
    /// Of a handle.
    #[must_use]
    pub fn handle(name: SecretName) -> Self {
        Self {
            name,
            plaintext: false,
            rotate: false,
        }
    }
}

impl fmt::Display for SecretGrant {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (self.plaintext, self.rotate) {
            (false, false) => write!(f, "\"{name}\""),
            (true, false) => write!(f, "{{ name = \"{name}\", plaintext = true }}"),
            (false, true) => write!(f, "{{ name = \"{name}\", rotate = true }}"),
            (true, true) => write!(f, "{{ name = \"{name}\", plaintext = true, rotate = true }}"),
        }
    }
}

impl Grants {
    /// What may be done with a secret.
    #[must_use]
    pub fn secret(&self, name: &SecretName) -> Option<&SecretGrant> {
        self.secrets.iter().find(|g| g.name == *name)
    }
    /// Takes origins as they are written, in their one normal form.
    pub fn set_net<'t>(&mut self, origins: impl IntoIterator<Item = &'t str>) -> Result<(), GrantError> {
        let origins = origins
            .into_iter()
            .take(GRANT_NAMES_MAX + 1)
            .map(str::parse::<NetGrant>);
        let mut net: Vec<_> = origins
            .collect::<Result<_, _>>()
            .map_err(|e| GrantError(e.to_string()))?;
        net.sort_unstable();
        net.dedup();
        if net.len() > GRANT_NAMES_MAX {
            return Err(GrantError(format!(
                "`net` names at most {GRANT_NAMES_MAX} origins"
            )));
        }
        self.net = net;
        Ok(())
    }
    /// Takes grants of secrets, in their one normal form.
    pub fn set_secrets(&mut self, mut secrets: Vec<SecretGrant>) -> Result<(), GrantError> {
        if secrets.len() > GRANT_NAMES_MAX {
            return Err(GrantError(format!(
                "`secrets` names at most {GRANT_NAMES_MAX} secrets"
            )));
        }
        secrets.sort_unstable();
        let mut pairs = secrets.iter().zip(secrets.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(a, b)| a.name == b.name) {
            return Err(GrantError(format!("`secrets` names {} twice", twice.name)));
        }
        self.secrets = secrets;
        Ok(())
    }
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
    if let Some((_, named)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(*named);
    }
    text.parse().map_err(|_| {
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
    /// `fetch`: origins such as `https://api.example.org`, `https://*.example.org` or `GET https://*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    net: Vec<String>,
    /// `ctx.secrets`: names, or `{ name = "API_KEY", plaintext = true, rotate = true }`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    secrets: Vec<ReadableSecret>,
}

/// What a function may do with a secret.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum ReadableSecret {
    /// Its name: the function sees a handle.
    Name(String),
    /// More than a handle.
    Wide(ReadableWide),
}

/// What a function may do with a secret beside sending it by handle.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadableWide {
    /// Which secret.
    name: String,
    /// Read its value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    plaintext: bool,
    /// Set a new value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rotate: bool,
}

impl From<&SecretGrant> for ReadableSecret {
    fn from(grant: &SecretGrant) -> Self {
        let name = grant.name.to_string();
        if grant.plaintext || grant.rotate {
            Self::Wide(ReadableWide {
                name,
                plaintext: grant.plaintext,
                rotate: grant.rotate,
            })
        } else {
            Self::Name(name)
        }
    }
}
impl TryFrom<ReadableSecret> for SecretGrant {
    type Error = GrantError;
    fn try_from(written: ReadableSecret) -> Result<Self, GrantError> {
        let wide = match written {
            ReadableSecret::Wide(wide) => wide,
            ReadableSecret::Name(name) => ReadableWide {
                name,
                plaintext: false,
                rotate: false,
            },
        };
        let name = wide.name.parse::<SecretName>();
        Ok(Self {
            name: name.map_err(|e| GrantError(e.to_string()))?,
            plaintext: wide.plaintext,
            rotate: wide.rotate,
        })
    }
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
    net: Vec<NetGrant>,
    secrets: Vec<(SecretName, bool, bool)>,
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
            let secrets = self.secrets.iter();
            return Compact {
                kv: self.kv,
                chain,
                net: self.net.clone(),
                secrets: secrets.map(|g| (g.name.clone(), g.plaintext, g.rotate)).collect(),
            }
            .serialize(s);
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
        Readable {
            kv: self.kv,
            chain,
            net: self.net.iter().map(NetGrant::to_string).collect(),
            secrets: self.secrets.iter().map(ReadableSecret::from).collect(),
        }
        .serialize(s)
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
            let secrets = compact.secrets.into_iter();
            return Ok(Self {
                kv: compact.kv,
                chain,
                net: compact.net,
                secrets: secrets
                    .map(|(name, plaintext, rotate)| SecretGrant {
                        name,
                        plaintext,
                        rotate,
                    })
                    .collect(),
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
        let mut grants = Self {
            kv: readable.kv,
            chain,
            ..Self::default()
        };
        let secrets = readable.secrets.into_iter().map(SecretGrant::try_from);
        let secrets: Result<Vec<_>, _> = secrets.collect();
        grants
            .set_net(readable.net.iter().map(String::as_str))
            .and_then(|()| grants.set_secrets(secrets?))
            .map_err(de::Error::custom)?;
        Ok(grants)
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
            ..Grants::default()
        }
    }

    #[test]
    fn hosts_and_secrets_have_one_normal_form() {
        let text = r#"{"net":["https://b.example","GET https://*.a.example","https://b.example:443"],"secrets":["B",{"name":"A","plaintext":true}]}"#;
        let grants: Grants = serde_json::from_str(text).unwrap();
        let normal = r#"{"kv":false,"net":["https://b.example","GET https://*.a.example"],"secrets":[{"name":"A","plaintext":true},"B"]}"#;
        assert_eq!(serde_json::to_string(&grants).unwrap(), normal);
        assert_eq!(serde_json::from_str::<Grants>(normal).unwrap(), grants);
        let bytes = postcard::to_stdvec(&grants).unwrap();
        assert_eq!(postcard::from_bytes::<Grants>(&bytes).unwrap(), grants);
        assert!(grants.secret(&"A".parse().unwrap()).unwrap().plaintext);
        assert!(grants.secret(&"C".parse().unwrap()).is_none());
        for bad in [
            r#"{"net":["api.example.org"]}"#,
            r#"{"net":"https://a.b"}"#,
            r#"{"secrets":["a b"]}"#,
            r#"{"secrets":["A","A"]}"#,
            r#"{"secrets":[{"name":"A","more":1}]}"#,
        ] {
            assert!(serde_json::from_str::<Grants>(bad).is_err(), "{bad}");
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
                chain: ChainGrant::Read,
                ..Grants::default()
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
