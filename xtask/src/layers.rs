//! The layer check: arrows point down, vendors stay behind their fence.
//!
//! The floors are read from `[package.metadata.neofn] layer` of each crate. An arrow within a floor needs
//! `within = ["crate: reason"]` beside it. Development dependencies may point anywhere: tests use the real thing.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Floors, lowest first. `side` stands beside the house: it may use everything, only tests may use it.
const FLOORS: [&str; 9] = ["L0", "L1a", "L1b", "L2a", "L2b", "L2c", "L3", "L4", "L5"];

/// Vendors and the crates that may name them.
const VENDORS: [(&str, &[&str]); 17] = [
    ("cryptoki", &["neofn-kms-pkcs11"]),
    ("cedar-policy", &["neofn-identity"]),
    ("async-nats", &["neofn-bus-nats"]),
    ("rusqlite", &["neofn-store-sqlite"]),
    ("sqlx", &["neofn-store-postgres"]),
    ("wasmtime", &["neofn-runtime"]),
    ("wasm-encoder", &["neofn-runtime"]),
    ("oxc", &["neofn-compiler"]),
    ("rolldown", &["neofn-compiler"]),
    ("axum", &["neofn-http"]),
    ("ureq", &["neofn-client", "neofn-testkit"]),
    ("tokio-tungstenite", &["neofn-chain"]),
    ("tokio-rustls", &["neofn-chain", "neofn-egress", "neofn-tls"]),
    ("x509-parser", &["neofn-tls"]),
    ("tonic", &["neofn-grpc"]),
    ("landlock", &["neofn-jail"]),
    ("seccompiler", &["neofn-jail"]),
];

struct Crate {
    floor: String,
    within: Vec<String>,
    dependencies: Vec<String>,
}

/// Reads the workspace and lists every broken arrow.
pub fn check() -> Result<String> {
    let crates = read_workspace()?;
    let mut faults = Vec::new();
    for (name, krate) in &crates {
        if krate.floor != "side" && rank(&krate.floor).is_none() {
            faults.push(format!("{name}: unknown layer {:?}", krate.floor));
        }
        for dependency in &krate.dependencies {
            faults.extend(arrow_fault(name, krate, dependency, &crates));
            faults.extend(vendor_fault(name, dependency));
        }
    }
    if !faults.is_empty() {
        bail!("layers:\n  {}", faults.join("\n  "));
    }
    Ok(format!("layers hold: {} crates", crates.len()))
}

fn rank(floor: &str) -> Option<usize> {
    FLOORS.iter().position(|f| *f == floor)
}

fn arrow_fault(
    name: &str,
    from: &Crate,
    dependency: &str,
    crates: &BTreeMap<String, Crate>,
) -> Option<String> {
    let to = crates.get(dependency)?;
    match (rank(&from.floor), rank(&to.floor)) {
        (None, _) => None,
        (Some(_), None) => Some(format!(
            "{name} -> {dependency}: only tests may use what stands beside the house"
        )),
        (Some(a), Some(b)) if a > b => None,
        (Some(a), Some(b))
            if a == b
                && from
                    .within
                    .iter()
                    .any(|w| w.split(':').next() == Some(dependency)) =>
        {
            None
        }
        (Some(_), Some(_)) => Some(format!(
            "{name} ({}) -> {dependency} ({}): arrows point down only; within a floor give a reason in `within`",
            from.floor, to.floor
        )),
    }
}

fn vendor_fault(name: &str, dependency: &str) -> Option<String> {
    let (_, allowed) = VENDORS.iter().find(|(vendor, _)| *vendor == dependency)?;
    if allowed.contains(&name) {
        return None;
    }
    Some(format!(
        "{name} -> {dependency}: only {} may use this vendor",
        allowed.join(", ")
    ))
}

fn read_workspace() -> Result<BTreeMap<String, Crate>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages")?;
    packages.iter().map(read_crate).collect()
}

fn read_crate(package: &Value) -> Result<(String, Crate)> {
    let name = package
        .get("name")
        .and_then(Value::as_str)
        .context("a package without a name")?
        .to_owned();
    let own = package.pointer("/metadata/neofn");
    let floor = own
        .and_then(|m| m.get("layer"))
        .and_then(Value::as_str)
        .with_context(|| format!("{name}: add [package.metadata.neofn] layer = \"…\""))?
        .to_owned();
    let strings = |value: Option<&Value>| -> Vec<String> {
        value
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let dependencies = package
        .get("dependencies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|d| d.get("kind").is_none_or(Value::is_null))
        .filter_map(|d| d.get("name").and_then(Value::as_str).map(str::to_owned))
        .collect();
    Ok((
        name,
        Crate {
            floor,
            within: strings(own.and_then(|m| m.get("within"))),
            dependencies,
        },
    ))
}
