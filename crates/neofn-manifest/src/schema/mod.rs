//! The JSON schema of the manifest, for editors. The shapes here describe the document; `parse` reads it.

mod on;

use neofn_types::Grants;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use std::collections::BTreeMap;

/// The manifest of a neofn project, `neofn.toml`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "neofn.toml")]
#[expect(
    dead_code,
    reason = "a shape for the schema generator; nothing is ever read into it"
)]
struct Document {
    /// The project that the functions belong to; `default` when absent.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"))]
    project: Option<String>,
    /// The functions by name.
    #[schemars(schema_with = "functions")]
    function: BTreeMap<String, Function>,
}

/// A function.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a shape for the schema generator; nothing is ever read into it"
)]
struct Function {
    /// The file with the handler, relative to this file. JavaScript, TypeScript or, with `runtime = "wasm"`, a compiled module.
    main: String,
    /// What executes it: `js` (JavaScript and TypeScript, the default) or `wasm`.
    runtime: Option<Runtime>,
    /// Whether it may be invoked without credentials; false when absent.
    public: Option<bool>,
    /// How much one run may use; what is absent has the node's default.
    limits: Option<FunctionLimits>,
    /// Services that the function may use; everything else is denied.
    allow: Option<Grants>,
    /// Events that run it, beside requests.
    on: Option<on::On>,
    /// A run that must succeed before a version goes live.
    test: Option<Test>,
}

/// A runtime of this build.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "a shape for the schema generator; nothing is ever read into it"
)]
enum Runtime {
    Js,
    Wasm,
}

/// Limits of one run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Limits")]
#[expect(
    dead_code,
    reason = "a shape for the schema generator; nothing is ever read into it"
)]
struct FunctionLimits {
    /// Most units that a run may be charged; 10 000 000 when absent.
    #[schemars(range(min = 10_001))]
    units: Option<u64>,
    /// Wall clock, like `30s`, `500ms`, `2m`; 30 s when absent.
    #[schemars(regex(pattern = r"^[0-9_]+ ?(ms|s|m|h|d)$"))]
    time: Option<String>,
    /// Memory, like `64MiB`; 64 MiB when absent.
    #[schemars(regex(pattern = r"^[0-9_]+ ?(B|kB|KiB|MB|MiB|GB|GiB)?$"))]
    memory: Option<String>,
    /// Runs at the same time; 100 when absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    concurrency: Option<u32>,
}

/// A smoke test.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "a shape for the schema generator; nothing is ever read into it"
)]
struct Test {
    /// The event to send.
    event: serde_json::Value,
    /// Members that the result must have; any success will do when absent.
    expect: Option<serde_json::Value>,
}

fn functions(generator: &mut SchemaGenerator) -> Schema {
    let function = generator.subschema_for::<Function>();
    schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": "^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$" },
        "additionalProperties": function,
    })
}

/// The schema as a pretty-printed JSON document that ends with a newline.
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Document);
    // A schema made of strings and maps cannot fail to print.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::json_schema;
    use crate::function::{ALLOW, FUNCTION, LIMITS, TEST};
    use neofn_event::{TriggerKind, spec};

    fn keys(schema: &serde_json::Value, pointer: &str) -> Vec<String> {
        let mut keys: Vec<String> = schema
            .pointer(pointer)
            .and_then(|v| v.as_object())
            .expect(pointer)
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_schema_and_the_parser_know_the_same_keys() {
        let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("is JSON");
        for (pointer, known) in [
            ("/$defs/Function/properties", FUNCTION),
            ("/$defs/Limits/properties", LIMITS),
            ("/$defs/Grants/properties", ALLOW),
            ("/$defs/Test/properties", TEST),
        ] {
            let mut known: Vec<String> = known.iter().map(ToString::to_string).collect();
            known.sort();
            assert_eq!(keys(&schema, pointer), known, "{pointer}");
        }
        let mut kinds = Vec::new();
        for kind in TriggerKind::ALL {
            let mut title = kind.as_str().to_owned();
            title[..1].make_ascii_uppercase();
            let mut known: Vec<String> = spec::keys(kind).iter().map(ToString::to_string).collect();
            known.sort();
            assert_eq!(
                keys(&schema, &format!("/$defs/{title}/properties")),
                known,
                "{kind}"
            );
            kinds.push(kind.as_str().to_owned());
        }
        kinds.sort();
        assert_eq!(keys(&schema, "/$defs/On/properties"), kinds);
    }
}
