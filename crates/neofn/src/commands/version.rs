//! `neofn --version`: the binary and the engines inside it.

use crate::ui::Ui;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// As JSON.
#[derive(Serialize)]
struct Document {
    version: &'static str,
    engines: BTreeMap<&'static str, String>,
}

/// Prints both. Hashing the engine takes milliseconds, so it is done only when somebody asks.
pub fn show(ui: &Ui) {
    let engines = neofn_node::engine_identities().map(|(kind, digest)| (kind.as_str(), digest.to_string()));
    if ui.json {
        ui.document(&Document {
            version: VERSION,
            engines: engines.into(),
        });
        return;
    }
    ui.out(&format!("neofn {VERSION}"));
    for (kind, digest) in engines {
        ui.out(&format!("engine {kind:<4} {digest}"));
    }
}
