//! Writes triggers in the form that they are read in. What has its default is left out.

use super::kind::TriggerKind;
use super::model::{Missed, On, Phase, StateFilter, TriggerSpec, Triggers};
use super::options::{Options, Order, Start};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

impl TriggerSpec {
    /// The members of this trigger, its kind left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        };
        let hash = |hash: &Option<neofn_types::ScriptHash>| hash.map(|h| json!(h));
        let text = |text: &Option<String>| text.as_ref().map(|t| json!(t));
        let state = |state: StateFilter, usual| (state != usual).then(|| json!(state.as_str()));
        put("name", Some(json!(self.name)));
        match &self.on {
            On::Block(on) => put("every", (on.every != 1).then(|| json!(on.every))),
            On::Transaction(on) => {
                put("sender", hash(&on.sender));
                put("signer", hash(&on.signer));
                put("contract", hash(&on.contract));
                put("state", state(on.state, StateFilter::Halt));
            }
            On::Notification(on) => {
                put("contract", hash(&on.contract));
                put("event", text(&on.event));
                let parameters = on.parameters.as_ref();
                put(
                    "parameters",
                    parameters.map(|p| p.iter().map(|p| json!(format!("{}: {}", p.name, p.ty))).collect()),
                );
                put("state", state(on.state, StateFilter::Halt));
                put(
                    "phase",
                    (on.phase != Phase::Application).then(|| json!(on.phase.as_str())),
                );
            }
            On::Execution(on) => {
                put("state", state(on.state, StateFilter::Any));
                put("sender", hash(&on.sender));
                put("contract", hash(&on.contract));
            }
            On::Cron(on) => {
                put("schedule", Some(json!(on.schedule.text())));
                let zone = on.schedule.timezone();
                put("timezone", (zone != "UTC").then(|| json!(zone)));
                put(
                    "missed",
                    (on.missed != Missed::Once).then(|| json!(on.missed.as_str())),
                );
                put("data", on.data.clone());
            }
            On::Event(on) => {
                put("type", text(&on.ty));
                put("source", text(&on.source));
                put("subject", text(&on.subject));
            }
            On::Http(on) => {
                put("methods", (!on.methods.is_empty()).then(|| json!(on.methods)));
                put("path", text(&on.path));
            }
        }
        put("where", self.filter.as_ref().map(|f| json!(f.text())));
        write_options(&self.options, put);
        Value::Object(out)
    }
}

fn write_options(options: &Options, mut put: impl FnMut(&str, Option<Value>)) {
    put(
        "start",
        match options.start {
            Start::Latest => None,
            Start::Genesis => Some(json!("genesis")),
            Start::Height(height) => Some(json!(height)),
        },
    );
    match &options.order {
        Order::Parallel => {}
        Order::Sequential => put("order", Some(json!("sequential"))),
        Order::ByKey(key) => put("order_by", Some(json!(key.text()))),
    }
    put("debounce", options.debounce_ms.map(|ms| json!(format!("{ms}ms"))));
    put(
        "batch",
        options
            .batch
            .map(|b| json!({ "size": b.size, "wait": format!("{}ms", b.wait_ms) })),
    );
    put(
        "max_lag",
        options
            .max_lag
            .map(|l| json!({ "blocks": l.blocks, "action": l.action.as_str() })),
    );
}

impl Triggers {
    /// As `on` of a deployment.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for kind in TriggerKind::ALL {
            let of_kind: Vec<Value> = self
                .0
                .iter()
                .filter(|t| t.on.kind() == kind)
                .map(TriggerSpec::to_json)
                .collect();
            if !of_kind.is_empty() {
                out.insert(kind.as_str().to_owned(), Value::Array(of_kind));
            }
        }
        Value::Object(out)
    }
}

impl Serialize for Triggers {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}
impl<'de> Deserialize<'de> for Triggers {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let on = Value::deserialize(d)?;
        Self::read(&on).map_err(|findings| {
            let first = findings.first().map(ToString::to_string).unwrap_or_default();
            serde::de::Error::custom(first)
        })
    }
}
