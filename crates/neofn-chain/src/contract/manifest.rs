//! Manifests (NEP-15): what a contract offers and announces.

use neofn_event::ParameterType;
use serde::Deserialize;
use serde_json::Value;

/// Longest manifest that a chain takes.
const BYTES_MAX: usize = 65_535;

/// A manifest, and its text as it is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The contract's name; part of its hash.
    pub name: String,
    /// Standards that it says it follows: `NEP-17`.
    pub standards: Vec<String>,
    /// What can be called.
    pub methods: Vec<Method>,
    /// What it announces.
    pub events: Vec<Event>,
    text: String,
}

/// A method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Names and types, in order.
    pub parameters: Vec<(String, ParameterType)>,
    /// What it answers.
    pub returns: ParameterType,
    /// Whether it changes nothing.
    pub safe: bool,
}

/// A notification that a contract announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Names and types, in order.
    pub parameters: Vec<(String, ParameterType)>,
}

/// JSON that is no manifest.
#[derive(Debug, thiserror::Error)]
#[error("not a contract's manifest: {0}")]
pub struct ManifestError(String);

#[derive(Deserialize)]
struct Wire {
    name: String,
    #[serde(default)]
    supportedstandards: Vec<String>,
    abi: WireAbi,
}
#[derive(Deserialize)]
struct WireAbi {
    methods: Vec<WireMethod>,
    #[serde(default)]
    events: Vec<WireEvent>,
}
#[derive(Deserialize)]
struct WireMethod {
    name: String,
    #[serde(default)]
    parameters: Vec<WireParameter>,
    returntype: String,
    #[serde(default)]
    safe: bool,
}
#[derive(Deserialize)]
struct WireEvent {
    name: String,
    #[serde(default)]
    parameters: Vec<WireParameter>,
}
#[derive(Deserialize)]
struct WireParameter {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Manifest {
    /// Reads the file that a compiler wrote.
    pub fn read(text: &str) -> Result<Self, ManifestError> {
        if text.len() > BYTES_MAX {
            return Err(ManifestError(format!("it is longer than {BYTES_MAX} bytes")));
        }
        let wire: Wire = serde_json::from_str(text).map_err(|e| ManifestError(e.to_string()))?;
        Self::of(wire, text.to_owned())
    }
    /// Reads what a node says of a deployed contract.
    pub fn of_state(state: &crate::model::ContractState) -> Result<Self, ManifestError> {
        Self::of_json(&state.manifest)
    }
    fn of_json(json: &Value) -> Result<Self, ManifestError> {
        let wire = Wire::deserialize(json).map_err(|e| ManifestError(e.to_string()))?;
        Self::of(wire, json.to_string())
    }
    fn of(wire: Wire, text: String) -> Result<Self, ManifestError> {
        if wire.name.is_empty() {
            return Err(ManifestError("it has no name".to_owned()));
        }
        let methods = wire.abi.methods.into_iter().map(|m| {
            Ok(Method {
                returns: kind(&m.returntype)?,
                parameters: parameters(m.parameters)?,
                name: m.name,
                safe: m.safe,
            })
        });
        let events = wire.abi.events.into_iter().map(|e| {
            Ok(Event {
                parameters: parameters(e.parameters)?,
                name: e.name,
            })
        });
        Ok(Self {
            methods: methods.collect::<Result<_, ManifestError>>()?,
            events: events.collect::<Result<_, ManifestError>>()?,
            name: wire.name,
            standards: wire.supportedstandards,
            text,
        })
    }
    /// As it is deployed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The method of this name with so many parameters.
    #[must_use]
    pub fn method(&self, name: &str, parameters: usize) -> Option<&Method> {
        self.methods
            .iter()
            .find(|m| m.name == name && m.parameters.len() == parameters)
    }
    /// What it announces under this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.iter().find(|e| e.name == name)
    }
}

fn kind(name: &str) -> Result<ParameterType, ManifestError> {
    name.parse()
        .map_err(|_| ManifestError(format!("there is no type {name:?}")))
}
fn parameters(wire: Vec<WireParameter>) -> Result<Vec<(String, ParameterType)>, ManifestError> {
    wire.into_iter().map(|p| Ok((p.name, kind(&p.kind)?))).collect()
}
