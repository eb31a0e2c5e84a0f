//! What contracts say of their events, asked before a deployment is checked.

use crate::engine::Inner;
use crate::request::DeployError;
use crate::request::Stage;
use neofn_event::filter::{Abi, Lookup, Parameter};
use neofn_event::{TriggerKind, Triggers};
use neofn_types::{Code, Error, ScriptHash};
use serde_json::Value;
use std::collections::HashMap;

/// Contracts by hash; `None` for those that do not exist.
struct Manifests(HashMap<ScriptHash, Option<Value>>);

impl Abi for Manifests {
    fn event(&self, contract: ScriptHash, event: &str) -> Lookup {
        let manifest = match self.0.get(&contract) {
            None => return Lookup::NotAsked,
            Some(None) => return Lookup::NoContract,
            Some(Some(manifest)) => manifest,
        };
        let events = manifest.pointer("/abi/events").and_then(Value::as_array);
        let named = |event: &&Value| event.get("name").and_then(Value::as_str).map(str::to_owned);
        let found = events
            .into_iter()
            .flatten()
            .find(|candidate| named(candidate).as_deref() == Some(event));
        match found
            .and_then(|found| found.get("parameters"))
            .and_then(Value::as_array)
        {
            Some(parameters) => Lookup::Parameters(parameters.iter().filter_map(parameter).collect()),
            None => Lookup::NoSuchEvent(events.into_iter().flatten().filter_map(|e| named(&e)).collect()),
        }
    }
}

fn parameter(json: &Value) -> Option<Parameter> {
    Some(Parameter {
        name: json.get("name")?.as_str()?.to_owned(),
        ty: json.get("type")?.as_str()?.parse().ok()?,
    })
}

impl Inner {
    /// Checks triggers against the chain, and keeps the parameters that it names.
    pub(crate) async fn check_triggers(&self, on: &mut Triggers) -> Result<(), DeployError> {
        let waits =
            on.0.iter()
                .map(|t| t.on.kind())
                .find(|kind| TriggerKind::is_chain(*kind));
        let refused = |error| DeployError::at(Stage::Validate, error);
        let mut manifests = HashMap::new();
        if let Some(kind) = waits {
            let Some(chain) = &self.ports.chain else {
                let message = format!("a {kind} trigger waits for a chain, and this node follows none");
                return Err(refused(Error::new(Code::ChainAbsent, message)));
            };
            let contracts: Vec<ScriptHash> = on.lookups().map(|(contract, _)| contract).collect();
            for contract in contracts {
                if let std::collections::hash_map::Entry::Vacant(unseen) = manifests.entry(contract) {
                    let state = chain.contract_state(contract).await;
                    let state = state.map_err(|e| refused(e.into()))?;
                    unseen.insert(state.map(|state| state.manifest));
                }
            }
        }
        on.check(&Manifests(manifests))
            .map_err(|findings| DeployError::triggers(&findings))
    }
}
