//! From a function of the manifest to the body of a deployment.

use crate::FunctionConfig;
use neofn_types::{FunctionName, JsonText};
use neofn_wire::{DeployRequest, LimitsRequest, SmokeTestRequest};
use std::collections::BTreeMap;

/// The code of a function, as it is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Files by path relative to the manifest, npm packages under `node_modules/` included.
    Files(BTreeMap<String, String>),
    /// A WebAssembly module in base64.
    Module(String),
}

impl FunctionConfig {
    /// The request that deploys this function with `source`.
    #[must_use]
    pub fn deploy_request(&self, name: &FunctionName, source: Source) -> DeployRequest {
        let (files, module) = match source {
            Source::Files(files) => (Some(files), None),
            Source::Module(module) => (None, Some(module)),
        };
        let limits = self.limits;
        DeployRequest {
            function_name: name.to_string(),
            source: None,
            // A module is one file and carries its own entry.
            main: files.is_some().then(|| self.main.clone()),
            files,
            module,
            runtime: Some(self.runtime.to_string()),
            public: Some(self.public),
            limits: (limits != crate::FunctionLimits::default()).then(|| LimitsRequest {
                units: limits.units.map(|u| u.0),
                time: limits.time_ms.map(|ms| format!("{ms}ms")),
                memory: limits.memory_bytes.map(|bytes| format!("{bytes}B")),
                concurrency: limits.concurrency,
            }),
            allow: serde_json::to_value(&self.allow)
                .ok()
                .as_ref()
                .map(JsonText::from),
            on: (!self.on.is_empty()).then(|| JsonText::from(&self.on.to_json())),
            test: self.test.as_ref().map(|test| SmokeTestRequest {
                event: JsonText::from(&test.event),
                expect: test.expect.as_ref().map(JsonText::from),
            }),
        }
    }
}
